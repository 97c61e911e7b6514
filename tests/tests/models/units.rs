//! Leases of units, splits, completion and fail-over.
//!
//! One job of one unit over two spans, which may be split once. Two workers; the rows of span n go to
//! store n. A process that sleeps is one that takes no step for a while, so every interleaving is one
//! with zombies; an answer is taken when it is given, for one that is taken late does what one that is
//! lost does. The leader may find any lease over at any time: what keeps units safe is the fence, and
//! the lease only says when it is worth while to give a unit to somebody else. One report of a process
//! is under way; if it waits no longer for the answer, the report may still arrive, late.

use stateright::{Model, Property};

use crate::check::Ends;

type Fence = u8;

/// The rules, each with a switch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    /// A store refuses a fence lower than the highest that began.
    pub(crate) stores_check_fences: bool,
    /// A holder reads nothing before it began at every store.
    pub(crate) begins_everywhere: bool,
    /// The leader answers when its decision is stored, and not before.
    pub(crate) stored_before_answer: bool,
    /// A span that is set aside is walked by nobody before the leader's word.
    pub(crate) aside_waits: bool,
    /// The leader takes back what its holder does not name: the answer with the grant was lost.
    /// (To grant it again under the same fence, as the leader does, is a case of that.)
    pub(crate) unnamed_let_go: bool,
    /// What an earlier process of a worker held is let go, also by a leader that never heard of that one.
    pub(crate) old_sessions_let_go: bool,
}

impl Rules {
    pub(crate) const ALL: Self = Self {
        stores_check_fences: true,
        begins_everywhere: true,
        stored_before_answer: true,
        aside_waits: true,
        unnamed_let_go: true,
        old_sessions_let_go: true,
    };
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Units {
    pub(crate) rules: Rules,
    /// Crashes, lost answers (the report may arrive all the same, late, also after a second one), leases that
    /// end, fail-overs: together.
    pub(crate) faults: u8,
}

/// Spans as bits.
const BOTH: u8 = 0b11;
const SECOND: u8 = 0b10;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Holder {
    worker: usize,
    session: u8,
    fence: Fence,
}

/// A unit of the job: 0 is the first, 1 the one that a split makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Unit {
    spans: u8,
    holder: Option<Holder>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Decided {
    units: [Option<Unit>; 2],
    was_split: bool,
    last_fence: Fence,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Held {
    unit: usize,
    fence: Fence,
    spans: u8,
    /// Stores at which it began, as bits.
    begun: u8,
    written: u8,
    aside: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Report {
    worker: usize,
    session: u8,
    held: Option<Held>,
    /// Its sender waits for the answer.
    is_awaited: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Reply {
    granted: Option<Held>,
    is_dropped: bool,
    split_wanted: bool,
    split_done: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Worker {
    session: u8,
    awaits: bool,
    held: Option<Held>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct State {
    /// What the leader believes.
    leader: Decided,
    /// What the next leader would find.
    stored: Decided,
    /// Sessions of the workers that this leader has heard of, where that matters.
    heard: [Option<u8>; 2],
    workers: [Worker; 2],
    network: Vec<Report>,
    /// Highest fence by store and unit.
    sessions: [[Fence; 2]; 2],
    /// Highest fence whose holder began everywhere, by span.
    began: [Fence; 2],
    /// Spans whose rows and records are written.
    written: u8,
    stale_write: bool,
    faults_left: u8,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Action {
    Send(usize),
    StopWaiting(usize),
    Deliver(Report),
    Begin { worker: usize, store: usize },
    Write { worker: usize, span: usize },
    WalkAsideAnyway(usize),
    Crash(usize),
    LeaseEnds(usize),
    Store,
    FailOver,
}

impl Model for Units {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let units = [Some(Unit { spans: BOTH, holder: None }), None];
        let decided = Decided { units, was_split: false, last_fence: 0 };
        let mut state = State {
            leader: decided.clone(),
            stored: decided,
            heard: [None; 2],
            workers: Default::default(),
            network: Vec::new(),
            sessions: [[0; 2]; 2],
            began: [0; 2],
            written: 0,
            stale_write: false,
            faults_left: self.faults,
        };
        // The workers are alike: the first grant is the first one's, and is not lost.
        let report = Report { worker: 0, session: 0, held: None, is_awaited: true };
        self.deliver(&mut state, &report);
        state.stored = state.leader.clone();
        vec![state]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if self.has_ended(state) && state.workers.iter().all(|worker| worker.held.is_none()) {
            return;
        }
        let may_fail = state.faults_left > 0;
        for (number, worker) in state.workers.iter().enumerate() {
            if !worker.awaits && worker.held.is_none_or(|held| held.has_news()) {
                actions.push(Action::Send(number));
            }
            if let Some(held) = &worker.held {
                self.work(number, held, actions);
            }
            if may_fail {
                actions.push(Action::Crash(number));
                let holders = state.leader.units.iter().flatten().filter_map(|unit| unit.holder);
                if holders.into_iter().any(|holder| holder.worker == number) {
                    actions.push(Action::LeaseEnds(number));
                }
                if worker.awaits {
                    actions.push(Action::StopWaiting(number));
                }
            }
        }
        actions.extend(state.network.iter().map(|report| Action::Deliver(*report)));
        if state.leader != state.stored {
            actions.push(Action::Store);
        }
        // What was stored before it was told, the next leader knows: then nothing changes.
        if may_fail && (state.leader != state.stored || state.heard != [None; 2]) {
            actions.push(Action::FailOver);
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut next = last.clone();
        match action {
            Action::Send(number) => {
                let worker = &mut next.workers[number];
                worker.awaits = true;
                let (session, held) = (worker.session, worker.held);
                let report = Report { worker: number, session, held, is_awaited: true };
                next.network.push(report);
            }
            Action::StopWaiting(number) => {
                next.faults_left -= 1;
                next.stop_waiting(number);
            }
            Action::Deliver(report) => self.deliver(&mut next, &report),
            Action::Begin { worker, store } => begin(&mut next, worker, store, self.enough()),
            Action::Write { worker, span } => self.write(&mut next, worker, span),
            Action::WalkAsideAnyway(number) => {
                let held = next.workers[number].held.as_mut()?;
                held.aside = 0;
            }
            Action::Crash(number) => {
                next.faults_left -= 1;
                next.stop_waiting(number);
                let session = next.workers[number].session + 1;
                next.workers[number] = Worker { session, ..Worker::default() };
            }
            Action::LeaseEnds(number) => {
                next.faults_left -= 1;
                next.let_go(|holder| holder.worker == number);
                self.store(&mut next);
            }
            Action::Store => next.stored = next.leader.clone(),
            Action::FailOver => {
                next.faults_left -= 1;
                next.leader = next.stored.clone();
                next.heard = [None; 2];
            }
        }
        next.network.sort_unstable();
        next.network.dedup();
        (next != *last).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("no stale write counts", |_, state: &State| !state.stale_write),
            Property::always("a fence has one holder", |_, state: &State| {
                let [a, b] = &state.workers;
                a.held.zip(b.held).is_none_or(|(a, b)| a.fence != b.fence)
            }),
            Property::always("an ended job covers all", |model: &Self, state: &State| {
                !model.has_ended(state) || state.written == BOTH
            }),
            Property::always("a span is of one unit", |_, state: &State| {
                let spans = state.leader.units.map(|unit| unit.map_or(0, |unit| unit.spans));
                spans[0] & spans[1] == 0
            }),
            Property::sometimes("a split job ends", |model: &Self, state: &State| {
                model.has_ended(state) && state.leader.was_split
            }),
            Property::sometimes("a second holder ends a job", |model: &Self, state: &State| {
                model.has_ended(state) && state.leader.last_fence > 2
            }),
        ]
    }
}

impl Ends for Units {
    fn has_ended(&self, state: &State) -> bool {
        state.leader.units == [None; 2] && state.stored == state.leader
    }
}

impl Held {
    /// A report that says nothing new, and that nobody would answer with anything new, is left out.
    fn has_news(&self) -> bool {
        let is_finished = self.spans & !self.written == 0;
        let may_be_split = self.begun == BOTH && self.spans == BOTH && self.written == 0;
        is_finished || may_be_split || self.aside != 0
    }
}

impl Units {
    /// What a holder may do with its unit.
    fn work(&self, number: usize, held: &Held, actions: &mut Vec<Action>) {
        if let Some(store) = (0..2).find(|store| held.begun & (1 << store) == 0) {
            actions.push(Action::Begin { worker: number, store });
        }
        let may_read = held.begun.count_ones() >= self.enough();
        let open = held.spans & !held.aside & !held.written;
        if let Some(span) = (0..2).find(|span| may_read && open & (1 << span) != 0) {
            actions.push(Action::Write { worker: number, span });
        }
        if held.aside != 0 && !self.rules.aside_waits {
            actions.push(Action::WalkAsideAnyway(number));
        }
    }

    /// Stores at which a holder begins before it reads.
    fn enough(&self) -> u32 {
        if self.rules.begins_everywhere { 2 } else { 1 }
    }

    fn store(&self, state: &mut State) {
        if self.rules.stored_before_answer {
            state.stored = state.leader.clone();
        }
    }

    /// Rows and record of a span, accepted or refused by the store.
    fn write(&self, state: &mut State, number: usize, span: usize) {
        let Some(held) = state.workers[number].held.as_mut() else { return };
        if self.rules.stores_check_fences && state.sessions[span][held.unit] != held.fence {
            // Given back: the next report no longer names it.
            state.workers[number].held = None;
            return;
        }
        held.written |= 1 << span;
        state.stale_write |= held.fence < state.began[span];
        state.written |= 1 << span;
    }

    /// The leader takes a report.
    fn deliver(&self, state: &mut State, report: &Report) {
        state.network.retain(|other| other != report);
        let is_older = |holder: &Holder| holder.worker == report.worker && holder.session != report.session;
        let known = state.heard[report.worker];
        if !self.rules.old_sessions_let_go {
            state.heard[report.worker] = Some(report.session);
        }
        if self.rules.old_sessions_let_go || known.is_some_and(|known| known != report.session) {
            state.let_go(is_older);
        }
        let mut reply = Reply { granted: None, is_dropped: false, split_wanted: false, split_done: false };
        if let Some(held) = &report.held {
            take_unit(&mut state.leader, report, held, &mut reply);
        }
        if self.rules.unnamed_let_go {
            let named = report.held.map(|held| held.fence);
            let is_own = |holder: &Holder| holder.worker == report.worker && holder.session == report.session;
            state.let_go(|holder| is_own(holder) && Some(holder.fence) != named);
        }
        if report.held.is_none() {
            reply.granted = grant(&mut state.leader, report);
        }
        self.store(state);
        let worker = &mut state.workers[report.worker];
        if report.is_awaited {
            take_answer(worker, &reply);
        }
    }
}

impl State {
    /// The report may arrive all the same, its answer does not.
    fn stop_waiting(&mut self, number: usize) {
        self.workers[number].awaits = false;
        for report in self.network.iter_mut().filter(|report| report.worker == number) {
            report.is_awaited = false;
        }
    }

    fn let_go(&mut self, is_lost: impl Fn(&Holder) -> bool) {
        for unit in self.leader.units.iter_mut().flatten() {
            if unit.holder.as_ref().is_some_and(&is_lost) {
                unit.holder = None;
            }
        }
    }
}

fn take_unit(leader: &mut Decided, report: &Report, held: &Held, reply: &mut Reply) {
    let holder = Holder { worker: report.worker, session: report.session, fence: held.fence };
    let Some(unit) = leader.units[held.unit].as_mut().filter(|unit| unit.holder == Some(holder)) else {
        reply.is_dropped = true;
        return;
    };
    if held.aside != 0 {
        // Done again, it changes nothing.
        if unit.spans & held.aside != 0 {
            unit.spans &= !held.aside;
            leader.units[1] = Some(Unit { spans: held.aside, holder: None });
            leader.was_split = true;
        }
        reply.split_done = true;
    } else if held.spans & !held.written == 0 {
        leader.units[held.unit] = None;
        reply.is_dropped = true;
    } else {
        let other_is_idle = leader
            .units
            .iter()
            .flatten()
            .all(|unit| unit.holder.is_some_and(|holder| holder.worker == report.worker));
        reply.split_wanted = other_is_idle && !leader.was_split && held.unit == 0;
    }
}

fn grant(leader: &mut Decided, report: &Report) -> Option<Held> {
    let (number, unit) = leader.units.iter_mut().enumerate().find_map(|(number, unit)| {
        let unit = unit.as_mut().filter(|unit| unit.holder.is_none())?;
        Some((number, unit))
    })?;
    leader.last_fence += 1;
    let fence = leader.last_fence;
    unit.holder = Some(Holder { worker: report.worker, session: report.session, fence });
    Some(Held { unit: number, fence, spans: unit.spans, begun: 0, written: 0, aside: 0 })
}

fn take_answer(worker: &mut Worker, reply: &Reply) {
    worker.awaits = false;
    if reply.is_dropped {
        worker.held = None;
    }
    if let Some(held) = &mut worker.held {
        if reply.split_done {
            held.spans &= !held.aside;
            held.aside = 0;
        }
        if reply.split_wanted && held.spans == BOTH && held.written & SECOND == 0 && held.aside == 0 {
            held.aside = SECOND;
        }
    }
    if worker.held.is_none() {
        worker.held = reply.granted;
    }
}

fn begin(state: &mut State, number: usize, store: usize, enough: u32) {
    let Some(held) = state.workers[number].held.as_mut() else { return };
    let session = &mut state.sessions[store][held.unit];
    if *session > held.fence {
        state.workers[number].held = None;
        return;
    }
    *session = held.fence;
    held.begun |= 1 << store;
    if held.begun.count_ones() >= enough {
        for span in (0..2).filter(|span| held.spans & (1 << span) != 0) {
            state.began[span] = state.began[span].max(held.fence);
        }
    }
}

//! Claims of the registry, and where a study's rows lie.
//!
//! Two workers come upon the same study; each alone would place it in a shard of its own number. The home
//! has the registry, and shard 0. It may lose what is not durable, and be given up by the operator
//! (`workers forget`); then a new home has the registry, made from the shards that are left.

use stateright::{Model, Property};

use crate::check::Ends;

/// The rules, each with a switch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    /// No row is sent before its study is claimed.
    pub(crate) claim_before_row: bool,
    /// A claim is answered when it is durable.
    pub(crate) durable_before_answer: bool,
    /// A claim that exists is not replaced.
    pub(crate) first_claim_stays: bool,
    /// Whoever loses the home lets all units go: their next holders have new fences, begin everywhere and
    /// claim anew, and rows of the holders before are refused.
    pub(crate) lost_home_ends_units: bool,
    /// A registry is made from the rows that the shards hold.
    pub(crate) rebuilt_from_shards: bool,
    /// It is made when nobody with an older fence can add rows any more: somebody began everywhere.
    pub(crate) rebuilt_after_begin: bool,
    /// What a worker holds that was given up is not adopted when it comes back.
    pub(crate) forgotten_stay_forgotten: bool,
}

impl Rules {
    pub(crate) const ALL: Self = Self {
        claim_before_row: true,
        durable_before_answer: true,
        first_claim_stays: true,
        lost_home_ends_units: true,
        rebuilt_from_shards: true,
        rebuilt_after_begin: true,
        forgotten_stay_forgotten: true,
    };
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Claims {
    pub(crate) rules: Rules,
    /// Crashes of home or workers, and lost answers, together.
    pub(crate) faults: u8,
}

type Shard = usize;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Worker {
    /// Counts how often all units were let go; its fences are of this time.
    epoch: u8,
    asks: bool,
    /// The registry decided, and has not answered.
    decided: Option<Shard>,
    claim: Option<Shard>,
    is_done: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct State {
    workers: [Worker; 2],
    /// The registry answers: it is not one that must be made first.
    is_served: bool,
    memory: Option<Shard>,
    durable: Option<Shard>,
    /// The study has rows there that count.
    rows: [bool; 2],
    epoch: u8,
    /// Highest epoch that began, the same at all stores: `stores.rs` shows that they refuse what is older.
    begun: u8,
    /// The first home was given up; its folder has rows of the study, or not.
    forgotten: Option<bool>,
    came_back: bool,
    faults_left: u8,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Action {
    Begin(usize),
    Ask(usize),
    Decide(usize),
    MakeDurable,
    Answer(usize),
    LoseAnswer(usize),
    SendRow(usize),
    CrashWorker(usize),
    CrashHome,
    ForgetHome,
    Rebuild,
    ComeBack,
}

impl Model for Claims {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            workers: [Worker::default(); 2],
            is_served: true,
            memory: None,
            durable: None,
            rows: [false; 2],
            epoch: 1,
            begun: 0,
            forgotten: None,
            came_back: false,
            faults_left: self.faults,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for (number, worker) in state.workers.iter().enumerate() {
            self.work(state, number, worker, actions);
            if state.faults_left > 0 {
                actions.push(Action::CrashWorker(number));
            }
        }
        if !state.is_served && (state.begun == state.epoch || !self.rules.rebuilt_after_begin) {
            actions.push(Action::Rebuild);
        }
        if state.memory != state.durable {
            actions.push(Action::MakeDurable);
        }
        if state.faults_left > 0 {
            actions.push(Action::CrashHome);
        }
        if state.forgotten.is_none() {
            actions.push(Action::ForgetHome);
        } else if !state.came_back {
            actions.push(Action::ComeBack);
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut next = last.clone();
        match action {
            Action::Begin(number) => {
                let is_done = next.workers[number].is_done;
                next.workers[number] = Worker { epoch: next.epoch, is_done, ..Worker::default() };
                next.begun = next.epoch;
            }
            Action::Ask(number) => next.workers[number].asks = true,
            Action::Decide(number) => {
                let known = next.memory.filter(|_| self.rules.first_claim_stays);
                let shard = known.unwrap_or(number);
                next.memory = Some(shard);
                next.workers[number].decided = Some(shard);
            }
            Action::MakeDurable => next.durable = next.memory,
            Action::Answer(number) => {
                let worker = &mut next.workers[number];
                worker.claim = worker.decided.take();
                worker.asks = false;
            }
            Action::LoseAnswer(number) => {
                next.faults_left -= 1;
                next.workers[number].decided = None;
                next.workers[number].asks = false;
            }
            Action::SendRow(number) => self.send_row(&mut next, number),
            Action::CrashWorker(number) => {
                next.faults_left -= 1;
                // Its successor begins with a fence of this time.
                next.workers[number] = Worker::default();
            }
            Action::CrashHome => {
                next.faults_left -= 1;
                next.memory = next.durable;
                next.forget_questions();
            }
            Action::ForgetHome => self.forget_home(&mut next),
            Action::Rebuild => {
                let found = next.rows.iter().position(|has_rows| *has_rows);
                next.memory = found.filter(|_| self.rules.rebuilt_from_shards);
                next.durable = next.memory;
                next.is_served = true;
            }
            Action::ComeBack => {
                next.came_back = true;
                if !self.rules.forgotten_stay_forgotten && next.forgotten == Some(true) {
                    next.rows[0] = true;
                }
            }
        }
        (next != *last).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("a study is in one shard", |_, state: &State| state.rows != [true; 2]),
            Property::always("rows lie where a durable claim says", |_, state: &State| {
                !state.is_served
                    || state
                        .rows
                        .iter()
                        .enumerate()
                        .all(|(shard, has_rows)| !has_rows || state.durable == Some(shard))
            }),
            Property::sometimes("both are done in shard 1", |_, state: &State| {
                state.workers.iter().all(|worker| worker.is_done) && state.rows[1]
            }),
            Property::sometimes("a lost home's study is placed anew", |_, state: &State| {
                state.forgotten == Some(true) && state.rows[1]
            }),
        ]
    }
}

impl Ends for Claims {
    fn has_ended(&self, state: &State) -> bool {
        state.workers.iter().all(|worker| worker.is_done) && state.rows.contains(&true)
    }
}

impl Claims {
    fn work(&self, state: &State, number: usize, worker: &Worker, actions: &mut Vec<Action>) {
        if worker.epoch < state.epoch {
            // The leader gives the unit anew; whoever holds the older fence may not know yet.
            actions.push(Action::Begin(number));
        }
        if worker.epoch == 0 {
            return;
        }
        let may_call = !self.rules.lost_home_ends_units || worker.epoch >= state.begun;
        let knows_home = may_call && worker.epoch == state.epoch;
        match worker {
            Worker { claim: Some(_), .. } => actions.push(Action::SendRow(number)),
            Worker { decided: Some(_), .. } => {
                if !self.rules.durable_before_answer || state.durable == worker.decided {
                    actions.push(Action::Answer(number));
                }
                if state.faults_left > 0 {
                    actions.push(Action::LoseAnswer(number));
                }
            }
            Worker { asks: true, .. } if state.is_served => actions.push(Action::Decide(number)),
            Worker { asks: true, .. } => {}
            _ if knows_home => actions.push(Action::Ask(number)),
            _ => {}
        }
        if worker.claim.is_none() && !self.rules.claim_before_row {
            actions.push(Action::SendRow(number));
        }
    }

    fn send_row(&self, state: &mut State, number: usize) {
        let worker = &mut state.workers[number];
        let shard = worker.claim.unwrap_or(number);
        if worker.epoch < state.begun {
            // Refused by the store; the unit is given back.
            *worker = Worker::default();
            return;
        }
        worker.is_done = true;
        state.rows[shard] = true;
    }

    /// The home is given up, with the registry and shard 0.
    fn forget_home(&self, state: &mut State) {
        state.forgotten = Some(state.rows[0]);
        state.rows[0] = false;
        state.memory = None;
        state.durable = None;
        state.is_served = false;
        if self.rules.lost_home_ends_units {
            state.epoch += 1;
        }
        state.forget_questions();
        // What lay in the lost shard is read again.
        state.workers.iter_mut().for_each(|worker| worker.is_done = false);
    }
}

impl State {
    fn forget_questions(&mut self) {
        for worker in &mut self.workers {
            worker.asks = false;
            worker.decided = None;
        }
    }
}

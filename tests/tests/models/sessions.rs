//! Sessions of units at the stores.
//!
//! Two stores; a job of one unit whose lease may pass on, that may be cancelled, and a later job over the
//! same files. Holders are known by their fences, 1 to 3; none ever learns that its time is over, as if it
//! had slept, and each begins again wherever it is told that it did not begin. Stores lose their sessions
//! when they start again, and have the leader's table as of their last report.

use stateright::{Model, Property};

use crate::check::Ends;

/// The rules, each with a switch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    /// A store takes a write only under the fence that began last.
    pub(crate) writes_need_a_session: bool,
    /// A store that has no table yet lets nobody begin.
    pub(crate) begin_waits_for_table: bool,
    /// A unit begins only under the fence that the table names; otherwise under any that is not lower than
    /// what table and sessions know.
    pub(crate) table_names_who_begins: bool,
    /// A fence above the table's last one waits for a newer table: the one that the store has may name
    /// holders who lost their units before that fence was given.
    pub(crate) newer_fence_waits_for_table: bool,
    /// A table ends the sessions that it does not name.
    pub(crate) table_ends_sessions: bool,
    /// Who begins waits for writes of others that were let in before.
    pub(crate) begin_waits_for_writes: bool,
    /// A leader whose term is over answers nobody, even if it does not know yet who leads.
    pub(crate) term_is_checked: bool,
}

impl Rules {
    pub(crate) const ALL: Self = Self {
        writes_need_a_session: true,
        begin_waits_for_table: true,
        table_names_who_begins: true,
        newer_fence_waits_for_table: true,
        table_ends_sessions: true,
        begin_waits_for_writes: true,
        term_is_checked: true,
    };
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Sessions {
    pub(crate) rules: Rules,
    /// Restarts of stores.
    pub(crate) restarts: u8,
}

type Fence = usize;
const FENCES: Fence = 3;
const BOTH: u8 = 0b11;

/// Who holds a unit: number of the unit, and fence.
type Held = Option<(usize, Fence)>;

/// The leader's table, with the last fence that was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Table {
    held: Held,
    last_fence: Fence,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Store {
    /// Fence by unit; 0 for none.
    sessions: [Fence; 2],
    table: Option<Table>,
    /// Answered, and not taken yet.
    answer: Option<Table>,
    /// A write that was let in and is not applied yet.
    under_way: Option<Fence>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct State {
    held: Held,
    last_fence: Fence,
    second_job: bool,
    has_ended: bool,
    /// What the leader before believes, which does not know that it is none.
    deposed: Option<Table>,
    /// By fence: the unit, and where it began, as bits.
    holders: [(usize, u8); FENCES + 1],
    stores: [Store; 2],
    /// Highest fence that began everywhere.
    began: Fence,
    stale_write: bool,
    restarts_left: u8,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Action {
    LeaseEnds,
    Cancel,
    Finish,
    NextJob,
    FailOver,
    Answer { store: usize },
    AnswerOfDeposed { store: usize },
    TakeAnswer { store: usize },
    Begin { fence: Fence, store: usize },
    LetWriteIn { fence: Fence, store: usize },
    ApplyWrite { store: usize },
    Restart { store: usize },
}

impl Model for Sessions {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let mut state = State {
            held: None,
            last_fence: 0,
            second_job: false,
            has_ended: false,
            deposed: None,
            holders: [(0, 0); FENCES + 1],
            stores: [Store::default(); 2],
            began: 0,
            stale_write: false,
            restarts_left: self.restarts,
        };
        state.grant(0);
        vec![state]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.has_ended {
            return;
        }
        leads(state, actions);
        for store in 0..2 {
            let known = &state.stores[store];
            if known.answer.is_some() {
                actions.push(Action::TakeAnswer { store });
            }
            if known.table != Some(state.table()) {
                actions.push(Action::Answer { store });
            }
            if state.deposed.is_some() && !self.rules.term_is_checked {
                actions.push(Action::AnswerOfDeposed { store });
            }
            if known.under_way.is_some() {
                actions.push(Action::ApplyWrite { store });
            }
            if state.restarts_left > 0 {
                actions.push(Action::Restart { store });
            }
            for fence in 1..=state.last_fence {
                if self.may_begin(state, fence, known) {
                    actions.push(Action::Begin { fence, store });
                }
                if self.may_write(state, fence, known) {
                    actions.push(Action::LetWriteIn { fence, store });
                }
            }
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut next = last.clone();
        match action {
            Action::LeaseEnds => next.grant(last.held?.0),
            Action::Cancel => next.held = None,
            Action::Finish => {
                next.held = None;
                next.has_ended = next.second_job;
            }
            Action::NextJob => {
                next.second_job = true;
                next.grant(1);
            }
            Action::FailOver => next.deposed = Some(last.table()),
            Action::Answer { store } => next.stores[store].answer = Some(last.table()),
            Action::AnswerOfDeposed { store } => next.stores[store].answer = last.deposed,
            Action::TakeAnswer { store } => self.take_answer(&mut next.stores[store]),
            Action::Begin { fence, store } => {
                let (unit, begun) = &mut next.holders[fence];
                next.stores[store].sessions[*unit] = fence;
                *begun |= 1 << store;
                if *begun == BOTH {
                    next.began = next.began.max(fence);
                }
            }
            Action::LetWriteIn { fence, store } => next.stores[store].under_way = Some(fence),
            Action::ApplyWrite { store } => {
                let fence = next.stores[store].under_way.take()?;
                next.stale_write |= fence < next.began;
            }
            Action::Restart { store } => {
                next.restarts_left -= 1;
                next.stores[store] = Store::default();
            }
        }
        (next != *last).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("no stale write counts", |_, state: &State| !state.stale_write),
            Property::sometimes("three holders begin", |_, state: &State| state.began == FENCES),
            Property::sometimes("a later job ends", |_, state: &State| state.has_ended),
        ]
    }
}

impl Ends for Sessions {
    /// Fences are few: where none is left for a second job, or that was cancelled, that is the end too.
    fn has_ended(&self, state: &State) -> bool {
        state.has_ended || (state.held.is_none() && (state.second_job || state.last_fence == FENCES))
    }
}

impl Sessions {
    fn may_begin(&self, state: &State, fence: Fence, store: &Store) -> bool {
        let (unit, _) = state.holders[fence];
        let is_free =
            store.under_way.is_none_or(|other| other == fence) || !self.rules.begin_waits_for_writes;
        let allowed = match store.table {
            None => !self.rules.begin_waits_for_table && store.sessions[unit] < fence,
            Some(table) if table.last_fence < fence && !self.rules.newer_fence_waits_for_table => true,
            Some(table) if self.rules.table_names_who_begins => table.held == Some((unit, fence)),
            Some(table) => {
                let known = table.held.filter(|(of, _)| *of == unit).map_or(0, |(_, fence)| fence);
                known.max(store.sessions[unit]) <= fence
            }
        };
        is_free && allowed && store.sessions[unit] < fence
    }

    fn may_write(&self, state: &State, fence: Fence, store: &Store) -> bool {
        let (unit, begun) = state.holders[fence];
        let has_session = store.sessions[unit] == fence || !self.rules.writes_need_a_session;
        begun == BOTH && has_session && store.under_way.is_none()
    }

    fn take_answer(&self, store: &mut Store) {
        store.table = store.answer.take().or(store.table);
        let Some(table) = store.table else { return };
        if self.rules.table_ends_sessions {
            for (unit, session) in store.sessions.iter_mut().enumerate() {
                if table.held != Some((unit, *session)) && *session <= table.last_fence {
                    *session = 0;
                }
            }
        }
    }
}

impl State {
    fn table(&self) -> Table {
        Table { held: self.held, last_fence: self.last_fence }
    }

    fn grant(&mut self, unit: usize) {
        self.last_fence += 1;
        self.held = Some((unit, self.last_fence));
        self.holders[self.last_fence] = (unit, 0);
    }
}

/// What the leader may do.
fn leads(state: &State, actions: &mut Vec<Action>) {
    let may_grant = state.last_fence < FENCES;
    if let Some((_, fence)) = state.held {
        if may_grant {
            actions.extend([Action::LeaseEnds, Action::Cancel]);
        }
        if state.holders[fence].1 == BOTH {
            actions.push(Action::Finish);
        }
    } else if may_grant && !state.second_job {
        actions.push(Action::NextJob);
    }
    if state.deposed.is_none() {
        actions.push(Action::FailOver);
    }
}

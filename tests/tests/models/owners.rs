//! Who serves a shard.
//!
//! Worker 0 owns it, falls silent, and may be given up (`workers forget`): then worker 1 owns it, with an
//! empty file that is filled from the files. A lease is counted from the moment before its report was sent,
//! and the leader counts it from the report's arrival, which is later. So the model has no clock: where
//! the leader waits, all leases that were given are over, those in answers that were not taken yet too.

use stateright::{Model, Property};

use crate::check::Ends;

/// The rules, each with a switch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    /// An owner whose lease is over serves nobody.
    pub(crate) lease_is_checked: bool,
    /// The lease counts from before the report, and not from the answer.
    pub(crate) lease_from_report: bool,
    /// The lease runs while the machine sleeps.
    pub(crate) sleep_counts: bool,
    /// A leader waits a whole lease before it gives up a worker of which it has not heard.
    pub(crate) new_leader_waits: bool,
    /// A leader whose term is over answers nobody, even if it does not know yet who leads.
    pub(crate) term_is_checked: bool,
}

impl Rules {
    pub(crate) const ALL: Self = Self {
        lease_is_checked: true,
        lease_from_report: true,
        sleep_counts: true,
        new_leader_waits: true,
        term_is_checked: true,
    };
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Owners {
    pub(crate) rules: Rules,
    /// Restarts of workers.
    pub(crate) restarts: u8,
}

/// A report, as its sender sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
enum Report {
    #[default]
    None,
    Sent {
        is_old: bool,
    },
    /// With the owner that the answer names.
    Answered {
        is_old: bool,
        owner: usize,
    },
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Worker {
    has_lease: bool,
    /// Who owns the shard, as it was told.
    owner: Option<usize>,
    report: Report,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct State {
    workers: [Worker; 2],
    owner: usize,
    /// This leader has heard of them.
    heard: [bool; 2],
    /// Owner in the view of the leader before, which does not know that it is none.
    deposed: Option<usize>,
    /// A row lies in the new file, and its writer was told so.
    new_row: bool,
    /// Somebody asked after that, and was answered without it.
    wrong_answer: bool,
    restarts_left: u8,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Action {
    Send(usize),
    Answer(usize),
    AnswerOfDeposed(usize),
    LoseAnswer(usize),
    TakeAnswer(usize),
    LeaseEnds(usize),
    Read(usize),
    Write,
    Forget,
    FailOver,
    Restart(usize),
}

impl Model for Owners {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            workers: Default::default(),
            owner: 0,
            heard: [false; 2],
            deposed: None,
            new_row: false,
            wrong_answer: false,
            restarts_left: self.restarts,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for number in 0..2 {
            match state.workers[number].report {
                Report::None => actions.push(Action::Send(number)),
                Report::Sent { .. } => {
                    actions.extend([Action::Answer(number), Action::LoseAnswer(number)]);
                    if state.deposed.is_some() && !self.rules.term_is_checked {
                        actions.push(Action::AnswerOfDeposed(number));
                    }
                }
                Report::Answered { .. } => actions.push(Action::TakeAnswer(number)),
            }
            if self.serves(state, number) {
                actions.push(Action::Read(number));
            }
            actions.push(Action::LeaseEnds(number));
            if state.restarts_left > 0 {
                actions.push(Action::Restart(number));
            }
        }
        if self.serves(state, 1) {
            actions.push(Action::Write);
        }
        if state.owner == 0 {
            actions.push(Action::Forget);
        }
        if state.deposed.is_none() {
            actions.push(Action::FailOver);
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut next = last.clone();
        match action {
            Action::Send(number) => next.workers[number].report = Report::Sent { is_old: false },
            Action::Answer(number) => {
                next.heard[number] = true;
                next.workers[number].report.answer(last.owner);
            }
            Action::AnswerOfDeposed(number) => next.workers[number].report.answer(last.deposed?),
            Action::LoseAnswer(number) => next.workers[number].report = Report::None,
            Action::TakeAnswer(number) => {
                let worker = &mut next.workers[number];
                let Report::Answered { is_old, owner } = worker.report else { return None };
                worker.has_lease = !is_old || !self.rules.lease_from_report;
                worker.owner = Some(owner);
                worker.report = Report::None;
            }
            Action::LeaseEnds(number) => next.workers[number].has_lease = false,
            Action::Read(number) => next.wrong_answer |= number == 0 && next.new_row,
            Action::Write => next.new_row = true,
            Action::Forget => {
                if last.heard[0] || self.rules.new_leader_waits {
                    self.wait(&mut next.workers[0]);
                }
                next.owner = 1;
            }
            Action::FailOver => {
                next.deposed = Some(last.owner);
                next.heard = [false; 2];
            }
            Action::Restart(number) => {
                next.restarts_left -= 1;
                next.workers[number] = Worker::default();
            }
        }
        (next != *last).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("one owner serves", |model: &Self, state: &State| {
                !(model.serves(state, 0) && model.serves(state, 1))
            }),
            Property::always("no complete answer lacks a row", |_, state: &State| !state.wrong_answer),
            Property::sometimes("the first owner serves", |model: &Self, state: &State| {
                model.serves(state, 0)
            }),
            Property::sometimes("a new leader has the new owner serve", |_, state: &State| {
                state.new_row && state.deposed == Some(0)
            }),
        ]
    }
}

impl Ends for Owners {
    fn has_ended(&self, state: &State) -> bool {
        state.new_row
    }
}

impl Owners {
    fn serves(&self, state: &State, number: usize) -> bool {
        let worker = &state.workers[number];
        worker.owner == Some(number) && (worker.has_lease || !self.rules.lease_is_checked)
    }

    /// Time passes until all leases that were given are over.
    fn wait(&self, worker: &mut Worker) {
        if self.rules.sleep_counts {
            worker.has_lease = false;
        }
        match &mut worker.report {
            Report::None => {}
            // It has not arrived: if it does, the leader of then counts from that moment.
            Report::Sent { is_old } | Report::Answered { is_old, .. } => *is_old = true,
        }
    }
}

impl Report {
    fn answer(&mut self, owner: usize) {
        if let Self::Sent { is_old } = *self {
            *self = Self::Answered { is_old, owner };
        }
    }
}

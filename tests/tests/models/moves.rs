//! A shard moves from worker 0 to worker 1.
//!
//! Worker 0 serves and writes while it is copied; the last pass stops its writes; the leader releases the shard, waits until
//! worker 0 has heard that (or its lease is over), and names worker 1. That leases do what they promise is the `owners`
//! model's part: here a report and its answer are one step.

use stateright::{Model, Property};

use crate::check::Ends;

/// The rules, each with a switch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    /// The last pass stops writes.
    pub(crate) last_pass_stops_writes: bool,
    /// Nobody owns the shard until its owner has heard that it is released.
    pub(crate) released_before_named: bool,
    /// What arrived for an earlier move does not count.
    pub(crate) move_is_compared: bool,
    /// What arrived from an earlier process of the owner does not count.
    pub(crate) process_is_compared: bool,
    /// A shard that has arrived is put in its place before it is served.
    pub(crate) installed_before_served: bool,
    /// The owner removes its file only once the map names another owner.
    pub(crate) removed_last: bool,
}

impl Rules {
    pub(crate) const ALL: Self = Self {
        last_pass_stops_writes: true,
        released_before_named: true,
        move_is_compared: true,
        process_is_compared: true,
        installed_before_served: true,
        removed_last: true,
    };
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Moves {
    pub(crate) rules: Rules,
    /// Moves that may be ordered, restarts of each worker, rows that are written.
    pub(crate) orders: u8,
    pub(crate) restarts: u8,
    pub(crate) rows: u8,
}

/// What the map says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Map {
    /// Worker 0 owns it.
    Old,
    /// Worker 0 owns it, and worker 1 fetches it, by a move of this number.
    Moving(u8),
    /// Nobody owns it.
    Released(u8),
    /// Worker 1 owns it.
    New,
}

/// What worker 1 has fetched whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Arrived {
    rows: u8,
    number: u8,
    process: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct State {
    map: Map,
    /// The process of worker 0 of which the leader has heard.
    known_process: u8,
    /// As each worker has heard it last; `None` since it was started.
    heard: [Option<Map>; 2],
    has_lease: [bool; 2],
    process: u8,
    paused_for: Option<u8>,
    /// Rows in the files of both; `None` without a file.
    files: [Option<u8>; 2],
    arrived: Option<Arrived>,
    /// Rows of which the writer was told that they are there.
    acknowledged: u8,
    /// Somebody was answered without one of them.
    wrong_answer: bool,
    ordered: u8,
    restarts_left: [u8; 2],
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Action {
    Order,
    Report(usize),
    LeaseEnds(usize),
    OwnerIsSilent,
    ReceiverIsSilent,
    LastPass,
    Install,
    Discard,
    Remove,
    Write(usize),
    Read(usize),
    Restart(usize),
}

impl Model for Moves {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            map: Map::Old,
            known_process: 0,
            heard: [Some(Map::Old); 2],
            has_lease: [true; 2],
            process: 0,
            paused_for: None,
            files: [Some(0), None],
            arrived: None,
            acknowledged: 0,
            wrong_answer: false,
            ordered: 0,
            restarts_left: [self.restarts; 2],
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        actions.extend([Action::Order, Action::LastPass, Action::Install, Action::Discard, Action::Remove]);
        actions.extend([Action::OwnerIsSilent, Action::ReceiverIsSilent]);
        for number in 0..2 {
            actions.extend([Action::Report(number), Action::LeaseEnds(number), Action::Restart(number)]);
            if self.serves(state, number) {
                actions.extend([Action::Write(number), Action::Read(number)]);
            }
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut next = last.clone();
        match action {
            Action::Order if last.map == Map::Old && last.ordered < self.orders => {
                next.ordered += 1;
                next.map = Map::Moving(next.ordered);
            }
            Action::Report(0) => {
                next.known_process = last.process;
                if let (Map::Released(_), Some(Map::Released(_))) = (last.map, last.heard[0]) {
                    next.map = Map::New;
                }
                self.hear(&mut next, 0);
            }
            Action::Report(_) => {
                if let (Map::Moving(number), Some(arrived)) = (last.map, last.arrived)
                    && (arrived.number == number || !self.rules.move_is_compared)
                    && (arrived.process == last.known_process || !self.rules.process_is_compared)
                {
                    next.map =
                        if self.rules.released_before_named { Map::Released(number) } else { Map::New };
                }
                self.hear(&mut next, 1);
            }
            Action::LeaseEnds(number) => next.has_lease[number] = false,
            Action::OwnerIsSilent if !last.has_lease[0] && matches!(last.map, Map::Released(_)) => {
                next.map = Map::New;
            }
            Action::ReceiverIsSilent if !last.has_lease[1] && matches!(last.map, Map::Moving(_)) => {
                next.map = Map::Old;
            }
            Action::LastPass => {
                let (Some(Map::Moving(number)), true) = (last.heard[0], last.has_lease[0]) else {
                    return None;
                };
                if last.heard[1] != Some(Map::Moving(number)) {
                    return None;
                }
                if self.rules.last_pass_stops_writes {
                    next.paused_for = Some(number);
                }
                next.arrived = Some(Arrived { rows: last.files[0]?, number, process: last.process });
            }
            Action::Install if last.heard[1] == Some(Map::New) => {
                next.files[1] = Some(last.arrived?.rows);
                next.arrived = None;
            }
            Action::Discard if last.heard[1] == Some(Map::Old) => next.arrived = None,
            Action::Remove => {
                let is_free = match last.heard[0] {
                    Some(Map::New) => true,
                    Some(Map::Moving(_) | Map::Released(_)) => !self.rules.removed_last,
                    _ => false,
                };
                if !is_free || last.paused_for.is_none() && last.heard[0] != Some(Map::New) {
                    return None;
                }
                next.files[0] = None;
            }
            Action::Write(number) if last.acknowledged < self.rows => {
                if number == 0 && last.paused_for.is_some() {
                    return None;
                }
                next.files[number] = Some(last.files[number].unwrap_or_default() + 1);
                next.acknowledged += 1;
            }
            Action::Read(number) => {
                next.wrong_answer |= last.files[number].unwrap_or_default() < last.acknowledged;
            }
            Action::Restart(number) if last.restarts_left[number] > 0 => {
                next.restarts_left[number] -= 1;
                next.heard[number] = None;
                next.has_lease[number] = false;
                if number == 0 {
                    next.process += 1;
                    next.paused_for = None;
                }
            }
            _ => return None,
        }
        (next != *last).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("one worker serves", |model: &Self, state: &State| {
                !(model.serves(state, 0) && model.serves(state, 1))
            }),
            Property::always("no answer lacks a row", |_, state: &State| !state.wrong_answer),
            Property::always("every row lies somewhere", |_, state: &State| {
                let arrived = state.arrived.map(|arrived| arrived.rows);
                state.files.into_iter().chain([arrived]).flatten().max() == Some(state.acknowledged)
            }),
            Property::sometimes("it moves with its rows, and more come", |model: &Self, state: &State| {
                state.files == [None, Some(model.rows)]
            }),
            Property::sometimes("it stays, and more come", |model: &Self, state: &State| {
                state.map == Map::Old && state.ordered > 0 && state.files[0] == Some(model.rows)
            }),
        ]
    }
}

impl Ends for Moves {
    fn has_ended(&self, state: &State) -> bool {
        state.acknowledged == self.rows && (self.serves(state, 0) || self.serves(state, 1))
    }
}

impl Moves {
    fn serves(&self, state: &State, number: usize) -> bool {
        let is_own = match (number, state.heard[number]) {
            (0, Some(Map::Old | Map::Moving(_))) => true,
            (1, Some(Map::New)) => state.arrived.is_none() || !self.rules.installed_before_served,
            _ => false,
        };
        is_own && state.has_lease[number]
    }

    /// A worker hears the map, and has a lease.
    fn hear(&self, state: &mut State, number: usize) {
        state.heard[number] = Some(state.map);
        state.has_lease[number] = true;
        let is_paused_for = |paused: &mut u8| matches!(state.map, Map::Moving(number) | Map::Released(number) if number == *paused);
        if number == 0 {
            state.paused_for = state.paused_for.take_if(|paused| is_paused_for(paused));
        }
    }
}

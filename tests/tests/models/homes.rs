//! Ledger and registry move from worker 0 to worker 1, which have them in two files.
//!
//! What they share with a shard (passes, release, leases, processes that are told apart) is the `moves` model's part.
//! Here the coordinators' state may be lost, answers to reports may be, the new home may die between the two files, and may
//! be given up: then worker 0 is home once more, with nothing.

use stateright::{Model, Property};

use crate::check::Ends;

/// The rules, each with a switch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    /// The last pass over either file stops writes to both.
    pub(crate) last_pass_stops_both: bool,
    /// It is decided, durably, that both will be in their places before the first one is, and an opening completes that.
    pub(crate) decided_first: bool,
    /// The old home keeps what it has until the new one has said that both are in their places.
    pub(crate) kept_until_installed: bool,
    /// A ledger that was leaving is not taken for the cluster's if the state is lost.
    pub(crate) leaving_is_weak: bool,
    /// It is taken back only once the other one has heard that the map of before is none any more.
    pub(crate) heard_before_taken_back: bool,
    /// A home that is named after its ledger has left begins with nothing.
    pub(crate) begins_with_nothing: bool,
}

impl Rules {
    pub(crate) const ALL: Self = Self {
        last_pass_stops_both: true,
        decided_first: true,
        kept_until_installed: true,
        leaving_is_weak: true,
        heard_before_taken_back: true,
        begins_with_nothing: true,
    };
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Homes {
    pub(crate) rules: Rules,
    /// Moves that may be ordered, restarts of each worker, records that are written.
    pub(crate) orders: u8,
    pub(crate) restarts: u8,
    pub(crate) rows: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Stage {
    Stays,
    Moving(u8),
    Released(u8),
    /// The new home puts both in their places.
    Named(u8),
}

/// What the leader says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Map {
    home: Option<usize>,
    stage: Stage,
    /// How often somebody was named who begins with nothing.
    begun: u8,
    /// Grows when the state is lost.
    generation: u8,
}

/// Records in the ledger, and what the registry knows of them.
type Pair = (u8, u8);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct State {
    map: Map,
    /// The leader finds out who is home.
    recovers: bool,
    heard: [Option<Map>; 2],
    has_lease: [bool; 2],
    /// What each has in the places of both files; `None`: nothing.
    files: [Option<Pair>; 2],
    begun: [u8; 2],
    paused_for: Option<u8>,
    /// Worker 0: the last pass began for this move.
    leaving: Option<u8>,
    /// Worker 1: the ledger has come by this move, and both have.
    half: Option<(u8, u8)>,
    arrived: Option<(u8, Pair)>,
    /// Worker 1: the ledger is in its place, the registry is not.
    is_half_placed: bool,
    is_decided: bool,
    /// Worker 1 says that it is home.
    claims: bool,
    /// What worker 1 has said to the leader that makes the map anew: whether it is home, and the generation that it knew.
    said: Option<(bool, u8)>,
    weak: bool,
    written: u8,
    wrong_answer: bool,
    ordered: u8,
    restarts_left: [u8; 2],
    may_lose: bool,
    may_forget: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Action {
    Order,
    Report(usize),
    /// The answer is lost.
    ReportUnheard(usize),
    LeaseEnds(usize),
    FetchLedger,
    FetchRegistry,
    Decide,
    PlaceLedger,
    PlaceRegistry,
    Discard,
    Stay,
    Remove,
    BeginAnew,
    Silent(usize),
    Write(usize),
    Read(usize),
    Restart(usize),
    LoseState,
    TakeBack,
    Forget,
    NameAnew,
}

impl Model for Homes {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let map = Map { home: Some(0), stage: Stage::Stays, begun: 0, generation: 0 };
        vec![State {
            map,
            recovers: false,
            heard: [Some(map); 2],
            has_lease: [true; 2],
            files: [Some((0, 0)), None],
            begun: [0; 2],
            paused_for: None,
            leaving: None,
            half: None,
            arrived: None,
            is_half_placed: false,
            is_decided: false,
            claims: false,
            said: None,
            weak: false,
            written: 0,
            wrong_answer: false,
            ordered: 0,
            restarts_left: [self.restarts; 2],
            may_lose: true,
            may_forget: true,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        actions.extend([Action::Order, Action::FetchLedger, Action::FetchRegistry, Action::Decide]);
        actions.extend([Action::PlaceLedger, Action::PlaceRegistry, Action::Discard, Action::Stay]);
        actions.extend([Action::Remove, Action::BeginAnew, Action::LoseState, Action::TakeBack]);
        actions.extend([Action::Forget, Action::NameAnew]);
        for number in 0..2 {
            actions.extend([Action::Report(number), Action::ReportUnheard(number)]);
            actions.extend([Action::LeaseEnds(number), Action::Restart(number), Action::Silent(number)]);
            if self.serves(state, number) {
                actions.extend([Action::Write(number), Action::Read(number)]);
            }
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut next = last.clone();
        match action {
            Action::Order if last.map.home == Some(0) && last.map.stage == Stage::Stays => {
                if last.ordered == self.orders || last.recovers {
                    return None;
                }
                next.ordered += 1;
                next.map.stage = Stage::Moving(next.ordered);
            }
            Action::Report(number) => {
                self.take_report(&mut next, number);
                next.heard[number] = Some(next.map);
                next.has_lease[number] = true;
                let goes_on = |paused: &u8| matches!(next.map.stage, Stage::Moving(n) | Stage::Released(n) | Stage::Named(n) if n == *paused);
                if number == 0 {
                    next.paused_for = last.paused_for.filter(goes_on);
                }
            }
            Action::ReportUnheard(number) => self.take_report(&mut next, number),
            Action::LeaseEnds(number) => next.has_lease[number] = false,
            Action::Silent(0) if !last.has_lease[0] => self.name_new(&mut next)?,
            Action::Silent(1) if !last.has_lease[1] => match last.map.stage {
                Stage::Moving(_) | Stage::Released(_) => next.map.stage = Stage::Stays,
                _ => return None,
            },
            Action::FetchLedger | Action::FetchRegistry => self.fetch(&mut next, action)?,
            Action::Decide if self.installs(last) => {
                next.claims = true;
                next.is_decided = self.rules.decided_first;
            }
            Action::PlaceLedger if last.claims && !last.is_half_placed => {
                let (_, (ledger, _)) = last.arrived.filter(|_| last.is_decided || self.installs(last))?;
                next.files[1] = Some((ledger, last.files[1].map_or(0, |(_, registry)| registry)));
                next.is_half_placed = true;
            }
            Action::PlaceRegistry if last.is_half_placed => end_placing(&mut next),
            Action::Discard => {
                let map = last.heard[1].filter(|map| map.home != Some(1) && map.stage == Stage::Stays)?;
                if map.home.is_none() || last.is_decided || last.is_half_placed {
                    return None;
                }
                (next.arrived, next.half) = (None, None);
            }
            Action::Stay => {
                let map = last.heard[0].filter(|map| map.home == Some(0) && map.stage == Stage::Stays)?;
                if self.rules.begins_with_nothing && map.begun > last.begun[0] {
                    return None;
                }
                next.leaving = None;
            }
            Action::Remove => {
                let map = last.heard[0].filter(|map| map.home == Some(1) && last.leaving.is_some())?;
                let is_over = map.stage == Stage::Stays
                    || (matches!(map.stage, Stage::Named(_)) && !self.rules.kept_until_installed);
                if !is_over {
                    return None;
                }
                (next.files[0], next.leaving) = (None, None);
            }
            Action::BeginAnew => {
                let map = last.heard[0].filter(|map| map.home == Some(0) && map.begun > last.begun[0])?;
                next.begun[0] = map.begun;
                if self.rules.begins_with_nothing || last.files[0].is_none() {
                    (next.files[0], next.leaving) = (Some((0, 0)), None);
                }
            }
            Action::Write(number) if last.written < self.rows => {
                if number == 0 && last.paused_for.is_some() {
                    return None;
                }
                let (ledger, registry) = last.files[number].unwrap_or_default();
                next.files[number] = Some((ledger + 1, registry + 1));
                next.written += 1;
            }
            Action::Read(number) => {
                next.wrong_answer |= last.files[number].unwrap_or_default() != (last.written, last.written);
            }
            Action::Restart(number) if last.restarts_left[number] > 0 => self.restart(&mut next, number),
            // What is lost together with the order to begin with nothing is given up, too.
            Action::LoseState if last.may_lose && last.map.home.is_some() => {
                if last.map.begun > last.begun[0] {
                    return None;
                }
                next.may_lose = false;
                next.recovers = true;
                next.has_lease = [false; 2];
                let begun = last.map.begun;
                next.map =
                    Map { home: None, stage: Stage::Stays, begun, generation: last.map.generation + 1 };
                (next.said, next.weak) = (None, false);
            }
            Action::TakeBack if last.recovers && last.weak => {
                let (is_home, generation) = last.said?;
                let has_heard = generation == last.map.generation || !self.rules.heard_before_taken_back;
                if is_home || !has_heard {
                    return None;
                }
                (next.map.home, next.recovers) = (Some(0), false);
            }
            Action::Forget if last.may_forget && last.map.home == Some(1) && !last.has_lease[1] => {
                next.may_forget = false;
                next.map.home = None;
                next.map.stage = Stage::Stays;
                (next.files[1], next.half, next.arrived) = (None, None, None);
                (next.claims, next.is_decided, next.is_half_placed) = (false, false, false);
                next.heard[1] = None;
            }
            Action::NameAnew if last.map.home.is_none() && !last.recovers => {
                next.map.home = Some(0);
                next.map.begun += 1;
                // What was written is given up with worker 1.
                next.written = 0;
            }
            _ => return None,
        }
        (next != *last).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("one worker is home", |model: &Self, state: &State| {
                !(model.serves(state, 0) && model.serves(state, 1))
            }),
            Property::always("no answer is wrong", |_, state: &State| !state.wrong_answer),
            Property::sometimes("it moves with its records, and more come", |model: &Self, state: &State| {
                state.files == [None, Some((model.rows, model.rows))]
            }),
            Property::sometimes("it stays though the state was lost", |model: &Self, state: &State| {
                !state.may_lose && state.ordered > 0 && model.serves(state, 0) && state.written == model.rows
            }),
            Property::sometimes("it has moved though the state was lost", |model: &Self, state: &State| {
                !state.may_lose && model.serves(state, 1) && state.written == model.rows
            }),
        ]
    }
}

impl Ends for Homes {
    fn has_ended(&self, state: &State) -> bool {
        let is_whole =
            |number: usize| state.files[number].unwrap_or_default() == (state.written, state.written);
        (0..2).any(|number| self.serves(state, number) && is_whole(number))
    }
}

fn end_placing(state: &mut State) {
    if let Some((_, pair)) = state.arrived.take() {
        state.files[1] = Some(pair);
    }
    (state.is_half_placed, state.is_decided, state.half) = (false, false, None);
}

impl Homes {
    fn serves(&self, state: &State, number: usize) -> bool {
        let Some(map) = state.heard[number] else { return false };
        let is_own = map.home == Some(number) && !matches!(map.stage, Stage::Released(_));
        let is_here = number == 0 || (state.arrived.is_none() && !state.is_half_placed);
        // Worker 1 is never home but with what has come.
        let has_begun = number == 1 || state.begun[0] >= map.begun;
        is_own && is_here && state.has_lease[number] && has_begun
    }

    /// Whether worker 1 has heard that it is home, and has both.
    fn installs(&self, state: &State) -> bool {
        let Some((number, _)) = state.arrived else { return false };
        state.heard[1].is_some_and(|map| {
            map.home == Some(1) && matches!(map.stage, Stage::Named(n) if n == number)
                || self.stays_own(state, &map)
        })
    }

    /// The state was lost when it was about to put both in their places.
    fn stays_own(&self, state: &State, map: &Map) -> bool {
        map.home == Some(1) && map.stage == Stage::Stays && state.arrived.is_some()
    }

    fn fetch(&self, next: &mut State, action: Action) -> Option<()> {
        let map = next.heard[1]?;
        let Stage::Moving(number) = map.stage else { return None };
        if next.heard[0].map(|map| map.stage) != Some(map.stage) || !self.serves(next, 0) {
            return None;
        }
        let (ledger, registry) = next.files[0]?;
        match action {
            Action::FetchLedger if next.arrived.is_none_or(|(arrived, _)| arrived != number) => {
                (next.half, next.arrived) = (Some((number, ledger)), None);
            }
            Action::FetchLedger => return None,
            _ => {
                let (_, ledger) = next.half.filter(|(half, _)| *half == number)?;
                // Told apart by the owner's process, as of `moves`: started again it has lost its pause.
                if self.rules.last_pass_stops_both && next.paused_for != Some(number) {
                    next.half = None;
                    return Some(());
                }
                next.arrived = Some((number, (ledger, registry)));
            }
        }
        if self.rules.last_pass_stops_both || matches!(action, Action::FetchRegistry) {
            next.paused_for = Some(number);
        }
        next.leaving = Some(number);
        Some(())
    }

    fn take_report(&self, next: &mut State, number: usize) {
        if next.recovers {
            self.take_claim(next, number);
            return;
        }
        match (number, next.map.stage) {
            (0, Stage::Released(_)) if matches!(next.heard[0], Some(map) if map.stage == next.map.stage) => {
                let _ = self.name_new(next);
            }
            // The leader knows worker 0's process: while it is paused, it is the one that stopped writing.
            (1, Stage::Moving(n)) if next.arrived.is_some_and(|(arrived, _)| arrived == n) => {
                if next.paused_for == Some(n) {
                    next.map.stage = Stage::Released(n);
                } else {
                    // Both are fetched again.
                    (next.half, next.arrived) = (None, None);
                }
            }
            (1, Stage::Released(_)) if next.arrived.is_none() => next.map.stage = Stage::Stays,
            (1, Stage::Named(_)) => {
                let has_heard = next.heard[1].is_some_and(|map| map.stage == next.map.stage);
                if has_heard && next.arrived.is_none() {
                    next.map.stage = Stage::Stays;
                }
            }
            _ => {}
        }
    }

    fn take_claim(&self, next: &mut State, number: usize) {
        if number == 1 {
            let generation = next.heard[1].map_or(u8::MAX, |map| map.generation);
            next.said = Some((next.claims, generation));
        }
        let claims = if number == 0 { next.files[0].is_some() } else { next.claims };
        let is_weak = number == 0 && next.leaving.is_some() && self.rules.leaving_is_weak;
        if claims && is_weak {
            next.weak = true;
        } else if claims {
            (next.map.home, next.recovers) = (Some(number), false);
        }
    }

    fn name_new(&self, next: &mut State) -> Option<()> {
        let Stage::Released(number) = next.map.stage else { return None };
        next.map = Map { home: Some(1), stage: Stage::Named(number), ..next.map };
        Some(())
    }

    fn restart(&self, next: &mut State, number: usize) {
        next.restarts_left[number] -= 1;
        next.heard[number] = None;
        next.has_lease[number] = false;
        if number == 0 {
            next.paused_for = None;
            return;
        }
        if next.is_decided {
            end_placing(next);
        } else if next.is_half_placed {
            // Ledger and registry are not of one mind: both are made anew of the shards that happen to be here.
            (next.files[1], next.arrived, next.is_half_placed) = (Some((0, 0)), None, false);
        }
        next.claims = next.files[1].is_some();
    }
}

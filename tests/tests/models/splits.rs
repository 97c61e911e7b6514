//! A shard is split while a unit writes to it and somebody reads.
//!
//! Rows are those of studies that go to the new shard. The owner, the home and the leader are processes of their own; what
//! the leader decides they hear later, with the table that ends the sessions of units that nobody holds. That leases do
//! what they promise is the `owners` model's part: here a report and its answer are one step.

use stateright::{Model, Property};

use crate::check::Ends;

/// The rules, each with a switch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    /// The halves are made when no unit is held any more, and none is granted before the split is done.
    pub(crate) units_are_let_go: bool,
    /// The owner acts by a map only once it has taken the table that came with it.
    pub(crate) owner_takes_table_first: bool,
    /// So does the home.
    pub(crate) home_takes_table_first: bool,
    /// The map names no owner of either shard until the halves are in their places.
    pub(crate) released_while_placing: bool,
    /// Who has read compares the shards with those that it began with.
    pub(crate) lists_are_compared: bool,
    /// Units are granted again only after the home has relabelled.
    pub(crate) relabelled_before_grants: bool,
    /// Halves that were made for the split are used only if the map has it.
    pub(crate) decided_by_the_map: bool,
}

impl Rules {
    pub(crate) const ALL: Self = Self {
        units_are_let_go: true,
        owner_takes_table_first: true,
        home_takes_table_first: true,
        released_while_placing: true,
        lists_are_compared: true,
        relabelled_before_grants: true,
        decided_by_the_map: true,
    };
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Splits {
    pub(crate) rules: Rules,
    /// Rows that are written; restarts of owner and home each.
    pub(crate) rows: u8,
    pub(crate) restarts: u8,
}

/// How far the leader says that it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Stage {
    Whole,
    Waiting,
    Building,
    Placing,
    Relabelling,
    Done,
}

const OWNER: usize = 0;
const HOME: usize = 1;

/// A unit that was granted, as its worker sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Unit {
    /// The leader gave it away, and has not taken it back.
    is_held: bool,
    /// It knows its studies to lie in the new shard.
    goes_to_new: bool,
    /// A row is applied, and not recorded.
    has_sent: bool,
}

/// A query between its list and its last check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Query {
    has_new: bool,
    rows_then: u8,
    old: Option<u8>,
    new: Option<u8>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct State {
    stage: Stage,
    /// As the owner and the home have heard it; `None` since they were started.
    heard: [Option<Stage>; 2],
    /// Whether they let the unit write.
    session: [bool; 2],
    unit: Option<Unit>,
    /// Rows in the old shard, in the half that was made, in the new shard.
    old: u8,
    built: Option<u8>,
    new: Option<u8>,
    /// Entries of the ledger that name either; whether the registry names the new one.
    entries: [u8; 2],
    is_relabelled: bool,
    written: u8,
    query: Option<Query>,
    wrong_answer: bool,
    restarts_left: [u8; 2],
    was_called_off: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Action {
    Grant,
    LeaseEnds,
    LetGo,
    Send,
    Record,
    Order,
    NobodyWrites,
    Hear(usize),
    Build,
    Built,
    CallOff,
    Place,
    Placed,
    Relabel,
    Relabelled,
    List,
    ReadOld,
    ReadNew,
    Answer,
    Restart(usize),
}

impl Model for Splits {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            stage: Stage::Whole,
            heard: [Some(Stage::Whole); 2],
            session: [false; 2],
            unit: None,
            old: 0,
            built: None,
            new: None,
            entries: [0, 0],
            is_relabelled: false,
            written: 0,
            query: None,
            wrong_answer: false,
            restarts_left: [self.restarts; 2],
            was_called_off: false,
        }]
    }

    fn actions(&self, _: &State, actions: &mut Vec<Action>) {
        actions.extend([Action::Grant, Action::LeaseEnds, Action::LetGo, Action::Send, Action::Record]);
        actions.extend([Action::Order, Action::NobodyWrites, Action::Build, Action::Built, Action::CallOff]);
        actions.extend([Action::Place, Action::Placed, Action::Relabel, Action::Relabelled]);
        actions.extend([Action::List, Action::ReadOld, Action::ReadNew, Action::Answer]);
        for who in [OWNER, HOME] {
            actions.extend([Action::Hear(who), Action::Restart(who)]);
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut next = last.clone();
        let stepped = self.of_units(last, &mut next, action)
            || self.of_the_split(last, &mut next, action)
            || self.of_a_query(last, &mut next, action);
        (stepped && next != *last).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("every row lies in one shard", |_, state: &State| match state.new {
                None => state.old == state.written,
                Some(new) => new == state.written && state.old == 0,
            }),
            Property::always("the ledger names where rows lie", |_, state: &State| {
                let is_over = state.stage == Stage::Done;
                state.entries[usize::from(!is_over)] == 0 || (state.stage == Stage::Relabelling)
            }),
            Property::always("no answer is wrong", |_, state: &State| !state.wrong_answer),
            Property::sometimes("it is split, and more rows come", |model: &Self, state: &State| {
                state.stage == Stage::Done && state.entries[1] == model.rows
            }),
            Property::sometimes("it is called off, and more rows come", |model: &Self, state: &State| {
                state.was_called_off && state.stage == Stage::Whole && state.entries[0] == model.rows
            }),
        ]
    }
}

impl Ends for Splits {
    fn has_ended(&self, state: &State) -> bool {
        let stands = matches!(state.stage, Stage::Whole | Stage::Done);
        stands && state.written == self.rows && state.entries.iter().sum::<u8>() == self.rows
    }
}

impl Splits {
    /// What the leader and a worker do with units.
    fn of_units(&self, last: &State, next: &mut State, action: Action) -> bool {
        let may_grant = match last.stage {
            Stage::Whole | Stage::Done => true,
            Stage::Relabelling => !self.rules.relabelled_before_grants,
            _ => !self.rules.units_are_let_go,
        };
        match (action, last.unit) {
            // The worker's process has begun at both stores, which have heard of that.
            (Action::Grant, None)
                if may_grant && last.written < self.rows && last.heard == [Some(last.stage); 2] =>
            {
                next.unit = Some(Unit { is_held: true, goes_to_new: last.is_relabelled, has_sent: false });
                next.session = [true; 2];
            }
            (Action::LeaseEnds, Some(unit)) => next.unit = Some(Unit { is_held: false, ..unit }),
            // What it has sent and not recorded is recorded by its successor, which looks for it.
            (Action::LetGo, Some(unit)) if !unit.has_sent => next.unit = None,
            (Action::Send, Some(unit))
                if last.session[OWNER] && !unit.has_sent && last.written < self.rows =>
            {
                if unit.goes_to_new {
                    next.new = Some(last.new.unwrap_or_default() + 1);
                } else {
                    next.old += 1;
                }
                next.written += 1;
                next.unit = Some(Unit { has_sent: true, ..unit });
            }
            (Action::Record, Some(unit)) if unit.has_sent => {
                // A session that is over records nothing: the successor does, by what the shards have.
                let by_new = if last.session[HOME] { unit.goes_to_new } else { last.new.is_some() };
                let is_late = !last.session[HOME];
                if is_late && (last.stage != Stage::Whole && last.stage != Stage::Done) {
                    return false;
                }
                next.entries[usize::from(by_new)] += 1;
                next.unit = None;
            }
            _ => return false,
        }
        true
    }

    fn of_the_split(&self, last: &State, next: &mut State, action: Action) -> bool {
        let is_held = last.unit.is_some_and(|unit| unit.is_held);
        match action {
            Action::Order if last.stage == Stage::Whole && !last.was_called_off => {
                next.stage = Stage::Waiting
            }
            Action::NobodyWrites
                if last.stage == Stage::Waiting && (!is_held || !self.rules.units_are_let_go) =>
            {
                next.stage = Stage::Building;
            }
            Action::Hear(who) => {
                next.heard[who] = Some(last.stage);
                let takes_table = if who == OWNER {
                    self.rules.owner_takes_table_first
                } else {
                    self.rules.home_takes_table_first
                };
                if !is_held && (takes_table || matches!(last.stage, Stage::Whole | Stage::Done)) {
                    next.session[who] = false;
                }
                if who == OWNER && last.stage == Stage::Whole {
                    next.built = None;
                }
            }
            Action::Build if last.heard[OWNER] == Some(Stage::Building) => next.built = Some(last.old),
            Action::Built if last.stage == Stage::Building && last.built.is_some() => {
                next.stage = Stage::Placing
            }
            Action::CallOff if matches!(last.stage, Stage::Waiting | Stage::Building) => {
                next.stage = Stage::Whole;
                next.was_called_off = true;
            }
            Action::Place => {
                let is_asked = match last.heard[OWNER] {
                    Some(Stage::Placing) => true,
                    Some(Stage::Building) => !self.rules.decided_by_the_map,
                    _ => false,
                };
                let (true, Some(built)) = (is_asked, last.built) else { return false };
                (next.new, next.built) = (Some(built), None);
                next.old = 0;
            }
            Action::Placed if last.stage == Stage::Placing && last.new.is_some() => {
                next.stage = Stage::Relabelling
            }
            Action::Relabel if last.heard[HOME] == Some(Stage::Relabelling) => {
                next.entries = [0, last.entries[0] + last.entries[1]];
                next.is_relabelled = true;
            }
            Action::Relabelled if last.stage == Stage::Relabelling && last.is_relabelled => {
                next.stage = Stage::Done
            }
            Action::Restart(who) if last.restarts_left[who] > 0 => {
                next.restarts_left[who] -= 1;
                next.heard[who] = None;
                next.session[who] = false;
            }
            _ => return false,
        }
        true
    }

    fn of_a_query(&self, last: &State, next: &mut State, action: Action) -> bool {
        let names_new = last.stage >= Stage::Placing;
        // Whoever has the newest map calls nobody while it names no owner; the owner serves as it has heard.
        let is_named = last.stage != Stage::Placing || !self.rules.released_while_placing;
        let serves = match last.heard[OWNER] {
            None => false,
            Some(Stage::Placing) => !self.rules.released_while_placing,
            Some(_) => true,
        };
        match (action, last.query) {
            (Action::List, None) if !last.wrong_answer => {
                next.query =
                    Some(Query { has_new: names_new, rows_then: last.written, old: None, new: None });
            }
            (Action::ReadOld, Some(query))
                if query.old.is_none() && serves && (!query.has_new || is_named) =>
            {
                next.query = Some(Query { old: Some(last.old), ..query });
            }
            (Action::ReadNew, Some(query)) if query.has_new && query.new.is_none() && serves && is_named => {
                next.query = Some(Query { new: Some(last.new.unwrap_or_default()), ..query });
            }
            (Action::Answer, Some(query)) => {
                next.query = None;
                if self.rules.lists_are_compared && query.has_new != names_new {
                    return true;
                }
                let (Some(old), is_whole) = (query.old, !query.has_new || query.new.is_some()) else {
                    return false;
                };
                if !is_whole {
                    return false;
                }
                let rows = old + query.new.unwrap_or_default();
                next.wrong_answer = rows < query.rows_then || rows > last.written;
            }
            _ => return false,
        }
        true
    }
}

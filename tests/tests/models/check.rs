//! What every model is asked.

use std::collections::{BTreeSet, HashMap};
use std::fmt::{Debug, Write as _};
use std::hash::Hash;

use stateright::{Checker, HasDiscoveries, Model};

/// States that a model may have: a bound that is too small is an error, not a pass.
const STATES_MAX: usize = 3_000_000;

/// A model whose work must stay possible to the end.
pub(crate) trait Ends: Model {
    /// All work is done.
    fn has_ended(&self, state: &Self::State) -> bool;
}

/// All properties hold in all states, and from each the end can be reached.
pub(crate) fn holds<M>(name: &str, model: M, states_min: usize)
where
    M: Ends + Clone + Send + Sync + 'static,
    M::State: Clone + Debug + Eq + Hash + Send + Sync + 'static,
    M::Action: Clone + Debug + PartialEq + Send + Sync + 'static,
{
    let checked = model
        .clone()
        .checker()
        .threads(2)
        .finish_when(HasDiscoveries::AnyFailures)
        .target_state_count(STATES_MAX * 20)
        .spawn_bfs()
        .join();
    for property in model.properties().iter().filter(|property| property.expectation.discovery_is_failure()) {
        if let Some(path) = checked.discovery(property.name) {
            panic!("{name}: not `{}`:\n{}", property.name, trail(&path.into_actions()));
        }
    }
    checked.assert_properties();
    let states = checked.unique_state_count();
    println!("{name}: {states} states, depth {}", checked.max_depth());
    assert!(states >= states_min, "{name}: the search has become shallow");
    if let Err(stuck) = can_always_end(&model) {
        panic!("{name}: the end cannot be reached after\n{stuck}");
    }
}

/// The checker finds a counterexample to a property.
pub(crate) fn fails<M>(name: &str, model: M, property: &'static str)
where
    M: Model + Send + Sync + 'static,
    M::State: Clone + Debug + Eq + Hash + Send + Sync + 'static,
    M::Action: Clone + Debug + PartialEq + Send + Sync + 'static,
{
    let found = HasDiscoveries::AnyOf(BTreeSet::from([property]));
    let checked = model.checker().threads(1).finish_when(found).spawn_bfs().join();
    let states = checked.unique_state_count();
    let found = checked.discovery(property);
    let path =
        found.unwrap_or_else(|| panic!("{name}: {states} states without a counterexample to `{property}`"));
    println!("{name}: not `{property}`, {states} states:\n{}", trail(&path.into_actions()));
}

/// Whether the end can be reached from every state that can be reached; if not, a way into a state
/// from which it cannot.
///
/// This is more than the `eventually` of the checker, which a cycle of retries without progress would
/// already break (and which looks at no state twice).
pub(crate) fn can_always_end<M>(model: &M) -> Result<(), String>
where
    M: Ends,
    M::State: Clone + Eq + Hash,
    M::Action: Clone + Debug,
{
    let mut numbers: HashMap<M::State, usize> = HashMap::new();
    let mut states: Vec<M::State> = Vec::new();
    let mut before: Vec<Vec<usize>> = Vec::new();
    let mut first: Vec<Option<(usize, M::Action)>> = Vec::new();
    for state in model.init_states() {
        numbers.insert(state.clone(), states.len());
        states.push(state);
        before.push(Vec::new());
        first.push(None);
    }
    let mut at = 0;
    while at < states.len() {
        assert!(states.len() <= STATES_MAX, "more than {STATES_MAX} states");
        let state = states[at].clone();
        let mut actions = Vec::new();
        model.actions(&state, &mut actions);
        for action in actions {
            let Some(next) = model.next_state(&state, action.clone()) else { continue };
            let number = *numbers.entry(next).or_insert_with_key(|next| {
                states.push(next.clone());
                before.push(Vec::new());
                first.push(Some((at, action)));
                states.len() - 1
            });
            before[number].push(at);
        }
        at += 1;
    }
    let mut ends: Vec<bool> = states.iter().map(|state| model.has_ended(state)).collect();
    let mut open: Vec<usize> = (0..states.len()).filter(|number| ends[*number]).collect();
    while let Some(number) = open.pop() {
        for earlier in &before[number] {
            if !std::mem::replace(&mut ends[*earlier], true) {
                open.push(*earlier);
            }
        }
    }
    let Some(mut stuck) = ends.iter().position(|ends| !ends) else { return Ok(()) };
    let mut steps = Vec::new();
    while let Some((earlier, action)) = &first[stuck] {
        steps.push(action);
        stuck = *earlier;
    }
    steps.reverse();
    Err(trail(&steps))
}

fn trail<A: Debug>(actions: &[A]) -> String {
    actions.iter().enumerate().fold(String::new(), |mut text, (n, action)| {
        let _ = writeln!(text, "  {}. {action:?}", n + 1);
        text
    })
}

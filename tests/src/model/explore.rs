//! Breadth-first search over everything that may happen.

use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::rc::Rc;

use super::faults::Fault;
use super::rules::Rules;
use super::run::{Fate, Plan, Stopped, run};
use super::world::World;

/// How far the search goes.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Deaths of a run, power cuts, changes of files and losses, together.
    pub faults: usize,
    /// Changes of files in the middle of a run as well.
    pub changes_in_a_run: bool,
    /// Worlds after which the search gives up: a bound that is too small is an error, not a pass.
    pub worlds: usize,
}

/// What a search without findings saw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Explored {
    /// Different worlds.
    pub worlds: usize,
    /// Runs, whole or cut short.
    pub runs: usize,
}

/// A way to a wrong index.
#[derive(Clone, Debug)]
pub struct Counterexample {
    /// What happened, in order.
    pub trail: Vec<String>,
    /// What is wrong in the end.
    pub wrong: String,
}

impl fmt::Display for Counterexample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.trail.iter().enumerate().try_for_each(|(n, step)| writeln!(f, "  {}. {step}", n + 1))?;
        write!(f, "  wrong: {}", self.wrong)
    }
}

struct Node {
    world: World,
    faults_left: usize,
    trail: Option<Rc<Trail>>,
}

struct Trail {
    step: String,
    before: Option<Rc<Trail>>,
}

/// Searches from a world for a way to break the protocol.
///
/// # Errors
/// The first, and so shortest, [`Counterexample`].
///
/// # Panics
/// If there are more worlds than the bounds allow.
pub fn explore(start: &World, rules: Rules, bounds: Bounds) -> Result<Explored, Counterexample> {
    let mut search = Search { rules, bounds, seen: HashSet::new(), queue: VecDeque::new(), runs: 0 };
    search.push(start.clone(), bounds.faults, None, || "start".to_owned());
    while let Some(node) = search.queue.pop_front() {
        search.expand(&node)?;
        assert!(search.seen.len() <= bounds.worlds, "more than {} worlds", bounds.worlds);
    }
    Ok(Explored { worlds: search.seen.len(), runs: search.runs })
}

/// Checks what an undisturbed run must leave: the index of a fresh pass, and nothing to do.
///
/// # Errors
/// What is wrong.
pub(crate) fn check_settled(world: &World, rules: Rules, plan: Plan) -> Result<(), String> {
    let indexed = world.indexed()?;
    let files = world.disk.map(|file| file.map(|file| file.content));
    if indexed != files {
        return Err(format!("after an undisturbed run the index has {indexed:?}, the files are {files:?}"));
    }
    let mut again = world.clone();
    again.normalise();
    match run(&mut again, rules, plan, Fate::default()) {
        Ok(done) if done.read == 0 => Ok(()),
        Ok(done) => Err(format!("a second run reads {} files again", done.read)),
        Err(stopped) => Err(format!("a second run: {stopped:?}")),
    }
}

struct Search {
    rules: Rules,
    bounds: Bounds,
    seen: HashSet<(World, usize)>,
    queue: VecDeque<Node>,
    runs: usize,
}

impl Search {
    fn push(
        &mut self,
        mut world: World,
        faults_left: usize,
        before: Option<Rc<Trail>>,
        step: impl Fn() -> String,
    ) {
        world.normalise();
        if self.seen.insert((world.clone(), faults_left)) {
            let trail = Some(Rc::new(Trail { step: step(), before }));
            self.queue.push_back(Node { world, faults_left, trail });
        }
    }

    fn expand(&mut self, node: &Node) -> Result<(), Counterexample> {
        for plan in Plan::ALL {
            let steps = self.settle(node, plan)?;
            if node.faults_left > 0 {
                self.cut_short(node, plan, steps)?;
                if self.bounds.changes_in_a_run {
                    self.change_meanwhile(node, plan, steps)?;
                }
            }
        }
        if node.faults_left > 0 {
            for fault in Fault::all(&node.world) {
                let mut world = node.world.clone();
                fault.strike(&mut world);
                self.push(world, node.faults_left - 1, node.trail.clone(), || format!("{fault:?}"));
            }
        }
        Ok(())
    }

    /// An undisturbed run must make everything right.
    fn settle(&mut self, node: &Node, plan: Plan) -> Result<usize, Counterexample> {
        self.runs += 2;
        let mut world = node.world.clone();
        let step = || format!("an undisturbed run, {plan:?}");
        let done = run(&mut world, self.rules, plan, Fate::default())
            .map_err(|stopped| found(node, &step(), format!("{stopped:?}")))?;
        check_settled(&world, self.rules, plan).map_err(|wrong| found(node, &step(), wrong))?;
        world.copy_shards();
        self.push(world, node.faults_left, node.trail.clone(), step);
        Ok(done.steps)
    }

    /// Kills the run after each of its steps, and lets the power fail there.
    fn cut_short(&mut self, node: &Node, plan: Plan, steps: usize) -> Result<(), Counterexample> {
        for after in 0..steps {
            self.runs += 1;
            let mut killed = node.world.clone();
            let fate = Fate { dies_after: Some(after), change: None };
            let step = || format!("a run that dies after {after} of {steps} steps, {plan:?}");
            if let Err(Stopped::Violation(wrong)) = run(&mut killed, self.rules, plan, fate) {
                return Err(found(node, &step(), wrong));
            }
            for (images, world) in power_cuts(&killed) {
                let step = || format!("{}, power lost, images {images:?} are left", step());
                self.push(world, node.faults_left - 1, node.trail.clone(), step);
            }
            killed.copy_shards();
            self.push(killed, node.faults_left - 1, node.trail.clone(), step);
        }
        Ok(())
    }

    fn change_meanwhile(&mut self, node: &Node, plan: Plan, steps: usize) -> Result<(), Counterexample> {
        for fault in Fault::of_files(&node.world) {
            for after in 0..steps {
                self.runs += 1;
                let mut world = node.world.clone();
                let strike = |world: &mut World| fault.strike(world);
                let fate = Fate { dies_after: None, change: Some((after, &strike)) };
                let step = || format!("a run, and after {after} steps {fault:?}, {plan:?}");
                if let Err(Stopped::Violation(wrong)) = run(&mut world, self.rules, plan, fate) {
                    return Err(found(node, &step(), wrong));
                }
                world.copy_shards();
                self.push(world, node.faults_left - 1, node.trail.clone(), step);
            }
        }
        Ok(())
    }
}

/// Everything that a power cut may leave, except that all is kept.
pub(crate) fn power_cuts(world: &World) -> Vec<([usize; 4], World)> {
    let mut cuts = Vec::new();
    let [first, second] = &world.shards;
    for a in 0..first.images() {
        for b in 0..second.images() {
            for ledger in 0..world.ledger.images() {
                for registry in 0..world.registry.images() {
                    let mut cut = world.clone();
                    cut.shards[0].cut(a);
                    cut.shards[1].cut(b);
                    cut.ledger.cut(ledger);
                    cut.registry.cut(registry);
                    cuts.push(([a, b, ledger, registry], cut));
                }
            }
        }
    }
    cuts
}

fn found(node: &Node, step: &str, wrong: String) -> Counterexample {
    let mut trail = vec![step.to_owned()];
    let mut next = node.trail.as_ref();
    while let Some(step) = next {
        trail.push(step.step.clone());
        next = step.before.as_ref();
    }
    trail.reverse();
    Counterexample { trail, wrong }
}

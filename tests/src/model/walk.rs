//! Random walks: deeper than the search can go, and repeatable by their seed.

use super::explore::{Counterexample, check_settled, power_cuts};
use super::faults::Fault;
use super::rules::Rules;
use super::run::{Fate, Plan, Stopped, run};
use super::world::World;
use crate::random::Random;

/// Goes `events` events from a world: runs, deaths, power cuts, changes and losses. After each it
/// checks that an undisturbed run would make all right.
///
/// # Errors
/// The [`Counterexample`]; it says what happened on the way.
pub fn walk(start: &World, rules: Rules, seed: u64, events: usize) -> Result<(), Counterexample> {
    let mut random = Random::new(seed);
    let mut world = start.clone();
    let mut trail = vec![format!("seed {seed}")];
    for _ in 0..events {
        let step = event(&mut world, rules, &mut random)
            .map_err(|(step, wrong)| Counterexample { trail: [trail.clone(), vec![step]].concat(), wrong })?;
        trail.push(step);
        world.normalise();
        let mut settled = world.clone();
        let plan = *random.pick(&Plan::ALL);
        run(&mut settled, rules, plan, Fate::default())
            .map_err(|stopped| format!("{stopped:?}"))
            .and_then(|_| check_settled(&settled, rules, plan))
            .map_err(|wrong| Counterexample { trail: trail.clone(), wrong })?;
    }
    Ok(())
}

fn event(world: &mut World, rules: Rules, random: &mut Random) -> Result<String, (String, String)> {
    let plan = *random.pick(&Plan::ALL);
    let of_files = Fault::of_files(world);
    let change = *random.pick(&of_files);
    let strike = |world: &mut World| change.strike(world);
    let fate = Fate {
        dies_after: (random.below(2) == 0).then(|| random.below(20)),
        change: (random.below(4) == 0).then(|| (random.below(20), &strike as &dyn Fn(&mut World))),
    };
    match random.below(4) {
        0 => {
            change.strike(world);
            return Ok(format!("{change:?}"));
        }
        1 => {
            let fault = *random.pick(&Fault::all(world));
            fault.strike(world);
            return Ok(format!("{fault:?}"));
        }
        _ => {}
    }
    let step = format!(
        "a run, {plan:?}, dies after {:?}, {change:?} after {:?}",
        fate.dies_after,
        fate.change.map(|(after, _)| after)
    );
    if let Err(Stopped::Violation(wrong)) = run(world, rules, plan, fate) {
        return Err((step, wrong));
    }
    world.copy_shards();
    world.copies.iter_mut().for_each(|copies| {
        copies.drain(..copies.len().saturating_sub(4));
    });
    if random.below(3) == 0 {
        let (images, cut) = random.pick(&power_cuts(world)).clone();
        *world = cut;
        return Ok(format!("{step}, power lost, images {images:?} are left"));
    }
    Ok(step)
}

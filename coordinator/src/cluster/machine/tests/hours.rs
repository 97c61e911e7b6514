//! Jobs that have hours.

use super::*;

/// Nanoseconds of an hour of some day.
fn hour(hour: i64) -> i64 {
    (20_600 * 24 + hour) * 3_600_000_000_000
}

impl Case {
    /// As [`Case::walking`] at 22:00, of a job that runs from 20:00 until 06:00.
    fn walking_at_night() -> (Self, u64, Grant) {
        let mut case = Self::new();
        case.now.wall_ns = hour(22);
        let windows = vec!["20:00-06:00".parse().expect("a window")];
        let job = case.state.submit(Submit { windows, ..order() }, case.now).expect("a job");
        let heal = case.say(&report("a", 1, vec![])).granted.remove(0);
        let walk = case.say(&report("a", 1, vec![finished(&heal)])).granted.remove(0);
        (case, job, walk)
    }
}

#[test]
fn outside_of_its_hours_a_job_gives_its_units_back_and_goes_on_later() {
    let (mut case, job, walk) = Case::walking_at_night();
    assert_eq!(case.shown(job), ("running", String::new()));
    case.now.wall_ns = hour(24 + 6);
    let reply = case.say(&report("a", 1, vec![told(&walk, None)]));
    assert_eq!((reply.dropped, reply.granted), (vec![walk.unit], vec![]), "it is told to stop");
    assert_eq!(case.shown(job), ("waiting", "20:00 UTC".to_owned()));
    // It is nobody's before its holder has let go; then it waits, and no attempt was lost.
    assert_eq!(
        case.state.durable.jobs[&job].units[&walk.unit].hold.as_ref().map(|hold| hold.fence),
        Some(walk.fence)
    );
    assert!(case.say(&report("a", 1, vec![])).granted.is_empty());
    let unit = case.state.durable.jobs[&job].units[&walk.unit].clone();
    assert_eq!((unit.hold, unit.failures, unit.losses), (None, 0, 0));
    assert_eq!(case.waits_for(job), "20:00 UTC");
    // What was done is shown meanwhile: 7 files of the heal, and 7 of the walk.
    assert_eq!(case.state.job_view(job, case.now).expect("a job").totals.files, 14);
    case.now.wall_ns = hour(24 + 19);
    assert!(case.say(&report("a", 1, vec![])).granted.is_empty());
    case.now.wall_ns = hour(24 + 20);
    let again = case.say(&report("a", 1, vec![])).granted.remove(0);
    assert_eq!(again.unit, walk.unit);
    assert!(again.fence > walk.fence);
    assert_eq!(case.shown(job).0, "running");
}

#[test]
fn a_unit_that_ends_after_its_hours_counts_and_the_next_one_waits() {
    let (mut case, job, walk) = Case::walking_at_night();
    case.now.wall_ns = hour(24 + 6);
    assert!(case.say(&report("a", 1, vec![finished(&walk)])).granted.is_empty());
    let units: Vec<_> = case.state.durable.jobs[&job].units.values().map(|unit| unit.task.clone()).collect();
    assert_eq!(units, [Task::Finish { source: source() }]);
    // Of several windows the one that opens first is named; another leader, and a pause, change nothing.
    let windows =
        vec!["01:00-02:00+02:00".parse().expect("a window"), "20:00-21:00".parse().expect("a window")];
    case.state.durable.job_mut(job).expect("a job").windows = windows;
    assert_eq!(case.waits_for(job), "20:00 UTC");
    case.now.wall_ns = hour(24 + 22);
    assert_eq!(case.waits_for(job), "01:00+02:00");
    case.state.pause(job).expect("it pauses");
    assert_eq!(case.shown(job), ("paused", format!("`shardex job resume {job}`")));
}

#[test]
fn only_a_job_that_has_begun_keeps_its_source_after_its_hours() {
    let (mut case, night, walk) = Case::walking_at_night();
    case.now.wall_ns = hour(24 + 6);
    case.say(&report("a", 1, vec![told(&walk, None)]));
    case.say(&report("a", 1, vec![]));
    let day = case.submit(Options::default());
    assert!(case.say(&report("a", 1, vec![])).granted.is_empty());
    assert_eq!(case.shown(day), ("waiting", format!("job {night} over the same source")));
    case.state.cancel(night, case.now).expect("it ends");
    assert_eq!(case.say(&report("a", 1, vec![])).granted.remove(0).job, day);

    let mut case = Case::new();
    case.now.wall_ns = hour(12);
    let windows = vec!["20:00-06:00".parse().expect("a window")];
    let night = case.state.submit(Submit { windows, ..order() }, case.now).expect("a job");
    let day = case.submit(Options::default());
    assert_eq!(case.say(&report("a", 1, vec![])).granted.remove(0).job, day);
    assert_eq!(case.shown(night), ("waiting", "20:00 UTC".to_owned()));
}

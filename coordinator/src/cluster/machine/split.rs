//! Splitting walks while workers are idle.

use std::collections::BTreeSet;
use std::time::Duration;

use shardex_catalog::{SourceName, Span};

use super::state::{Moment, State};
use super::unit::{EXCLUSIONS_MAX, Unit};
use super::{Job, Phase, Task, WorkerName};

/// The soonest that a worker reports again while a walk may be split.
const SOONEST: Duration = Duration::from_millis(500);
/// As many workers as that would be too many take so much each: all together report at most 200 times a second.
const SOONEST_PER_WORKER: Duration = Duration::from_millis(5);

/// Of so many workers one may find a unit that waits.
const WORKERS_A_RESERVE: usize = 4;

/// A walk and what it gives away.
#[derive(Debug, PartialEq, Eq)]
struct Split {
    root: Span,
    exclusions: Vec<Span>,
    children: Vec<Span>,
    /// Exclusions that lie in the children now, in their order.
    inherited: Vec<Vec<Span>>,
}

impl State {
    /// Gives what a holder set aside to others: the parent's exclusions and the children in one
    /// change. Whether all of it is others' now; what was given away before is, too.
    pub(super) fn split(&mut self, job: u64, unit: u64, aside: &[Span]) -> bool {
        let Some(Task::Walk { source, root, exclusions }) =
            self.durable.jobs.get(&job).and_then(|job| job.units.get(&unit)).map(|unit| unit.task.clone())
        else {
            return false;
        };
        let Some(split) = cut(root, exclusions, aside) else { return false };
        let Split { root, exclusions, children, inherited } = split;
        self.live.asked.remove(&unit);
        if children.is_empty() {
            return true;
        }
        let numbers: Vec<_> = children.iter().map(|_| self.durable.next_unit()).collect();
        let Some(job) = self.durable.job_mut(job) else { return false };
        for ((number, root), exclusions) in numbers.into_iter().zip(children).zip(inherited) {
            let task = Task::Walk { source: source.clone(), root, exclusions };
            job.units.insert(number, Unit::new(task));
        }
        if let Some(parent) = job.units.get_mut(&unit) {
            parent.task = Task::Walk { source, root, exclusions };
        }
        true
    }

    /// The units of a worker that are to set something aside: as many walks of a job as parts are wanted
    /// are asked, those first that were asked least, lie highest and gave least away.
    pub(super) fn split_wanted(&mut self, worker: &WorkerName, now: Moment) -> Vec<u64> {
        let mut wanted = Vec::new();
        for number in self.durable.open_jobs() {
            let Some(job) = self.durable.jobs.get(&number).filter(|_| self.blocked_by(number, now).is_none())
            else {
                continue;
            };
            for source in &job.sources {
                let asked = self.largest_walks(job, &source.name, self.parts_wanted(job, &source.name, now));
                let own = asked.into_iter().filter(|unit| {
                    job.units
                        .get(unit)
                        .and_then(|unit| unit.hold.as_ref())
                        .is_some_and(|hold| hold.worker == *worker)
                });
                wanted.extend(own);
            }
        }
        for unit in &wanted {
            *self.live.asked.entry(*unit).or_default() += 1;
        }
        wanted
    }

    /// The time until a worker reports again: sooner than usual while a walk may be split for another worker. That one has to
    /// say that it is idle, the holder to hear of it, and the idle one to be given the part, each by a report.
    pub(crate) fn next_report(&self, usual: Duration, now: Moment) -> Duration {
        let alive = self.live.workers.values().filter(|live| live.is_alive(now.elapsed)).count();
        let mut jobs = self.durable.jobs.values().filter(|job| job.phase == Phase::Open);
        if alive < 2 || jobs.all(|job| job.running_walks().next().is_none()) {
            return usual;
        }
        let all = SOONEST_PER_WORKER * u32::try_from(alive).unwrap_or(u32::MAX);
        usual.min(all.max(SOONEST))
    }

    /// Units of a source that could be worked on and do not exist, with a few in reserve: who has done with one is given the
    /// next by the same answer.
    fn parts_wanted(&self, job: &Job, source: &SourceName, now: Moment) -> usize {
        let Some(walk) =
            job.running_walks().map(|(_, unit)| unit).find(|unit| unit.task.source() == Some(source))
        else {
            return 0;
        };
        let able = self.live.workers.iter().filter(|(name, live)| {
            live.is_alive(now.elapsed) && !live.is_draining && self.obstacle(job, walk, name, live).is_none()
        });
        let (mut idle, mut workers) = (0_usize, 0);
        for (_, live) in able {
            idle = idle.saturating_add(usize::try_from(live.idle).unwrap_or(usize::MAX));
            workers += 1;
        }
        let waiting = job
            .units
            .values()
            .filter(|unit| unit.hold.is_none() && unit.task.source() == Some(source))
            .count();
        idle.saturating_add(workers / WORKERS_A_RESERVE).saturating_sub(waiting)
    }

    /// The walks of a source that are asked next for a part. Not those that a process died with: what kills its reader must
    /// not go to others by a split.
    fn largest_walks(&self, job: &Job, source: &SourceName, count: usize) -> Vec<u64> {
        if count == 0 {
            return Vec::new();
        }
        let suspects: BTreeSet<u64> =
            self.live.workers.values().flat_map(|live| live.suspects.iter().copied()).collect();
        let mut walks: Vec<_> = job
            .running_walks()
            .filter(|(_, unit)| unit.task.source() == Some(source))
            .filter(|(number, _)| !suspects.contains(number))
            .filter_map(|(number, unit)| match &unit.task {
                Task::Walk { root, exclusions, .. } if exclusions.len() < EXCLUSIONS_MAX => {
                    let asked = self.live.asked.get(&number).copied().unwrap_or_default();
                    let path = root.directory().as_bytes();
                    let depth =
                        if path.is_empty() { 0 } else { 1 + path.iter().filter(|b| **b == b'/').count() };
                    Some((asked, depth, exclusions.len(), number))
                }
                Task::Walk { .. } | Task::Heal | Task::Finish { .. } => None,
            })
            .collect();
        walks.sort_unstable();
        walks.into_iter().take(count).map(|(.., number)| number).collect()
    }
}

/// Cuts spans out of a walk; `None` if that cannot be, or would leave too many exclusions. Pure.
fn cut(root: Span, exclusions: Vec<Span>, aside: &[Span]) -> Option<Split> {
    let mut split = Split { root, exclusions, children: Vec::new(), inherited: Vec::new() };
    for span in aside {
        let is_given =
            split.exclusions.iter().any(|known| known.covers(span)) || are_apart(&split.root, span);
        if is_given {
            continue;
        }
        if !split.root.covers(span) || *span == split.root {
            return None;
        }
        let (inherited, kept): (Vec<_>, Vec<_>) =
            split.exclusions.drain(..).partition(|known| span.covers(known));
        if kept.iter().any(|known| !are_apart(known, span)) {
            return None;
        }
        split.exclusions = kept;
        match split.root.without_tail(span) {
            Some(shorter) => split.root = shorter,
            None => span.clone().add_to(&mut split.exclusions),
        }
        if split.exclusions.len() > EXCLUSIONS_MAX || inherited.len() > EXCLUSIONS_MAX {
            return None;
        }
        split.children.push(span.clone());
        split.inherited.push(inherited);
    }
    Some(split)
}

/// Whether no directory lies in both spans. Pure.
fn are_apart(one: &Span, other: &Span) -> bool {
    if one.covers(other) || other.covers(one) {
        return false;
    }
    match (one.names(), other.names()) {
        (Some((from, to)), Some((other_from, other_to))) if one.directory() == other.directory() => {
            let ends_before = |to: &[u8], from: &[u8]| !to.is_empty() && to <= from;
            ends_before(to, other_from) || ends_before(other_to, from)
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use shardex_catalog::RelativePath;

    use super::*;

    fn range(directory: &str, from: &str, to: &str) -> Span {
        Span::range(RelativePath::new(directory.as_bytes()), from.as_bytes(), to.as_bytes())
            .expect("it holds names")
    }

    #[test]
    fn a_cut_moves_what_lies_in_it() {
        let root = Span::whole(RelativePath::default());
        let deep = range("m/x", "a", "b");
        let split = cut(root.clone(), vec![deep.clone()], &[range("", "f", "")]).expect("it fits");
        assert_eq!(split.exclusions, [range("", "f", "")]);
        assert_eq!((split.children, split.inherited), (vec![range("", "f", "")], vec![vec![deep]]));
        let again = cut(root, split.exclusions, &[range("", "f", "")]).expect("it was given away");
        assert!(again.children.is_empty());
    }

    #[test]
    fn a_range_becomes_shorter() {
        let split = cut(range("a", "c", ""), Vec::new(), &[range("a", "m", "")]).expect("it fits");
        assert_eq!((&split.root, split.exclusions.len()), (&range("a", "c", "m"), 0));
        let again = cut(split.root, Vec::new(), &[range("a", "m", "")]).expect("it was given away");
        assert!(again.children.is_empty());
    }

    #[test]
    fn what_overlaps_is_refused() {
        let root = Span::whole(RelativePath::default());
        assert_eq!(cut(root.clone(), vec![range("", "f", "m")], &[range("", "h", "z")]), None);
        assert_eq!(cut(root.clone(), Vec::new(), std::slice::from_ref(&root)), None, "nothing would be left");
        assert_eq!(cut(range("", "c", "f"), Vec::new(), &[range("", "d", "z")]), None);
        let many = (0..100).map(|n| range(&format!("d{n:03}"), "a", "b")).collect();
        assert_eq!(cut(root, many, &[range("e", "a", "b")]), None, "one too many");
    }
}

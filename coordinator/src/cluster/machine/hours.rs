//! The hours of the day in which a job may run. Outside of them none of its units is given out, and those that are
//! held are taken back as when the job is paused.

use shardex_catalog::TimeWindow;

use super::state::{Moment, State};
use super::{Job, Phase};

impl Job {
    /// Whether it may run at a moment, as far as the time of the day goes.
    pub(super) fn is_in_hours(&self, now: Moment) -> bool {
        self.windows.is_empty() || self.windows.iter().any(|window| window.contains(now.wall_ns))
    }

    /// When its hours begin next, as text; `None` if it may run.
    pub(super) fn hours_begin_at(&self, now: Moment) -> Option<String> {
        if self.is_in_hours(now) {
            return None;
        }
        let next = self.windows.iter().min_by_key(|window| window.opens_in_minutes(now.wall_ns));
        next.map(|window| window.opens_at())
    }
}

impl State {
    /// Takes back the units of jobs whose hours are over.
    pub(super) fn end_hours(&mut self, now: Moment) {
        let is_over = |job: &Job| {
            let is_held = |job: &Job| {
                job.units.values().filter_map(|unit| unit.hold.as_ref()).any(|hold| !hold.is_stopping)
            };
            job.phase == Phase::Open && !job.is_in_hours(now) && is_held(job)
        };
        let over = self.durable.jobs.values().filter(|job| is_over(job));
        let over: Vec<_> = over.map(|job| job.number).collect();
        for number in over {
            self.stop_units(number, Phase::Open);
        }
    }
}

/// Windows are stored as their texts.
pub(super) mod stored {
    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serializer};

    use super::TimeWindow;

    pub(crate) fn serialize<S: Serializer>(windows: &[TimeWindow], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(windows.iter().map(ToString::to_string))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<TimeWindow>, D::Error> {
        let texts = Vec::<String>::deserialize(deserializer)?;
        texts.iter().map(|text| text.parse().map_err(D::Error::custom)).collect()
    }
}

//! The end of a run: nothing is wrong any more, and all is read once.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::world::{Chaos, LOOK, PATIENCE};

/// What the slowest machine reads in a second.
const FILES_A_SECOND: u64 = 50;

impl Chaos {
    /// The jobs that are open, to their end, and one more over the tree as it stands, to its end.
    ///
    /// # Errors
    /// If that does not end, or not well.
    pub fn last_pass(&mut self) -> Result<()> {
        self.operator.stop();
        self.until("the jobs before end", |chaos| {
            let jobs = chaos.desk.ask(&["job", "list", "--limit", "50"], &chaos.desk.all())?;
            let is_over = jobs.as_array()?.iter().all(|job| !job["ended_ns"].is_null());
            is_over.then_some(())
        })?;
        self.say("all jobs have ended");
        let submit = ["job", "submit", "s", "--accept-deletions"];
        let job = self.until("a job is taken", |chaos| chaos.desk.ask(&submit, &chaos.desk.all()))?;
        let number = job["job"].as_u64().context("a number")?.to_string();
        let job = self.until("the last job ends", |chaos| {
            let job = chaos.desk.ask(&["job", "show", &number], &chaos.desk.all())?;
            (!job["ended_ns"].is_null()).then_some(job)
        })?;
        ensure!(job["state"] == "complete", "{job}\n{}", self.net.cluster.logs());
        self.say(&format!("the last job has ended: {}", job["totals"]));
        Ok(())
    }

    /// Waits for something; files may go on crashing workers meanwhile.
    fn until<T>(&mut self, what: &str, mut is_so: impl FnMut(&Self) -> Option<T>) -> Result<T> {
        let until = Instant::now() + PATIENCE + Duration::from_secs(self.settings.files / FILES_A_SECOND);
        loop {
            self.tend()?;
            if let Some(found) = is_so(self) {
                return Ok(found);
            }
            ensure!(Instant::now() < until, "waited too long until {what}\n{}", self.net.cluster.logs());
            std::thread::sleep(LOOK);
        }
    }
}

//! The threads of a run: readers, and who feeds or counts for them.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;

use tokio::sync::mpsc;

use crate::error::Error;
use crate::part::SourceContext;
use crate::reader::{self, Event, Shared};
use crate::sequencer::Sequencer;
use crate::watch::GivenUp;
use crate::{count, list_from};

/// The threads of a run. They end by themselves once the frontier has stopped.
pub(crate) struct Threads {
    shared: Arc<Shared>,
    events: mpsc::Sender<Event>,
    /// Readers that were ever started; each of them says its end.
    pub(crate) started: usize,
    handles: Vec<JoinHandle<()>>,
}

impl Threads {
    pub(crate) fn new(shared: Arc<Shared>, events: mpsc::Sender<Event>) -> Self {
        Self { shared, events, started: 0, handles: Vec::new() }
    }

    /// Sets the number of readers; those above it end after their task.
    pub(crate) fn set_wanted(&mut self, wanted: usize) -> Result<(), Error> {
        let before = self.shared.wanted.swap(wanted, Ordering::Relaxed);
        for number in before..wanted {
            self.start_reader(number)?;
            self.started += 1;
        }
        Ok(())
    }

    fn count(&self, event: &Event) {
        let Event::Files { files, .. } = event else {
            self.shared.unreadable.fetch_add(1, Ordering::Relaxed);
            return;
        };
        for file in files.iter().flat_map(|(_, files)| files) {
            self.shared.progress.files.fetch_add(1, Ordering::Relaxed);
            self.shared.progress.count_state(file.entry.state, 1);
        }
    }

    fn start_reader(&mut self, number: usize) -> Result<(), Error> {
        let (shared, events) = (Arc::clone(&self.shared), self.events.clone());
        let slot = shared.take_slot(number);
        self.start(format!("reader-{number}"), move || reader::run(&shared, &slot, events))
    }

    /// Lets another reader take the place of one that hangs, and its work.
    pub(crate) fn replace(&mut self, sequencer: &mut Sequencer, given_up: GivenUp) -> Result<(), Error> {
        let GivenUp { slot, event, unfinished, chunks } = given_up;
        tracing::warn!(reader = slot.number, "a reader hangs and was given up");
        for event in [Some(event), unfinished].into_iter().flatten() {
            self.count(&event);
            sequencer.take(event)?;
        }
        self.shared.frontier.take_over(chunks);
        self.start_reader(slot.number)
    }

    pub(crate) fn start_counter(&mut self, sources: Vec<Arc<SourceContext>>) -> Result<(), Error> {
        let shared = Arc::clone(&self.shared);
        self.start("counter".to_owned(), move || count::run(&shared, &sources))
    }

    pub(crate) fn start_feeder(
        &mut self,
        sources: Vec<Arc<SourceContext>>,
        list: Box<dyn std::io::BufRead + Send + Sync>,
        delimiter: u8,
    ) -> Result<(), Error> {
        let (shared, events) = (Arc::clone(&self.shared), self.events.clone());
        self.shared.frontier.hold_open();
        self.start("feeder".to_owned(), move || list_from::run(&shared, &sources, list, delimiter, &events))
    }

    fn start(&mut self, name: String, run: impl FnOnce() + Send + 'static) -> Result<(), Error> {
        let handle = std::thread::Builder::new().name(name).spawn(run).map_err(Error::Thread)?;
        self.handles.push(handle);
        Ok(())
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.shared.frontier.stop();
        // A thread that waits for storage which does not answer must not keep the run from ending.
        self.handles.retain(|handle| !handle.is_finished());
    }
}

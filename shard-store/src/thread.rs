//! A named thread that owns a connection: SQLite never runs on an async thread.

use std::thread::JoinHandle;

use shardex_seams::StoreError;
use tokio::sync::{mpsc, oneshot};

const QUEUED_MAX: usize = 8;

type Job<S> = Box<dyn FnOnce(&mut S) + Send>;

/// A thread that owns `S` and runs jobs on it, one after the other. Ends when it is dropped, after
/// the jobs that are queued.
pub(crate) struct Owner<S> {
    jobs: Option<mpsc::Sender<Job<S>>>,
    thread: Option<JoinHandle<()>>,
}

/// What a job is going to answer.
pub(crate) struct Answer<T>(oneshot::Receiver<Result<T, StoreError>>);

impl<T> Answer<T> {
    /// Waits for it.
    ///
    /// # Cancel safety
    /// Dropped, the job runs all the same.
    pub(crate) async fn wait(self) -> Result<T, StoreError> {
        self.0.await.map_err(|_| StoreError::Closed)?
    }
}

impl<S: Send + 'static> Owner<S> {
    /// Starts the thread.
    ///
    /// # Errors
    /// If the system has no thread left.
    pub(crate) fn start(name: &str, mut state: S) -> std::io::Result<Self> {
        let (jobs, mut queue) = mpsc::channel::<Job<S>>(QUEUED_MAX);
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            while let Some(job) = queue.blocking_recv() {
                job(&mut state);
            }
        })?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread) })
    }

    /// Runs a job on the thread and waits for its answer.
    ///
    /// # Cancel safety
    /// Dropped, the job may or may not run.
    pub(crate) async fn call<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut S) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.begin(job).await?.wait().await
    }

    /// Has a job run on the thread once its turn comes.
    ///
    /// # Cancel safety
    /// Dropped, the job may or may not run.
    pub(crate) async fn begin<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut S) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<Answer<T>, StoreError> {
        let (answer, answered) = oneshot::channel();
        let job: Job<S> = Box::new(move |state| {
            // The caller may have gone; then nobody wants the answer.
            let _ = answer.send(job(state));
        });
        let jobs = self.jobs.as_ref().ok_or(StoreError::Closed)?;
        jobs.send(job).await.map_err(|_| StoreError::Closed)?;
        Ok(Answer(answered))
    }
}

impl<S> Drop for Owner<S> {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was reported by the panic hook already.
            let _ = thread.join();
        }
    }
}

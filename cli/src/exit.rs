//! Exit codes, as the README documents them.

/// How the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitCode {
    /// All was done.
    Done = 0,
    /// It failed.
    Failed = 1,
    /// The command line is wrong.
    Usage = 2,
    /// Directories could not be read, shards not be written, or a check found something.
    Incomplete = 3,
    /// Files are gone, and their deletion is held.
    Held = 4,
    /// An answer lacks shards, as `--allow-partial` permits.
    Partial = 5,
    /// It was interrupted; the same command goes on.
    Interrupted = 130,
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(code as u8)
    }
}

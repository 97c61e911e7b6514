//! The ingest pipeline of one worker: walk, read, route, write, record.
//!
//! Readers (threads) list directories and read files; the sequencer (one task) claims studies, marks
//! directories open, routes rows to shards, runs barriers and commits ledger records. It knows the
//! stores through the seams only, and nothing of SQL or of where they are.

mod adaptive;
pub mod agent;
mod buffers;
mod compare;
mod count;
mod error;
mod filters;
mod frontier;
mod heal;
mod hold;
mod ingest;
mod list;
mod list_from;
mod offline;
mod outcome;
mod pace;
mod part;
mod progress;
mod read;
mod reader;
mod record;
mod routes;
mod sequencer;
mod settings;
mod slot;
mod suspects;
mod sweep;
mod tally;
mod threads;
mod ticker;
pub mod tree;
mod unit;
mod watch;

pub use error::Error;
pub use filters::{Filters, InvalidFilter};
pub use heal::{HealReport, Others, heal};
pub use ingest::{Control, Rest, SourceRoot, Stores, ingest};
pub use outcome::{Ended, HeldSource, Outcome};
pub use progress::{Progress, Snapshot};
pub use settings::{BeforeRead, Coverage, Readers, Settings};
pub use suspects::{Probe, Suspect, Verdict};
pub use unit::{RootSeen, Task, Unit, UnitOutcome, run_unit};

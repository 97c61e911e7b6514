//! Sources, their identity, and jobs with their fences.
//!
//! State lives behind [`shardex_seams::StateStore`] and changes by compare-and-set only. What a
//! source is and whether it may be taken is decided by pure functions.

pub mod cluster;
mod error;
mod identity;
mod jobs;
mod sources;
mod specification;
mod unwritten;

pub use error::Error;
pub use identity::Identity;
pub use jobs::{JobRecord, begin_job, end_job, jobs};
pub use sources::{RegisteredSource, Registration, agree, known_sources, mark_stubs, register};
pub use specification::{InvalidSource, SourceSpecification};
pub use unwritten::Unwritten;

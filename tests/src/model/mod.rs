//! An executable model of the write path, small enough to try everything that may happen to it.
//!
//! `docs/adr/0001-durability.md` argues why the protocol is right; this tries. A [`World`] is the
//! files, the shards, the registry and the ledger, each with what a power cut may take away. A run
//! takes the steps of the real one and may die after any of them. It knows no bytes, no SQL and no
//! fences: two writers at once are a matter of the lock, not of this order.

mod explore;
mod faults;
mod rebuild;
mod rules;
mod run;
mod walk;
mod world;

pub use explore::{Bounds, Counterexample, Explored, explore};
pub use faults::Fault;
pub use rules::Rules;
pub use run::{Done, Fate, Plan, Stopped, run};
pub use walk::walk;
pub use world::{CONTENTS, Content, File, PLACES, World};

//! What the scenarios need: a maker of small DICOM files with made-up values, and the binary; and
//! the model of the durability protocol.

mod binary;
mod changes;
pub mod cluster;
mod dicom;
pub mod model;
pub mod random;

pub use binary::{Answer, Shardex};
pub use changes::{change_tree, write_tree};
pub use dicom::{Instance, write_series};
pub use random::Random;

//! What the scenarios need: a maker of small DICOM files with made-up values, and the binary; and
//! the model of the durability protocol.

mod binary;
mod changes;
pub mod chaos;
pub mod cluster;
mod dicom;
pub mod model;
mod net;
mod place;
mod ports;
mod proxy;
pub mod random;
mod served;

pub use binary::{Answer, Shardex};
pub use changes::{change_tree, write_tree};
pub use dicom::{Instance, Item, write_series};
pub use net::{Net, Pair};
pub use place::{Place, skip, wait_for};
pub use proxy::Proxy;
pub use random::Random;
pub use served::Served;

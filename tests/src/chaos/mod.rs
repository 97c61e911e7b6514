//! Everything that can happen to a cluster, at random and several things at a time: kills, sleeps, cut networks, an
//! etcd without quorum, lost disks, files that crash their reader.

mod ending;
mod fault;
mod operator;
mod plan;
mod setting;
mod world;

pub use fault::{KINDS, Kind};
pub use setting::Settings;
pub use world::Chaos;

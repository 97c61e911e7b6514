//! The coordinators of a cluster: one leads, the others stand by.
//!
//! `machine` decides, `persist` keeps what was decided, `election` says who may decide, `task` lets one
//! decide after the other, `serve` lets others ask. [`Client`] asks, wherever the leader is.

mod client;
mod convert;
mod election;
mod etcd;
mod machine;
mod persist;
mod serve;
mod task;

pub use client::{Client, ClientError};
pub use etcd::{EtcdError, EtcdSettings, EtcdStore};
pub use persist::recover;
pub use serve::{ClusterService, ClusterSettings, StateKeeper};

//! The coordinators of a cluster: one leads, the others stand by.
//!
//! `machine` decides, `persist` keeps what was decided, `leader` says who may decide, `serve` lets
//! others ask. [`Client`] asks, wherever the leader is.

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
pub use serve::{ClusterService, ClusterSettings, StateKeeper};

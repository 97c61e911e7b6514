//! The router over gRPC: the service that answers, and the client that asks.
//!
//! Generated types of `shardex-proto` end here. Queries run on blocking threads; what is async here
//! only waits and passes on.

mod answer;
mod convert;
mod error;
mod places;
mod remote;
mod service;
mod sink;

pub use remote::Remote;
pub use service::{QueryService, ServiceSettings};

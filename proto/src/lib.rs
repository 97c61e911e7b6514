//! The wire: generated messages and services, what converts them to and from the catalog's types,
//! and how a failure travels.
//!
//! Generated types stop at the adaptors that use this crate. Nothing here knows who serves.

mod fault;
pub mod packed;
mod rows;

pub use fault::{Fault, with_causes};
pub use packed::schema_digest;
pub use prost::bytes::Bytes;
pub use rows::{MalformedRows, RowPacker, RowReader};

/// Version of the protocol. Another one is refused, so it grows only where old and new callers
/// would misunderstand each other, not with every new field.
pub const PROTOCOL_VERSION: u32 = 1;

/// Metadata that carries [`PROTOCOL_VERSION`], both ways.
pub const PROTOCOL_HEADER: &str = "shardex-protocol";

/// Descriptors of all messages and services, for gRPC reflection.
pub const FILE_DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/shardex.bin"));

/// The messages and services of `shardex.v1`; the `.proto` files document them.
#[allow(missing_docs, unreachable_pub, clippy::all, clippy::str_to_string, reason = "generated")]
pub mod v1 {
    tonic::include_proto!("shardex.v1");
}

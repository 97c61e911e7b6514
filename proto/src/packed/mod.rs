//! Rows and records as packed bytes: what travels in bulk between workers and owners.
//!
//! Both ends run one table of attributes ([`schema_digest`] is compared first), so attributes go by
//! their numbers. Everything read is checked: a peer may send anything.

mod batch;
mod codec;
mod record;
mod search;

pub use batch::{BATCH_BYTES_MAX, batch_in, batch_out};
pub use codec::Malformed;
pub use record::{changes_in, changes_out, range_in, range_out, record_in, record_out};
pub use search::{search_in, search_out};

use shardex_catalog::{ATTRIBUTES, dicom_metadata_name};

/// Digest of what both ends must agree on to exchange rows and questions: keywords, levels, types and names of columns, in
/// order.
#[must_use]
pub fn schema_digest() -> Vec<u8> {
    let mut text = String::new();
    for attribute in ATTRIBUTES {
        let (keyword, name) = (attribute.keyword, dicom_metadata_name(attribute.keyword));
        text.push_str(&format!("{keyword}\0{name}\0{:?}\0{:?}\n", attribute.level, attribute.column));
    }
    blake3::hash(text.as_bytes()).as_bytes()[..16].to_vec()
}

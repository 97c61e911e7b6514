//! The vocabulary of shardex: what an attribute, a header, a row, a partition and a file state are.
//!
//! Everything here is pure: no IO, no async, no SQL, no clock. Every other crate may depend on this
//! one; this one depends on none of them.

mod attribute;
mod attributes;
mod batch;
mod bucket;
mod digest;
mod file;
mod fold;
mod header;
mod ids;
mod institution;
mod leaf;
mod ledger;
mod partition;
mod placement;
pub mod query;
mod span;
mod state;
mod store_id;
mod time_window;
mod uid;
mod uid_names;
mod value;

pub use attribute::{Attribute, AttributeId, ColumnType, Derivation, Level, Scope, Source, Tag, TagPath, Vr};
pub use attributes::{ATTRIBUTES, attribute, attribute_by_keyword, attributes_of_level, dicom_metadata_name};
pub use batch::{Applied, DirectoryRange, Operation, RowBatch};
pub use bucket::{KeyPrefix, ShardSplit, bucket_of, covered};
pub use digest::{ContentDigest, DigestMode, HeaderDigest};
pub use file::{FileName, FileRow, FileStamp, RelativePath};
pub use fold::fold_person_name;
pub use header::{Header, Values};
pub use ids::{Domain, Fence, Incarnation, InvalidId, ShardId, SourceName, StudyKey};
pub use institution::{
    InstitutionRule, Institutions, InvalidMapping, OTHER_BUCKETS, SITES_MAX_DEFAULT, Site,
    normalise_institution, other_bucket,
};
pub use leaf::{Cell, Column, LeafQuery, LeafSearch, PATIENT_RANK, Predicate, View};
pub use ledger::{Claim, DirectoryRecord, LedgerChange, LedgerEntry, name_hash};
pub use partition::{
    DateGranularity, InvalidScheme, PartitionInput, PartitionKey, PartitionScheme, UNDATED, shard_of,
};
pub use placement::{Placed, Placement};
pub use span::Span;
pub use state::{FileKind, FileState, Reason, WarningClass, Warnings};
pub use store_id::{StoreFile, StoreId};
pub use time_window::{InvalidTimeWindow, TimeWindow};
pub use uid::PackedUid;
pub use uid_names::uid_name;
pub use value::Value;

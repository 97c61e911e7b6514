//! A summary for machines.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json, json};
use shardex_catalog::{ATTRIBUTES, uid_name};
use shardex_shard_store::overview::{Group, GroupBy, GroupName};

use super::facts::Facts;
use super::findings::Finding;
use super::text::{level_name, sorted};

pub(super) fn of(facts: &Facts, findings: &[Finding]) -> Json {
    let overview = &facts.overview;
    let seen = &facts.seen;
    let not_opened: BTreeMap<_, _> = seen.not_opened().collect();
    let by: Map<_, _> =
        overview.groups.iter().map(|(by, found)| (by.as_str().to_owned(), groups(*by, found))).collect();
    let findings: Vec<_> = findings
        .iter()
        .map(|f| json!({ "finding": f.name, "count": f.count, "what": f.what, "command": f.command }))
        .collect();
    json!({
        "partition": facts.partition,
        "shards": facts.shards,
        "archive_bytes": facts.archive_bytes,
        "counts": {
            "patients": overview.patients,
            "studies": overview.studies,
            "series": overview.series,
            "instances": overview.instances,
            "instance_bytes": overview.bytes,
            "indexed_files": overview.files,
            "files": seen.files,
            "bytes": seen.bytes,
        },
        "files": seen.states,
        "by": by,
        "filled": filled(facts),
        "warnings": seen.warnings,
        "quarantined": seen.quarantined,
        "skipped": seen.skipped,
        "not_dicom": seen.not_dicom,
        "archives_not_opened": not_opened,
        "findings": findings,
    })
}

fn groups(by: GroupBy, found: &BTreeMap<GroupName, Group>) -> Json {
    let one = |(name, group): (&GroupName, &Group)| {
        let mut object = Map::new();
        match name {
            GroupName::Value(value) => {
                object.insert("value".to_owned(), json!(value));
                if matches!(by, GroupBy::SopClass | GroupBy::TransferSyntax) {
                    object.insert("name".to_owned(), json!(uid_name(value)));
                }
            }
            GroupName::None => drop(object.insert("value".to_owned(), Json::Null)),
            GroupName::Other => drop(object.insert("all_others".to_owned(), json!(true))),
        }
        object.insert("studies".to_owned(), json!(group.studies));
        object.insert("series".to_owned(), json!(group.series));
        object.insert("instances".to_owned(), json!(group.instances));
        object.insert("bytes".to_owned(), json!(group.bytes));
        Json::Object(object)
    };
    sorted(by, found).into_iter().map(one).collect()
}

fn filled(facts: &Facts) -> Json {
    let filled = &facts.overview.filled;
    let one = |(attribute, share): (&shardex_catalog::Attribute, &shardex_shard_store::overview::Share)| {
        json!({
            "keyword": attribute.keyword,
            "level": level_name(attribute.level),
            "filled": share.filled,
            "of": share.of,
            "estimate": filled.is_estimate(attribute),
        })
    };
    ATTRIBUTES.iter().zip(&filled.shares).map(one).collect()
}

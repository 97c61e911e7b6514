//! What the name of a key means.

use super::key::Target;
use super::value::Kind;
use super::{Columns, InvalidSearch, SearchLevel, nearest};
use crate::{ATTRIBUTES, Attribute, ColumnType, Source, TagPath, View, Vr, attribute, attribute_by_keyword};

/// Names that an error suggests.
const SUGGESTED_MAX: usize = 5;

/// The names like one that does not exist.
pub(super) fn near<'n>(name: &str, names: impl Iterator<Item = &'n str>) -> Vec<String> {
    nearest(name, names, SUGGESTED_MAX).into_iter().map(str::to_owned).collect()
}

/// A name without what people write differently: `patient_id` is `PatientID`.
pub(super) fn plain(name: &str) -> String {
    name.chars().filter(|c| *c != '_').collect::<String>().to_ascii_lowercase()
}

/// What a key's name means at a level.
pub(super) fn resolve(
    name: &str,
    level: SearchLevel,
    columns: Columns,
) -> Result<(Target, Kind), InvalidSearch> {
    if let Some((sequence, item)) = name.split_once(['.', '>']) {
        return resolve_item(name, sequence, item, level);
    }
    let wanted = tag(name).and_then(by_tag).map_or_else(|| plain(name), |found| plain(found.keyword));
    let find = |view: View| {
        columns(view).iter().find(|column| plain(&column.name) == wanted).map(|found| &found.name)
    };
    if let Some(column) = find(View::Instances) {
        let attribute = attribute_by_keyword(column).map(attribute);
        let multiple = attribute.is_some_and(|attribute| attribute.multiple);
        return Ok((
            Target::Instance { column: column.clone(), multiple },
            kind(View::Instances, column, columns),
        ));
    }
    // Numbers of a patient are known only when all shards have answered.
    if let Some(column) = find(level.view()).filter(|_| level != SearchLevel::Patients) {
        let multiple = matches!(&**column, "ModalitiesInStudy" | "SOPClassesInStudy" | "TransferSyntaxUIDs");
        let kind = match &**column {
            "ModalitiesInStudy" => Kind::Attribute(Vr::CS),
            "SOPClassesInStudy" | "TransferSyntaxUIDs" => Kind::Attribute(Vr::UI),
            column => kind(level.view(), column, columns),
        };
        return Ok((Target::Entity { column: column.clone(), multiple }, kind));
    }
    let names =
        columns(View::Instances).iter().chain(columns(level.view())).map(|column| column.name.as_str());
    let mut near = near(name, names);
    near.dedup();
    Err(InvalidSearch::UnknownKey { name: name.to_owned(), level, near })
}

fn kind(view: View, column: &str, columns: Columns) -> Kind {
    if let Some(id) = attribute_by_keyword(column) {
        let attribute = attribute(id);
        return if attribute.column == ColumnType::Items {
            Kind::Items
        } else {
            Kind::Attribute(attribute.vr)
        };
    }
    let found = columns(view).iter().find(|known| known.name == column);
    match found.map(|found| found.column_type) {
        Some(ColumnType::Integer | ColumnType::Real) => Kind::Number,
        Some(ColumnType::Items) => Kind::Items,
        Some(ColumnType::Text) | None => Kind::Text,
    }
}

fn resolve_item(
    name: &str,
    sequence: &str,
    item: &str,
    level: SearchLevel,
) -> Result<(Target, Kind), InvalidSearch> {
    let by_name = |keyword: &str| plain(keyword) == plain(sequence);
    let sequences = || ATTRIBUTES.iter().filter(|one| matches!(one.source, Source::Items(..)));
    let found = sequences().find(|one| by_name(one.keyword) || tag(sequence) == path(one).and_then(first));
    let unknown = |near: Vec<String>| InvalidSearch::UnknownKey { name: name.to_owned(), level, near };
    let Some((found, fields)) = found.and_then(|found| match found.source {
        Source::Items(_, fields) => Some((found, fields)),
        Source::Paths(_) | Source::Derived(_) => None,
    }) else {
        return Err(unknown(sequences().map(|one| format!("{}.…", one.keyword)).collect()));
    };
    let Some((keyword, vr, _)) = fields.iter().find(|(keyword, ..)| plain(keyword) == plain(item)) else {
        let fields = fields.iter().map(|(keyword, ..)| format!("{}.{keyword}", found.keyword));
        return Err(unknown(fields.collect()));
    };
    let target = Target::Item { sequence: found.keyword.to_owned(), keyword: (*keyword).to_owned() };
    Ok((target, Kind::Attribute(*vr)))
}

/// `00100020`, `0010,0020` or `(0010,0020)`.
fn tag(name: &str) -> Option<u32> {
    let digits: String = name.chars().filter(|c| !matches!(c, '(' | ')' | ',')).collect();
    (digits.len() == 8).then(|| u32::from_str_radix(&digits, 16).ok()).flatten()
}

fn by_tag(tag: u32) -> Option<&'static Attribute> {
    ATTRIBUTES.iter().find(|one| path(one).is_some_and(|path| *path == [tag]))
}

fn path(attribute: &Attribute) -> Option<TagPath> {
    match attribute.source {
        Source::Paths(paths) => paths.first().copied(),
        Source::Items(path, _) => Some(path),
        Source::Derived(_) => None,
    }
}

fn first(path: TagPath) -> Option<u32> {
    path.first().copied()
}

//! Sequences that are kept whole, and what is derived from the radiopharmaceutical ones.

use serde_json::{Map, Value as Json};
use shardex_catalog::{ATTRIBUTES, AttributeId, ColumnType, Source, Value, Vr, attribute_by_keyword};

use crate::nuclides;
use crate::wanted::{ItemsNumber, wanted};

/// SOP classes whose RadionuclideTotalDose counts megabecquerel (PS3.3 C.8.4.10, C.8.22.4): NM, and
/// Enhanced PET. In PET it counts becquerel (C.8.9.2).
const MEGABECQUEREL: &[&str] = &[
    "1.2.840.10008.5.1.4.1.1.20",
    "1.2.840.10008.5.1.4.1.1.5",
    "1.2.840.10008.5.1.4.1.1.130",
    "1.2.840.10008.5.1.4.1.1.128.1",
];
/// PET doses below this were written in megabecquerel: a patient is given hundreds of them.
const PLAUSIBLE_BECQUEREL: f64 = 10_000.0;

const GE_CREATOR: &str = "GEMS_PETD_01";

/// Items of one sequence, each with its values by keyword.
pub(crate) type Items = Vec<Map<String, Json>>;

/// One text of an item: item, field, text.
pub(crate) type ItemText = (u32, u16, String);

/// Items from texts of their fields.
pub(crate) fn items(number: ItemsNumber, texts: impl Iterator<Item = ItemText>) -> Items {
    let attribute = &ATTRIBUTES[wanted().items[usize::from(number.0)].index()];
    let Source::Items(_, fields) = attribute.source else { return Vec::new() };
    let mut items: Items = Vec::new();
    for (item, field, text) in texts {
        if text.is_empty() {
            continue;
        }
        let item = item as usize;
        items.resize_with(items.len().max(item + 1), Map::new);
        let (keyword, vr, _) = fields[usize::from(field)];
        let number = matches!(vr, Vr::DS | Vr::FD).then(|| text.parse().ok()).flatten();
        let value = number.and_then(serde_json::Number::from_f64).map_or(Json::String(text), Json::Number);
        items[item].entry(keyword).or_insert(value);
    }
    items
}

/// The column that holds items, and those derived from them.
pub(crate) fn values(
    number: ItemsNumber,
    items: &Items,
    ge_tracer: Option<(&str, &str)>,
    sop_class_uid: &str,
) -> Vec<(AttributeId, Value)> {
    let id = wanted().items[usize::from(number.0)];
    debug_assert_eq!(ATTRIBUTES[id.index()].column, ColumnType::Items);
    let mut values = Vec::new();
    if items.iter().any(|item| !item.is_empty()) {
        let json = Json::Array(items.iter().cloned().map(Json::Object).collect());
        values.push((id, Value::Text(json.to_string().into())));
    }
    if ATTRIBUTES[id.index()].keyword != "RadiopharmaceuticalInformationSequence" {
        return values;
    }
    let derived = |keyword: &str| attribute_by_keyword(keyword).expect("an attribute of the table");
    if let Some(names) = radiopharmaceutical(items, ge_tracer) {
        values.push((derived("Radiopharmaceutical"), Value::Text(names.into())));
    }
    if let Some(nuclide) = items.iter().find_map(radionuclide) {
        values.push((derived("Radionuclide"), Value::Text(nuclide.into())));
    }
    let dose = items.iter().find_map(|item| item.get("RadionuclideTotalDose")?.as_f64());
    if let Some(dose) = dose.filter(|dose| *dose > 0.0) {
        values.push((derived("RadionuclideTotalDoseBq"), Value::Real(becquerel(dose, sop_class_uid))));
    }
    values
}

/// Names of every item without repeats. Never the nuclide.
fn radiopharmaceutical(items: &Items, ge_tracer: Option<(&str, &str)>) -> Option<String> {
    let mut names: Vec<&str> = Vec::new();
    for item in items {
        let of = |keyword: &str| item.get(keyword).and_then(Json::as_str);
        let name = of("Radiopharmaceutical").or_else(|| of("RadiopharmaceuticalCodeMeaning"));
        if let Some(name) = name.filter(|name| !names.contains(name)) {
            names.push(name);
        }
    }
    if names.is_empty() {
        names.extend(
            ge_tracer
                .filter(|(creator, name)| *creator == GE_CREATOR && !name.is_empty())
                .map(|(_, name)| name),
        );
    }
    (!names.is_empty()).then(|| names.join("\\"))
}

fn radionuclide(item: &Map<String, Json>) -> Option<String> {
    let of = |keyword: &str| item.get(keyword).and_then(Json::as_str);
    let by_code = of("RadionuclideCodeValue").and_then(nuclides::by_code).map(str::to_owned);
    by_code.or_else(|| of("RadionuclideCodeMeaning").and_then(nuclides::by_meaning))
}

fn becquerel(dose: f64, sop_class_uid: &str) -> f64 {
    let is_mega = MEGABECQUEREL.contains(&sop_class_uid) || dose < PLAUSIBLE_BECQUEREL;
    if is_mega { dose * 1e6 } else { dose }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(pairs: &[(&str, &str)]) -> Map<String, Json> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), Json::String((*value).to_owned()))).collect()
    }

    #[test]
    fn names_come_from_text_then_code_then_ge() {
        let text =
            item(&[("Radiopharmaceutical", "FDG"), ("RadiopharmaceuticalCodeMeaning", "Fluorodeoxyglucose")]);
        let code = item(&[("RadiopharmaceuticalCodeMeaning", "Fluorodeoxyglucose")]);
        let ge = Some(("GEMS_PETD_01", "FDG -- fluorodeoxyglucose"));
        assert_eq!(
            radiopharmaceutical(&vec![text.clone(), code.clone(), text], None).as_deref(),
            Some("FDG\\Fluorodeoxyglucose")
        );
        assert_eq!(radiopharmaceutical(&vec![code], ge).as_deref(), Some("Fluorodeoxyglucose"));
        assert_eq!(radiopharmaceutical(&vec![], ge).as_deref(), Some("FDG -- fluorodeoxyglucose"));
        assert_eq!(radiopharmaceutical(&vec![], Some(("OTHER", "x"))), None);
        assert_eq!(
            radiopharmaceutical(&vec![item(&[("RadionuclideCodeMeaning", "^18^Fluorine")])], None),
            None
        );
    }

    #[test]
    fn doses_are_becquerel() {
        assert_eq!(becquerel(3.7e8, "1.2.840.10008.5.1.4.1.1.128"), 3.7e8);
        assert_eq!(becquerel(370.0, "1.2.840.10008.5.1.4.1.1.128"), 3.7e8, "written in megabecquerel");
        assert_eq!(becquerel(740.0, "1.2.840.10008.5.1.4.1.1.20"), 7.4e8);
    }
}

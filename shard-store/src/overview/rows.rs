//! Counts as rows of (section, name, studies, series, instances, bytes, count, of), and back.

use shardex_catalog::{ATTRIBUTES, Cell, attribute_by_keyword};
use shardex_seams::StoreError;

use super::{Findings, Group, GroupBy, GroupName, Overview, Share};

/// Columns of the rows.
pub const COUNT_COLUMNS: [&str; 8] =
    ["section", "name", "studies", "series", "instances", "bytes", "count", "of"];

/// Numbers of a row, by column.
pub type Numbers<'n> = &'n [(&'n str, u64)];

/// A row with these numbers; `NULL` in the other columns.
#[must_use]
pub fn count_row(section: &str, name: Option<&str>, numbers: Numbers<'_>) -> Vec<Cell> {
    let cell = |column: &str| match column {
        "section" => text(section),
        "name" => name.map_or(Cell::Null, text),
        column => {
            let found = numbers.iter().find(|(name, _)| *name == column);
            found.map_or(Cell::Null, |(_, value)| number(*value))
        }
    };
    COUNT_COLUMNS.into_iter().map(cell).collect()
}

impl Overview {
    /// Gives every figure as a row.
    pub fn to_rows(&self, row: &mut dyn FnMut(Vec<Cell>)) {
        let mut to = |section: &str, name: Option<&str>, numbers: Numbers<'_>| {
            row(count_row(section, name, numbers));
        };
        for (name, count) in [("patients", self.patients), ("studies", self.studies), ("series", self.series)]
        {
            to("total", Some(name), &[("count", count)]);
        }
        to("total", Some("instances"), &[("count", self.instances), ("bytes", self.bytes)]);
        to("total", Some("indexed_files"), &[("count", self.files)]);
        for (by, groups) in &self.groups {
            for (name, group) in groups {
                let Group { studies, series, instances, bytes } = *group;
                let numbers =
                    [("studies", studies), ("series", series), ("instances", instances), ("bytes", bytes)];
                match name {
                    GroupName::Value(value) => to(by.as_str(), Some(value), &numbers),
                    GroupName::None => to(by.as_str(), None, &numbers),
                    GroupName::Other => to(&format!("{}_others", by.as_str()), None, &numbers),
                }
            }
        }
        for (attribute, share) in ATTRIBUTES.iter().zip(&self.filled.shares) {
            to("filled", Some(attribute.keyword), &[("count", share.filled), ("of", share.of)]);
        }
        if self.filled.is_sampled {
            to("sampled", None, &[]);
        }
        for (class, count) in &self.warnings {
            to("warning", Some(class.as_str()), &[("count", *count)]);
        }
        for (name, count) in self.findings.clone().by_name() {
            to("finding", Some(name), &[("count", *count)]);
        }
    }

    /// Takes a figure from a row.
    ///
    /// # Errors
    /// If it is no row of [`Overview::to_rows`].
    pub fn take_row(&mut self, cells: &[Cell]) -> Result<(), StoreError> {
        let section = cells.first().map(as_text).unwrap_or_default();
        let name = cells.get(1).map(as_text).unwrap_or_default();
        let value = |column: &str| {
            let at = COUNT_COLUMNS.iter().position(|known| *known == column);
            match at.and_then(|at| cells.get(at)) {
                Some(Cell::Integer(number)) => number.cast_unsigned(),
                _ => 0,
            }
        };
        let count = value("count");
        match section {
            "total" => match name {
                "patients" => self.patients = count,
                "studies" => self.studies = count,
                "series" => self.series = count,
                "instances" => (self.instances, self.bytes) = (count, value("bytes")),
                "indexed_files" => self.files = count,
                _ => return Err(unknown(section, name)),
            },
            "filled" => {
                let at = attribute_by_keyword(name).ok_or_else(|| unknown(section, name))?;
                self.filled.shares[at.index()] = Share { filled: count, of: value("of") };
            }
            "sampled" => self.filled.is_sampled = true,
            "warning" => {
                let class = name.parse().map_err(|_| unknown(section, name))?;
                self.warnings.insert(class, count);
            }
            "finding" => {
                let findings = &mut self.findings.by_name();
                let found = findings.iter_mut().find(|(known, _)| *known == name);
                *found.ok_or_else(|| unknown(section, name))?.1 = count;
            }
            group => {
                let (group, is_rest) = group.strip_suffix("_others").map_or((group, false), |by| (by, true));
                let by = GroupBy::ALL.into_iter().find(|by| by.as_str() == group);
                let by = by.ok_or_else(|| unknown(section, name))?;
                let name = match &cells[1] {
                    _ if is_rest => GroupName::Other,
                    Cell::Text(value) => GroupName::Value(value.clone()),
                    _ => GroupName::None,
                };
                let group = Group {
                    studies: value("studies"),
                    series: value("series"),
                    instances: value("instances"),
                    bytes: value("bytes"),
                };
                self.groups.entry(by).or_default().insert(name, group);
            }
        }
        Ok(())
    }
}

impl Findings {
    /// The counts by name.
    pub fn by_name(&mut self) -> [(&'static str, &mut u64); 13] {
        [
            ("undated", &mut self.undated),
            ("early", &mut self.early),
            ("future", &mut self.future),
            ("series_before_study", &mut self.series_before_study),
            ("before_birth", &mut self.before_birth),
            ("several_patients", &mut self.several_patients),
            ("several_dates", &mut self.several_dates),
            ("several_institutions", &mut self.several_institutions),
            ("without_patient_id", &mut self.without_patient_id),
            ("series_in_several_studies", &mut self.series_in_several_studies),
            ("shared_sop_instance_uids", &mut self.shared_sop_instance_uids),
            ("copies", &mut self.copies),
            ("varied_series", &mut self.varied_series),
        ]
    }
}

fn unknown(section: &str, name: &str) -> StoreError {
    StoreError::Query(format!(
        "counts of `{section}` `{name}` are not known here: use one version of shardex"
    ))
}

fn as_text(cell: &Cell) -> &str {
    match cell {
        Cell::Text(text) => text,
        _ => "",
    }
}

pub(super) fn text(text: impl Into<String>) -> Cell {
    Cell::Text(text.into())
}

pub(super) fn number(number: u64) -> Cell {
    Cell::Integer(number.cast_signed())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn figures_survive_their_rows() {
        let group = Group { studies: 1, series: 2, instances: 3, bytes: 4 };
        let names = [GroupName::Value("CT".to_owned()), GroupName::None, GroupName::Other];
        let groups: BTreeMap<_, _> = names.into_iter().map(|name| (name, group)).collect();
        let mut before = Overview { patients: 7, studies: 8, files: 9, bytes: 10, ..Overview::default() };
        before.groups = BTreeMap::from([(GroupBy::Modality, groups)]);
        before.filled.shares[3] = Share { filled: 5, of: 6 };
        before.filled.is_sampled = true;
        before
            .warnings
            .insert(shardex_catalog::Warnings::from_text("charset").iter().next().expect("one"), 11);
        before.findings.copies = 12;
        let mut after = Overview::default();
        before.to_rows(&mut |cells| after.take_row(&cells).expect("known"));
        assert_eq!(after, before);
        assert!(after.take_row(&count_row("later", None, &[])).is_err());
    }
}

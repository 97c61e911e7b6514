//! Counts by modality, year, site and the like.

use std::collections::BTreeMap;

use rusqlite::Connection;

/// Groups of one kind that are told apart; values beyond share one.
const GROUPS_MAX: usize = 10_000;

/// What instances are grouped by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum GroupBy {
    /// Modality.
    Modality,
    /// First four digits of StudyDate.
    Year,
    /// InstitutionName, as it is in the files.
    Site,
    /// Manufacturer.
    Manufacturer,
    /// SOPClassUID.
    SopClass,
    /// TransferSyntaxUID.
    TransferSyntax,
    /// Domain.
    Domain,
}

impl GroupBy {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 7] = [
        Self::Modality,
        Self::Year,
        Self::Site,
        Self::Manufacturer,
        Self::SopClass,
        Self::TransferSyntax,
        Self::Domain,
    ];

    /// Name in answers for machines.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Modality => "modality",
            Self::Year => "year",
            Self::Site => "site",
            Self::Manufacturer => "manufacturer",
            Self::SopClass => "sop_class",
            Self::TransferSyntax => "transfer_syntax",
            Self::Domain => "domain",
        }
    }

    fn expression(self) -> &'static str {
        match self {
            Self::Modality => "s.\"Modality\"",
            Self::Year => "substr(t.\"StudyDate\", 1, 4)",
            Self::Site => "s.\"InstitutionName\"",
            Self::Manufacturer => "s.\"Manufacturer\"",
            Self::SopClass => "k.\"SOPClassUID\"",
            Self::TransferSyntax => "k.\"TransferSyntaxUID\"",
            Self::Domain => "t.domain",
        }
    }

    fn is_of_stacks(self) -> bool {
        matches!(self, Self::SopClass | Self::TransferSyntax)
    }
}

/// What the members of a group have in common.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum GroupName {
    /// This value.
    Value(String),
    /// No value.
    None,
    /// One of the values beyond the number that is told apart.
    Other,
}

/// Counts of one group. A study with two modalities counts in both groups.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Group {
    /// Studies with an instance in the group.
    pub studies: u64,
    /// Series with an instance in the group.
    pub series: u64,
    /// Live instances.
    pub instances: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// A study and a series as SQL values; blanks are in no UID, nor in a domain.
const STUDY: &str = "t.domain || ' ' || t.\"StudyInstanceUID\"";

pub(super) fn studies_and_series(connection: &Connection) -> rusqlite::Result<(u64, u64)> {
    let studies = connection.query_row(
        &format!("SELECT count(DISTINCT {STUDY}) FROM study_header t WHERE t.n_live > 0"),
        [],
        |row| row.get(0),
    )?;
    let series = connection.query_row(
        &format!(
            "SELECT count(DISTINCT {STUDY} || ' ' || s.\"SeriesInstanceUID\") \
             FROM series_header s JOIN study_header t ON s.study = t.id WHERE s.n_live > 0"
        ),
        [],
        |row| row.get(0),
    )?;
    Ok((studies, series))
}

pub(super) fn of_shard(
    connection: &Connection,
) -> rusqlite::Result<BTreeMap<GroupBy, BTreeMap<GroupName, Group>>> {
    GroupBy::ALL.into_iter().map(|by| Ok((by, grouped(connection, by)?))).collect()
}

/// Adds another shard's groups of one kind.
pub(super) fn add(to: &mut BTreeMap<GroupName, Group>, from: BTreeMap<GroupName, Group>) {
    for (name, group) in from {
        let is_full = to.len() >= GROUPS_MAX && !to.contains_key(&name);
        let into = to.entry(if is_full { GroupName::Other } else { name }).or_default();
        into.studies += group.studies;
        into.series += group.series;
        into.instances += group.instances;
        into.bytes += group.bytes;
    }
}

pub(super) fn grouped(connection: &Connection, by: GroupBy) -> rusqlite::Result<BTreeMap<GroupName, Group>> {
    let (alias, stacks) = if by.is_of_stacks() {
        ('k', "stack_header k JOIN series_header s ON k.series = s.id")
    } else {
        ('s', "series_header s")
    };
    let sql = format!(
        "SELECT {}, count(DISTINCT {STUDY}), count(DISTINCT {STUDY} || ' ' || s.\"SeriesInstanceUID\"), \
         sum({alias}.n_live), sum({alias}.live_bytes) \
         FROM {stacks} JOIN study_header t ON s.study = t.id WHERE {alias}.n_live > 0 GROUP BY 1",
        by.expression()
    );
    let mut statement = connection.prepare(&sql)?;
    let mut rows = statement.query([])?;
    let mut groups = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let name = row.get::<_, Option<String>>(0)?.map_or(GroupName::None, GroupName::Value);
        let group =
            Group { studies: row.get(1)?, series: row.get(2)?, instances: row.get(3)?, bytes: row.get(4)? };
        add(&mut groups, BTreeMap::from([(name, group)]));
    }
    Ok(groups)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_beyond_the_bound_share_one() {
        let mut all = BTreeMap::new();
        let one = Group { studies: 1, series: 1, instances: 2, bytes: 3 };
        for n in 0..GROUPS_MAX + 5 {
            add(&mut all, BTreeMap::from([(GroupName::Value(n.to_string()), one)]));
        }
        assert_eq!(all.len(), GROUPS_MAX + 1);
        assert_eq!(all[&GroupName::Other].instances, 10);
        add(&mut all, BTreeMap::from([(GroupName::Value("7".to_owned()), one)]));
        assert_eq!(all[&GroupName::Value("7".to_owned())].instances, 4);
    }
}

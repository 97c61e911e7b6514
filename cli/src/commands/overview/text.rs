//! A summary for people.

use std::collections::BTreeMap;
use std::io::{self, Write};

use shardex_catalog::{ATTRIBUTES, Level, uid_name};
use shardex_shard_store::overview::{Group, GroupBy, GroupName};

use super::facts::Facts;
use super::findings::Finding;
use crate::output::{Table, byte_size, escaped, grouped};

/// Lines of a group that are shown unless all are asked for.
const GROUPS_SHOWN: usize = 15;
const BAR_WIDTH: u64 = 20;

pub(super) fn write(to: &mut impl Write, facts: &Facts, findings: &[Finding], all: bool) -> io::Result<()> {
    totals(to, facts)?;
    for by in GroupBy::ALL {
        let Some(found) = facts.overview.groups.get(&by) else { continue };
        let is_dull = by == GroupBy::Domain && found.len() < 2;
        if !found.is_empty() && !is_dull {
            groups(to, by, found, all)?;
        }
    }
    filled(to, facts, all)?;
    counts(to, "warnings", &facts.seen.warnings)?;
    counts(to, "quarantined", &facts.seen.quarantined)?;
    counts(to, "not DICOM", &facts.seen.not_dicom)?;
    counts(to, "skipped", &facts.seen.skipped)?;
    if findings.is_empty() {
        return writeln!(to, "\nNothing needs a look.");
    }
    writeln!(to, "\nWorth a look:")?;
    for finding in findings {
        writeln!(to, "  {}: {}", finding.what, grouped(finding.count))?;
        writeln!(to, "      {}", escaped(&finding.command))?;
    }
    Ok(())
}

fn totals(to: &mut impl Write, facts: &Facts) -> io::Result<()> {
    let (overview, seen) = (&facts.overview, &facts.seen);
    let mut table = Table::new(&["what", "count", "size"]);
    for (name, count) in
        [("patients", overview.patients), ("studies", overview.studies), ("series", overview.series)]
    {
        table.row([name.to_owned(), grouped(count), String::new()]);
    }
    table.row(["instances".to_owned(), grouped(overview.instances), byte_size(overview.bytes)]);
    table.row(["files seen".to_owned(), grouped(seen.files), byte_size(seen.bytes)]);
    for (state, count) in &seen.states {
        table.row([format!("  {state}"), grouped(*count), String::new()]);
    }
    table.row(["shards".to_owned(), grouped(facts.shards), byte_size(facts.archive_bytes)]);
    table.write(to, true)
}

fn groups(to: &mut impl Write, by: GroupBy, found: &BTreeMap<GroupName, Group>, all: bool) -> io::Result<()> {
    let title = match by {
        GroupBy::Modality => "modality",
        GroupBy::Year => "year",
        GroupBy::Site => "institution",
        GroupBy::Manufacturer => "manufacturer",
        GroupBy::SopClass => "SOP class",
        GroupBy::TransferSyntax => "transfer syntax",
        GroupBy::Domain => "domain",
    };
    let mut table = Table::new(&[title, "studies", "series", "instances", "size"]);
    let shown = if all { usize::MAX } else { GROUPS_SHOWN };
    for (name, group) in sorted(by, found).into_iter().take(shown) {
        table.row([
            group_name(by, name),
            grouped(group.studies),
            grouped(group.series),
            grouped(group.instances),
            byte_size(group.bytes),
        ]);
    }
    writeln!(to)?;
    table.write(to, true)?;
    if found.len() > shown {
        writeln!(to, "… {} more, with --all", found.len() - shown)?;
    }
    Ok(())
}

fn group_name(by: GroupBy, name: &GroupName) -> String {
    match name {
        GroupName::Value(uid) if matches!(by, GroupBy::SopClass | GroupBy::TransferSyntax) => {
            uid_name(uid).map_or_else(|| uid.clone(), str::to_owned)
        }
        GroupName::Value(value) => value.clone(),
        GroupName::None => "(none)".to_owned(),
        GroupName::Other => "(all others)".to_owned(),
    }
}

/// Years in order of time, everything else by number of instances.
pub(super) fn sorted(by: GroupBy, found: &BTreeMap<GroupName, Group>) -> Vec<(&GroupName, &Group)> {
    let mut groups: Vec<_> = found.iter().collect();
    if by == GroupBy::Year {
        groups.sort_by(|a, b| b.0.cmp(a.0));
    } else {
        groups.sort_by_key(|(name, group)| (std::cmp::Reverse(group.instances), *name));
    }
    groups
}

/// Name of a level, for people and machines.
pub(super) fn level_name(level: Level) -> &'static str {
    match level {
        Level::Study => "study",
        Level::Series => "series",
        Level::Stack => "stack",
        Level::File => "file",
    }
}

fn filled(to: &mut impl Write, facts: &Facts, all: bool) -> io::Result<()> {
    let filled = &facts.overview.filled;
    let mut table = Table::new(&["attribute", "stored", "", "filled"]);
    let mut empty = 0;
    let mut levels = [Level::Study, Level::Series, Level::Stack, Level::File].into_iter();
    let of_level = |level| ATTRIBUTES.iter().zip(&filled.shares).filter(move |(a, _)| a.level == level);
    for (attribute, share) in levels.by_ref().flat_map(of_level) {
        if share.filled == 0 && !all {
            empty += 1;
            continue;
        }
        let about = if filled.is_estimate(attribute) { "~" } else { "" };
        table.row([
            attribute.keyword.to_owned(),
            level_name(attribute.level).to_owned(),
            bar(share.filled, share.of),
            format!("{about}{}", percent(share.filled, share.of)),
        ]);
    }
    if table.len() > 0 {
        writeln!(to)?;
        table.write(to, true)?;
    }
    if empty > 0 {
        writeln!(to, "… {empty} attributes without any value, with --all")?;
    }
    if filled.is_sampled {
        writeln!(to, "~ from a sample of files; --exact reads all")?;
    }
    Ok(())
}

/// A bar of fixed width; whatever has a value at all shows a mark, and only all fills it.
fn bar(filled: u64, of: u64) -> String {
    let full = u128::from(filled) * u128::from(BAR_WIDTH) / u128::from(of.max(1));
    let mut full = usize::try_from(full).unwrap_or(0).min(20);
    if full == 0 && filled > 0 {
        full = 1;
    }
    "█".repeat(full) + &"·".repeat(20 - full)
}

/// Never rounds to all or nothing what is neither.
fn percent(filled: u64, of: u64) -> String {
    let share = 100.0 * filled as f64 / of.max(1) as f64;
    match share {
        _ if filled == 0 => "0 %".to_owned(),
        _ if filled >= of => "100 %".to_owned(),
        _ if share < 0.1 => "<0.1 %".to_owned(),
        _ if share > 99.9 => ">99.9 %".to_owned(),
        _ => format!("{share:.1} %"),
    }
}

fn counts(to: &mut impl Write, title: &str, counts: &BTreeMap<String, u64>) -> io::Result<()> {
    let mut counts: Vec<_> = counts.iter().collect();
    counts.sort_by_key(|(name, count)| (std::cmp::Reverse(**count), *name));
    if counts.is_empty() {
        return Ok(());
    }
    let mut table = Table::new(&[title, "files"]);
    counts.into_iter().for_each(|(name, count)| table.row([name.clone(), grouped(*count)]));
    writeln!(to)?;
    table.write(to, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_never_rounded_to_all_or_nothing() {
        for (filled, of, shown) in [
            (0, 10, "0 %"),
            (10, 10, "100 %"),
            (0, 0, "0 %"),
            (1, 1_000_000, "<0.1 %"),
            (999_999, 1_000_000, ">99.9 %"),
            (1, 3, "33.3 %"),
        ] {
            assert_eq!(percent(filled, of), shown);
        }
        assert_eq!(bar(1, 1_000_000), format!("█{}", "·".repeat(19)));
        assert_eq!(bar(999_999, 1_000_000), format!("{}·", "█".repeat(19)));
        assert_eq!(bar(5, 5), "█".repeat(20));
    }
}

//! `shardex institutions`: what institutions call themselves, and which site each is.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::Deserialize;
use shardex_catalog::{Cell, InstitutionRule, Institutions as Mapping, Site, other_bucket};
use shardex_shard_store::ReadArchive;
use shardex_shard_store::overview::{Group, GroupName, OverviewOptions};

use crate::args::{ArchiveArgument, Format};
use crate::exit::ExitCode;
use crate::output::{self, Rows};
use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub(crate) enum Institutions {
    /// List every InstitutionName with its site and counts.
    #[command(after_help = "Examples:
  shardex institutions list --archive ./archive
  shardex institutions list -a ./archive --format csv > names.csv")]
    List(InstitutionList),
    /// Try a mapping file on what an archive holds; nothing is written.
    #[command(after_help = "Examples:
  shardex institutions map sites.toml --archive ./archive
  shardex institutions map sites.csv -a ./archive --format csv

A mapping file is TOML:
  [[institution]]
  pattern = \"st brendan*\"
  site = \"Brendan\"
or CSV with the columns pattern and site. The first pattern that matches counts; * and ? are wildcards; case,
accents of width and punctuation do not matter. Give it to the first ingest of a new archive:
  shardex ingest /data --partition institution --institution-map sites.toml --archive ./by-site")]
    Map(InstitutionMap),
}

/// Of both commands.
pub(crate) const INSTITUTION_EXAMPLES: &str = "Examples:
  shardex institutions list --archive ./archive
  shardex institutions map sites.toml --archive ./archive";

#[derive(Debug, Args)]
pub(crate) struct InstitutionList {
    #[command(flatten)]
    pub(crate) archive: ArchiveArgument,
    /// How the list is written.
    #[arg(long, value_enum, default_value = "table")]
    pub(crate) format: Format,
    /// As --format json.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct InstitutionMap {
    /// The mapping file, TOML or CSV.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) list: InstitutionList,
}

/// Bytes of a mapping file; ten thousand rules fit.
const MAPPING_BYTES_MAX: u64 = 8 << 20;

pub(crate) fn run(command: &Institutions) -> anyhow::Result<ExitCode> {
    match command {
        Institutions::List(list) => run_list(list),
        Institutions::Map(map) => run_map(map),
    }
}

/// Reads a mapping file: CSV by its suffix, else TOML.
pub(crate) fn read_mapping(path: &Path) -> anyhow::Result<Vec<InstitutionRule>> {
    let context = || format!("the mapping `{}`", path.display());
    let size = std::fs::metadata(path).with_context(context)?.len();
    anyhow::ensure!(size <= MAPPING_BYTES_MAX, "{}: it is larger than {MAPPING_BYTES_MAX} bytes", context());
    let text = std::fs::read_to_string(path).with_context(context)?;
    let is_csv = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("csv"));
    let rules = if is_csv { parse_csv(&text) } else { parse_toml(&text) }.with_context(context)?;
    anyhow::ensure!(!rules.is_empty(), "{}: it holds no pattern", context());
    Ok(rules)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MappingFile {
    #[serde(default)]
    institution: Vec<MappingLine>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MappingLine {
    pattern: String,
    site: String,
}

fn parse_toml(text: &str) -> anyhow::Result<Vec<InstitutionRule>> {
    let file: MappingFile = toml::from_str(text)?;
    let rule = |line: MappingLine| InstitutionRule { pattern: line.pattern, site: line.site };
    Ok(file.institution.into_iter().map(rule).collect())
}

fn parse_csv(text: &str) -> anyhow::Result<Vec<InstitutionRule>> {
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .trim(csv::Trim::All)
        .from_reader(text.as_bytes());
    let mut rules = Vec::new();
    for (n, record) in reader.records().enumerate() {
        let record = record?;
        let fields: Vec<_> = record.iter().collect();
        match fields[..] {
            ["pattern", "site"] if n == 0 => {}
            [pattern, site] => {
                rules.push(InstitutionRule { pattern: pattern.to_owned(), site: site.to_owned() })
            }
            _ => anyhow::bail!("line {}: there must be two columns, pattern and site", n + 1),
        }
    }
    Ok(rules)
}

fn gather(archive: &ReadArchive) -> anyhow::Result<Vec<(Option<String>, Group)>> {
    let options = OverviewOptions {
        today: String::new(),
        file_rows_max: None,
        threads: std::thread::available_parallelism().map_or(1, std::num::NonZero::get).min(8),
        cancel: shardex_daemon::stop_on_signals()?,
    };
    let mut found: Vec<_> = archive
        .institutions(&options)?
        .into_iter()
        .map(|(name, group)| match name {
            GroupName::Value(name) => (Some(name), group),
            GroupName::None => (None, group),
            GroupName::Other => (Some("(all others)".to_owned()), group),
        })
        .collect();
    found.sort_by(|a, b| (b.1.instances, &a.0).cmp(&(a.1.instances, &b.0)));
    Ok(found)
}

fn run_list(list: &InstitutionList) -> anyhow::Result<ExitCode> {
    let archive = ReadArchive::open(&list.archive.archive)?;
    let placement = archive.placement();
    let admitted = archive.sites()?.filter(|_| placement.scheme.institution);
    let mut rows = Rows::new(output::answer(), format(list));
    rows.columns(["InstitutionName", "site", "mapped", "studies", "instances"].map(str::to_owned).to_vec())?;
    for (name, group) in gather(&archive)? {
        let site = placement.institutions.site(name.as_deref());
        // Beyond the limit it shares a partition, unless its studies came before others took places.
        let shares = match (&site, &admitted) {
            (Site::Unmapped(name), Some(admitted)) => {
                !admitted.contains(name) && admitted.len() as u64 >= placement.institutions.sites_max().into()
            }
            _ => false,
        };
        let shown = if shares { other_bucket(site.name()) } else { site.name().to_owned() };
        let mapped = if matches!(site, Site::Mapped { .. }) { "yes" } else { "" };
        rows.row(&[
            name.map_or(Cell::Null, Cell::Text),
            Cell::Text(shown),
            Cell::Text(mapped.to_owned()),
            Cell::Integer(group.studies.cast_signed()),
            Cell::Integer(group.instances.cast_signed()),
        ])?;
    }
    rows.end()?;
    Ok(ExitCode::Done)
}

fn run_map(map: &InstitutionMap) -> anyhow::Result<ExitCode> {
    let archive = ReadArchive::open(&map.list.archive.archive)?;
    let now = &archive.placement().institutions;
    let then = Mapping::new(read_mapping(&map.file)?, now.sites_max())?;
    let mut used = BTreeSet::new();
    let (mut changed, mut unmapped) = (0_u64, 0_u64);
    let mut sites = BTreeSet::new();
    let mut rows = Rows::new(output::answer(), format(&map.list));
    let columns = ["InstitutionName", "site_now", "site_then", "pattern", "studies", "instances"];
    rows.columns(columns.map(str::to_owned).to_vec())?;
    for (name, group) in gather(&archive)? {
        let before = now.site(name.as_deref());
        let after = then.site(name.as_deref());
        let pattern = match &after {
            Site::Mapped { rule, .. } => {
                used.insert(*rule);
                then.rules().get(*rule).map(|rule| rule.pattern.clone())
            }
            Site::Unmapped(_) | Site::Unknown => None,
        };
        changed += u64::from(before.name() != after.name());
        unmapped += u64::from(matches!(after, Site::Unmapped(_)));
        sites.insert(after.name().to_owned());
        rows.row(&[
            name.map_or(Cell::Null, Cell::Text),
            Cell::Text(before.name().to_owned()),
            Cell::Text(after.name().to_owned()),
            pattern.map_or(Cell::Null, Cell::Text),
            Cell::Integer(group.studies.cast_signed()),
            Cell::Integer(group.instances.cast_signed()),
        ])?;
    }
    let names = rows.end()?;
    output::say(&format!(
        "{names} names, {} sites; {changed} names get another site, {unmapped} names match no pattern",
        sites.len()
    ));
    for (n, rule) in then.rules().iter().enumerate().filter(|(n, _)| !used.contains(n)) {
        output::say(&format!("  pattern {} `{}` matches nothing", n + 1, output::escaped(&rule.pattern)));
    }
    output::say(
        "Nothing was written: a mapping is fixed when an archive is made (ingest --institution-map).",
    );
    Ok(ExitCode::Done)
}

fn format(list: &InstitutionList) -> Format {
    if list.json { Format::Json } else { list.format }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_of_file_say_the_same() {
        let toml = "[[institution]]\npattern = \"north*\"\nsite = \"North\"\n[[institution]]\npattern = \"*\"\nsite = \"Rest, all\"\n";
        let csv = "pattern,site\nnorth*, North\n*,\"Rest, all\"\n";
        let from_toml = parse_toml(toml).expect("TOML");
        assert_eq!(from_toml, parse_csv(csv).expect("CSV"));
        assert_eq!(from_toml.len(), 2);
        assert_eq!(parse_csv("north*,North\n").expect("CSV").len(), 1, "a header is not needed");
        assert!(parse_csv("north*\n").is_err());
        assert!(parse_toml("[[institution]]\npattern = \"a\"\n").is_err());
        assert!(parse_toml("[[institutions]]\npattern = \"a\"\nsite = \"b\"\n").is_err());
    }
}

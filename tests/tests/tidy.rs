//! House rules that a compiler does not know.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Crates, and the crates of the workspace that each may use.
#[rustfmt::skip]
const LAYERS: &[(&str, &[&str])] = &[
    ("catalog", &[]),
    ("seams", &["catalog"]),
    ("proto", &["catalog"]),
    ("daemon", &["catalog", "seams", "proto"]),
    ("extract", &["catalog", "seams"]),
    ("shard-store", &["catalog", "seams"]),
    ("remote", &["catalog", "seams", "proto", "daemon"]),
    ("coordinator", &["catalog", "seams", "proto", "daemon"]),
    ("worker", &["catalog", "seams", "proto", "daemon", "extract"]),
    ("shard-router", &["catalog", "seams", "proto", "daemon", "shard-store"]),
    ("cli", &["catalog", "seams", "proto", "daemon", "extract", "shard-store", "remote", "coordinator", "worker", "shard-router"]),
    ("tests", &["catalog", "cli"]),
];

/// Foreign crates that only these crates may use.
const KNOWN_TO_ONE: &[(&str, &[&str])] = &[
    ("rusqlite", &["shard-store"]),
    ("sqlite3-parser", &["shard-router", "shard-store"]),
    ("dicom-core", &["extract"]),
    ("dicom-dictionary-std", &["extract"]),
    ("clap", &["cli"]),
    ("clap_complete", &["cli"]),
    ("clap_mangen", &["cli"]),
    ("prost", &["proto"]),
    ("etcd-client", &["coordinator"]),
    ("tonic", &["proto", "daemon", "coordinator", "shard-router", "remote"]),
];

/// Texts that no source may hold, and the crates that may, with the reason.
const BANNED: &[(&str, &[&str], &str)] = &[
    ("Instant::now", &["tests"], "time comes from a Clock"),
    ("SystemTime::now", &[], "time comes from a Clock"),
    ("unbounded_channel", &[], "channels have bounds"),
    ("mpsc::channel()", &[], "channels have bounds"),
    ("thread::sleep", &["tests"], "wait for a condition"),
    ("todo!(", &[], "no stubs"),
    ("unimplemented!(", &[], "no stubs"),
    ("#[ignore", &[], "what is not run is not true"),
];

const FILE_LINES_LOOK: usize = 400;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map_or_else(PathBuf::new, Path::to_owned)
}

fn manifests() -> Result<BTreeMap<String, toml::Table>> {
    let mut manifests = BTreeMap::new();
    for (name, _) in LAYERS {
        let path = root().join(name).join("Cargo.toml");
        let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        manifests.insert((*name).to_owned(), text.parse()?);
    }
    Ok(manifests)
}

fn dependencies(manifest: &toml::Table) -> Vec<&str> {
    let table = manifest.get("dependencies").and_then(toml::Value::as_table);
    table.map(|table| table.keys().map(String::as_str).collect()).unwrap_or_default()
}

fn sources() -> Result<Vec<(String, PathBuf, String)>> {
    let mut sources = Vec::new();
    for (name, _) in LAYERS {
        let mut folders = vec![root().join(name)];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder)? {
                let path = entry?.path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|extension| extension == "rs") {
                    let text = std::fs::read_to_string(&path)?;
                    sources.push(((*name).to_owned(), path, text));
                }
            }
        }
    }
    Ok(sources)
}

#[test]
fn dependencies_point_down_only() -> Result<()> {
    let manifests = manifests()?;
    let workspace: toml::Table = std::fs::read_to_string(root().join("Cargo.toml"))?.parse()?;
    let members = workspace["workspace"]["members"].as_array().context("members")?;
    assert_eq!(members.len(), LAYERS.len(), "every crate has its layer in this test");
    for (name, allowed) in LAYERS {
        for dependency in dependencies(&manifests[*name]) {
            if let Some(own) = dependency.strip_prefix("shardex-") {
                assert!(allowed.contains(&own), "{name} must not depend on {own}");
            }
            let known = KNOWN_TO_ONE.iter().find(|(foreign, _)| *foreign == dependency);
            assert!(known.is_none_or(|(_, by)| by.contains(name)), "{name} must not know {dependency}");
        }
    }
    Ok(())
}

#[test]
fn versions_stand_in_one_place() -> Result<()> {
    for (name, manifest) in manifests()? {
        for table in ["dependencies", "dev-dependencies"] {
            let Some(table) = manifest.get(table).and_then(toml::Value::as_table) else { continue };
            for (dependency, value) in table {
                let inherited = value.get("workspace").and_then(toml::Value::as_bool);
                assert_eq!(
                    inherited,
                    Some(true),
                    "{name}: {dependency} must take its version from the workspace"
                );
            }
        }
    }
    Ok(())
}

#[test]
fn banned_calls_are_not_made() -> Result<()> {
    let sources = sources()?;
    assert!(sources.len() > 80, "only {} sources were found", sources.len());
    for (name, path, text) in &sources {
        if path.ends_with("tidy.rs") {
            continue;
        }
        let is_test = path.components().any(|part| part.as_os_str() == "tests");
        for (banned, allowed, why) in BANNED {
            let may = allowed.contains(&name.as_str()) || (is_test && allowed.contains(&"tests"));
            assert!(may || !text.contains(banned), "{}: `{banned}`: {why}", path.display());
        }
    }
    Ok(())
}

#[test]
fn logs_name_no_paths_names_or_values() -> Result<()> {
    for (_, path, text) in &sources()? {
        for (at, _) in text.match_indices("tracing::") {
            let call: String = text[at..].chars().take_while(|c| *c != ';').collect();
            for word in ["path", "name", "value", "patient", "root"] {
                let says = call.split(|c: char| !c.is_alphanumeric()).any(|part| part == word);
                assert!(!says, "{}: a log call mentions `{word}`: {call}", path.display());
            }
        }
    }
    Ok(())
}

#[test]
#[expect(clippy::print_stderr, reason = "sizes are for looking at, not for failing")]
fn large_files_are_shown() -> Result<()> {
    let mut large: Vec<_> = sources()?
        .into_iter()
        .map(|(_, path, text)| (text.lines().count(), path))
        .filter(|(lines, _)| *lines > FILE_LINES_LOOK)
        .collect();
    large.sort();
    for (lines, path) in large {
        eprintln!("{lines} lines: {}", path.strip_prefix(root()).unwrap_or(&path).display());
    }
    Ok(())
}

//! Partitions by institution, with and without a mapping, on the built binary.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::Value as Json;
use shardex_tests::{Instance, Shardex};

const INSTITUTION: u32 = 0x0008_0080;
const NAMES: [&str; 6] = [
    "St. Brendan Medical",
    "ST BRENDAN  MED. CENTRE",
    "North-West Clinic",
    "Far Clinic",
    "Farther Clinic",
    "",
];

struct Place {
    folder: tempfile::TempDir,
    tree: PathBuf,
    shardex: Shardex,
}

impl Place {
    /// One study of two files for each name.
    fn new() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let tree = folder.path().join("tree");
        std::fs::create_dir(&tree)?;
        for (n, name) in (0..).zip(NAMES) {
            for number in 1..=2 {
                let instance = Instance::numbered(n, n, 1, number).with(INSTITUTION, b"LO", name);
                std::fs::write(tree.join(format!("{n}_{number}.dcm")), instance.bytes())?;
            }
        }
        let shardex = Shardex::new(&folder.path().join("archive"))?;
        Ok(Self { folder, tree, shardex })
    }

    fn ingest(&self, more: &[&str]) -> Result<(Option<i32>, String)> {
        let tree = self.tree.to_string_lossy();
        let answer = self.shardex.run(&[&["ingest", &tree, "--json"], more].concat())?;
        Ok((answer.code, answer.err))
    }

    fn mapping(&self, name: &str, text: &str) -> Result<String> {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text)?;
        Ok(path.to_string_lossy().into_owned())
    }

    fn partitions(&self) -> Result<Vec<String>> {
        partitions(self.shardex.archive())
    }

    fn rows(&self, arguments: &[&str]) -> Result<Vec<Json>> {
        let answer = self.shardex.run(&[&["institutions"], arguments, &["--format", "jsonl"]].concat())?;
        anyhow::ensure!(answer.code == Some(0), "{}", answer.err);
        answer.out.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
    }
}

/// Readable parts of the partitions' folders.
fn partitions(archive: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(archive.join("shards"))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        names.push(name.rsplit_once('-').context("a hash")?.0.to_owned());
    }
    names.sort();
    Ok(names)
}

#[test]
fn a_mapping_gathers_names_and_is_fixed_with_the_archive() -> Result<()> {
    let place = Place::new()?;
    let map = place.mapping("sites.toml", "[[institution]]\npattern = \"st. brendan*\"\nsite = \"Brendan\"\n[[institution]]\npattern = \"f* clinic\"\nsite = \"Far\"\n")?;
    let scheme = ["--partition", "institution", "--institution-map", &map];
    let (code, said) = place.ingest(&scheme)?;
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(place.partitions()?, ["brendan", "far", "north_west_clinic", "unknown"]);
    let (again, said) = place.ingest(&scheme)?;
    assert_eq!(again, Some(0), "the same mapping is no change: {said}");
    let other = place.mapping("other.csv", "pattern,site\n*,All\n")?;
    let (refused, said) = place.ingest(&["--institution-map", &other])?;
    assert_eq!(refused, Some(1));
    assert!(said.contains("fixed when an archive is made"), "{said}");

    let listed = place.rows(&["list"])?;
    let sites: BTreeMap<_, _> = listed
        .iter()
        .map(|row| {
            (
                row["InstitutionName"].as_str().unwrap_or("").to_owned(),
                row["site"].as_str().unwrap_or("").to_owned(),
            )
        })
        .collect();
    assert_eq!(sites["ST BRENDAN  MED. CENTRE"], "brendan");
    assert_eq!((sites["North-West Clinic"].as_str(), sites[""].as_str()), ("north west clinic", "unknown"));
    assert!(listed.iter().all(|row| row["instances"] == 2 && row["studies"] == 1), "{listed:?}");

    let before = place.shardex.dump()?;
    let tried = place.rows(&["map", &other])?;
    assert_eq!(tried.len(), 6);
    let changed = tried.iter().filter(|row| row["site_then"] == "all").count();
    assert_eq!(changed, 5, "a name is needed to match: {tried:?}");
    assert_eq!(place.shardex.dump()?, before);
    Ok(())
}

#[test]
fn institutions_beyond_the_limit_share_partitions() -> Result<()> {
    let place = Place::new()?;
    let (code, said) = place.ingest(&["--partition", "institution", "--institutions-max", "2"])?;
    assert_eq!(code, Some(0), "{said}");
    let partitions = place.partitions()?;
    let shared = partitions.iter().filter(|name| name.starts_with("other")).count();
    let own = partitions.iter().filter(|name| !name.starts_with("other") && *name != "unknown").count();
    assert!(own == 2 && (1..=3).contains(&shared), "{partitions:?}");
    let rows = place.shardex.sql("SELECT count(*), count(DISTINCT StudyInstanceUID) FROM instances")?;
    assert_eq!(rows, [["12", "6"]]);
    let again = place.shardex.ingest(&[&place.tree.to_string_lossy()])?;
    assert_eq!(again["unchanged"], 12, "{again}");
    assert_eq!(place.partitions()?, partitions);
    let listed = place.rows(&["list"])?;
    let sharing = listed.iter().filter(|row| row["site"].as_str().is_some_and(|s| s.starts_with("other-")));
    assert_eq!(sharing.count(), 3, "{listed:?}");
    Ok(())
}

#[test]
fn mappings_that_cannot_be_used_are_refused_before_anything_is_made() -> Result<()> {
    let place = Place::new()?;
    let good = place.mapping("good.toml", "[[institution]]\npattern = \"a*\"\nsite = \"A\"\n")?;
    let bad = place.mapping("bad.toml", "[[institution]]\npattern = \"...\"\nsite = \"A\"\n")?;
    let empty = place.mapping("empty.csv", "pattern,site\n")?;
    for (arguments, said) in [
        (&["--institution-map", &good][..], "needs `institution` in --partition"),
        (&["--partition", "institution", "--institution-map", &bad], "holds no letter"),
        (&["--partition", "institution", "--institution-map", &empty], "holds no pattern"),
        (&["--partition", "institution", "--institution-map", "/nowhere.toml"], "/nowhere.toml"),
    ] {
        let (code, error) = place.ingest(arguments)?;
        assert_eq!(code, Some(1), "{error}");
        assert!(error.contains(said), "{said}: {error}");
        assert!(!place.shardex.archive().exists(), "{said}");
    }
    Ok(())
}

//! The commands of the guide in `docs/howto`, and the first ones of the README, run on the built binary as they stand there.
//!
//! Each page runs from top to bottom in a folder of its own, in which `/data` and `/archive` are what [`hospital`]
//! made. A block ` ```sh ` is run by bash and must end well, or with the exit code that ` ```sh exit=N ` says. The
//! lines of a block ` ```text ` after it must come in its output, in this order; `…` stands for any lines. What
//! needs other machines is marked ` ```sh no-test `, and counted.

mod hospital;
mod page;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use page::{Block, blocks};

/// Blocks that cannot be run here: what a page loses its truth by.
const UNTESTED_MAX: usize = 4;

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs")
}

fn pages() -> Result<Vec<PathBuf>> {
    let mut pages = Vec::new();
    for entry in std::fs::read_dir(docs().join("howto"))? {
        pages.push(entry?.path());
    }
    pages.sort();
    Ok(pages)
}

/// The binary, first on the path of the guide's shell.
fn search_path() -> Result<String> {
    let binary = shardex_tests::Shardex::new(Path::new("."))?.binary().to_owned();
    let folder = binary.parent().context("a folder")?;
    Ok(format!("{}:{}", folder.display(), std::env::var("PATH")?))
}

/// Runs the blocks of a page; the number of those that were run.
fn run(page: &Path) -> Result<usize> {
    let folder = tempfile::tempdir()?;
    let root = folder.path();
    hospital::write(&root.join("data/dicom"))?;
    std::fs::create_dir(root.join("archive"))?;
    std::fs::create_dir_all(root.join("var/tmp"))?;
    std::fs::create_dir(root.join("work"))?;
    std::fs::write(root.join("work/cohort.csv"), "AccessionNumber\nACC007\n")?;
    let text = std::fs::read_to_string(page)?;
    let (mut count, mut exports) = (0, String::new());
    // What makes the binary has been done.
    let is_run = |block: &Block| !block.is_untested && !block.commands.starts_with("make ");
    for Block { line, commands, exit, expected, .. } in blocks(&text)?.into_iter().filter(is_run) {
        let output = Command::new("bash")
            .args([
                "-euo",
                "pipefail",
                "-c",
                &format!("exec 2>&1\n{exports}{}", page::rooted(&commands, root)),
            ])
            .env("PATH", search_path()?)
            .env_remove("SHARDEX_ARCHIVE")
            .current_dir(root.join("work"))
            .stdin(Stdio::null())
            .output()?;
        let said = page::unrooted(&String::from_utf8_lossy(&output.stdout), root);
        tell(&format!("$ {commands}\n{said}"));
        let place = format!("{}:{line}: {commands}", page.display());
        assert_eq!(output.status.code(), Some(exit), "{place}\nsaid:\n{said}");
        if let Some(missing) = page::missing_line(&said, &expected) {
            panic!("{place}\ndid not say `{missing}` here, but:\n{said}");
        }
        // A reader stays in one shell.
        for line in commands.lines().filter(|line| line.starts_with("export ")) {
            exports.push_str(&format!("{}\n", page::rooted(line, root)));
        }
        count += 1;
    }
    Ok(count)
}

fn check(name: &str) -> Result<()> {
    let count = run(&docs().join("howto").join(name))?;
    assert!(count > 0, "{name} has no commands");
    Ok(())
}

#[test]
fn readme() -> Result<()> {
    assert_eq!(run(&docs().join("../README.md"))?, 2);
    Ok(())
}

#[test]
fn backfill() -> Result<()> {
    check("backfill.md")
}

#[test]
fn second_runs() -> Result<()> {
    check("second-runs.md")
}

#[test]
fn cohort_rsync() -> Result<()> {
    check("cohort-rsync.md")
}

#[test]
fn slurm_per_year() -> Result<()> {
    check("slurm-per-year.md")
}

#[test]
fn pet_inventory() -> Result<()> {
    check("pet-inventory.md")
}

#[test]
fn duplicates_conflicts() -> Result<()> {
    check("duplicates-conflicts.md")
}

#[test]
fn every_page_is_listed_and_run() -> Result<()> {
    let index = std::fs::read_to_string(docs().join("README.md"))?;
    let own = include_str!("main.rs");
    let (mut run, mut untested) = (0, 0);
    for page in pages()? {
        let name = page.file_name().context("a name")?.to_string_lossy().into_owned();
        assert!(index.contains(&format!("(howto/{name})")), "docs/README.md does not list {name}");
        assert!(own.contains(&format!("check(\"{name}\")")), "no test runs {name}");
        for block in blocks(&std::fs::read_to_string(&page)?)? {
            *(if block.is_untested { &mut untested } else { &mut run }) += 1;
        }
    }
    tell(&format!("the guide: {run} blocks of commands are run, {untested} are not"));
    assert!(untested <= UNTESTED_MAX, "{untested} blocks are not run");
    Ok(())
}

#[expect(clippy::print_stderr, reason = "what is not tested is said")]
fn tell(text: &str) {
    eprintln!("{text}");
}

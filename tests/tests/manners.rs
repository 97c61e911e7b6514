//! How the built binary behaves towards shells, pipes and terminals.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use shardex_tests::{Instance, Shardex, write_series};

struct Place {
    folder: tempfile::TempDir,
    shardex: Shardex,
}

impl Place {
    fn new() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        std::fs::create_dir(folder.path().join("tree"))?;
        let shardex = Shardex::new(&folder.path().join("archive"))?;
        Ok(Self { folder, shardex })
    }

    fn tree(&self) -> PathBuf {
        self.folder.path().join("tree")
    }

    fn ingest(&self) -> Result<()> {
        let summary = self.shardex.ingest(&[&self.tree().to_string_lossy()])?;
        anyhow::ensure!(summary["ended"] == "complete", "{summary}");
        Ok(())
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.shardex.binary());
        command.args(arguments).env("SHARDEX_ARCHIVE", self.shardex.archive()).stdin(Stdio::null());
        command
    }
}

/// What answers something of an archive, and may be cut short.
const ANSWERS: &[&[&str]] = &[
    &["--help"],
    &["--version"],
    &["ingest", "--help"],
    &["schema"],
    &["schema", "--json"],
    &["status"],
    &["status", "--json"],
    &["summary"],
    &["summary", "--json"],
    &["files"],
    &["files", "--format", "csv"],
    &["search", "studies"],
    &["sql", "SELECT * FROM instances"],
    &["sql", "SELECT * FROM instances", "--json"],
    &["tree", "PAT0001", "--files"],
    &["tree", "PAT0001", "--json"],
    &["show", "2.25.1000001"],
    &["show", "2.25.1000001", "--json"],
    &["report", "duplicates"],
    &["institutions", "list"],
    &["maintain", "size"],
    &["maintain", "size", "--json"],
    &["verify"],
    &["verify", "--json"],
    &["dump"],
    &["completions", "bash"],
];

#[test]
fn nobody_reads_and_nothing_is_said() -> Result<()> {
    let place = Place::new()?;
    write_series(&place.tree(), 1, 1, 1, 5)?;
    place.ingest()?;
    for arguments in ANSWERS {
        let (reader, writer) = std::io::pipe()?;
        drop(reader);
        let output = place.command(arguments).stdout(writer).stderr(Stdio::piped()).output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {said}");
        assert!(!said.contains("error") && !said.contains("panicked"), "{arguments:?}: {said}");
    }
    Ok(())
}

#[test]
fn a_reader_that_has_seen_enough_ends_the_query() -> Result<()> {
    let place = Place::new()?;
    write_series(&place.tree(), 1, 1, 1, 150)?;
    place.ingest()?;
    let statement = "SELECT a.file_path, b.file_path FROM instances a, instances b";
    for format in ["csv", "json", "jsonl", "table"] {
        let mut command = place.command(&["sql", statement, "--format", format]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("a pipe")?).read_line(&mut line)?;
        let mut said = String::new();
        child.stderr.take().context("a pipe")?.read_to_string(&mut said)?;
        assert_eq!((child.wait()?.code(), said.as_str()), (Some(0), ""), "{format}");
        assert!(!line.is_empty(), "{format}");
    }
    Ok(())
}

/// Control characters of C0 and C1, DEL, and those that change the direction of writing.
fn is_harmful(c: char) -> bool {
    (c.is_control() && c != '\n') || ('\u{202a}'..='\u{202e}').contains(&c)
}

#[test]
fn hostile_names_do_nothing_to_a_terminal() -> Result<()> {
    let place = Place::new()?;
    let folder = place.tree().join("dir\u{1b}]0;owned\u{7}");
    std::fs::create_dir(&folder)?;
    let names: [&[u8]; 5] =
        [b"a\x1b[2J", b"line\nforged", b"c1\xc2\x9b31m", "\u{202e}mcd".as_bytes(), b"not\xff\x1bUTF-8"];
    for (number, name) in (1..).zip(names) {
        let evil = Instance::numbered(1, 1, 1, number).with(0x0010_0010, b"PN", "Evil\u{1b}[2J^Name");
        std::fs::write(folder.join(OsStr::from_bytes(name)), evil.bytes())?;
        let copy = folder.join(OsStr::from_bytes(&[name, b".copy"].concat()));
        std::fs::write(copy, evil.bytes())?;
        let broken = folder.join(OsStr::from_bytes(&[name, b".broken"].concat()));
        std::fs::write(broken, [&[0; 128][..], b"DICM", &[b'x'; 40]].concat())?;
    }
    place.ingest()?;
    std::fs::remove_file(folder.join(OsStr::from_bytes(names[0])))?;
    std::fs::remove_file(folder.join(OsStr::from_bytes(names[1])))?;
    let missing = folder.join(OsStr::from_bytes(names[0])).to_string_lossy().into_owned();
    let further: [&[&str]; 8] = [
        &["files", "--json"],
        &["files", "--format", "jsonl"],
        &["report", "duplicates", "--json"],
        &["show", &missing],
        &["show", "--header", &missing],
        &["ingest", &missing],
        &["sql", "SELECT '\u{1b}[2J' AS \"\u{1b}[2J\", file_path FROM instances"],
        &["sql", "SELECT \u{1b}"],
    ];
    // Pipes get CSV as it is.
    for arguments in ANSWERS.iter().filter(|arguments| !arguments.contains(&"csv")).chain(&further) {
        let answer = place.shardex.run(arguments)?;
        for text in [&answer.out, &answer.err] {
            assert!(!text.contains(is_harmful), "{arguments:?}: {text:?}");
        }
    }
    let listed = place.command(&["files", "--format", "paths0"]).output()?.stdout;
    assert!(listed.windows(9).any(|bytes| bytes == b"not\xff\x1bUTF-"), "pipes get the exact bytes");
    Ok(())
}

#[test]
fn colours_are_for_those_who_want_them() -> Result<()> {
    let place = Place::new()?;
    write_series(&place.tree(), 1, 1, 1, 1)?;
    place.ingest()?;
    let plain = place.shardex.run(&["sql", "SELECT PatientID FROM patients"])?;
    assert_eq!(plain.out, "PatientID\n─────────\nPAT0001\n");
    let colored = place.shardex.run(&["sql", "SELECT PatientID FROM patients", "--color", "always"])?;
    assert!(colored.out.starts_with("\u{1b}[1mPatientID\u{1b}[0m\n"), "{:?}", colored.out);
    let wrong = place.shardex.run(&["--color", "always", "sql", "SELECT"])?;
    assert!(wrong.err.starts_with("\u{1b}[1;31merror:\u{1b}[0m "), "{:?}", wrong.err);
    Ok(())
}

#[test]
fn shells_complete_and_man_explains_every_command() -> Result<()> {
    let place = Place::new()?;
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = place.shardex.run(&["completions", shell])?;
        assert_eq!(script.code, Some(0), "{}", script.err);
        assert!(script.out.contains("verify") && script.out.contains("institution-map"), "{shell}");
    }
    let pages = place.folder.path().join("man");
    let answer = place.shardex.run(&["man", &pages.to_string_lossy()])?;
    assert_eq!(answer.code, Some(0), "{}", answer.err);
    for page in ["shardex", "shardex-ingest", "shardex-maintain-vacuum"] {
        let text = std::fs::read_to_string(pages.join(format!("{page}.1")))?;
        assert!(text.contains("Examples:"), "{page}");
    }
    assert!(!pages.join("shardex-probe-file.1").exists());
    Ok(())
}

#[test]
fn a_slip_is_met_with_the_next_step() -> Result<()> {
    let place = Place::new()?;
    for (arguments, code, expected) in [
        (&["sumary"][..], 2, "'summary'"),
        (&["sql", "SELECT 1", "--fromat", "csv"], 2, "'--format'"),
        (&["ingest", "/tmp", "--partition", "weekday"], 2, "weekday"),
        (&["ingest", "/tmp", "--sqlite", "user_version=9"], 2, "there are page_size"),
        (&["ingest", "a b=/tmp"], 2, "NAME=PATH"),
        (&["status"], 1, "`shardex ingest` makes one"),
        (&["ingest", "/no/such/folder"], 1, "is it mounted?"),
    ] {
        let answer = place.shardex.run(arguments)?;
        assert_eq!(answer.code, Some(code), "{arguments:?}: {}", answer.err);
        assert!(answer.err.contains(expected), "{arguments:?}: {}", answer.err);
        assert_eq!(answer.out, "", "{arguments:?}");
    }
    Ok(())
}

#[test]
fn ctrl_c_ends_a_query_with_its_own_exit_code() -> Result<()> {
    let place = Place::new()?;
    write_series(&place.tree(), 1, 1, 1, 200)?;
    place.ingest()?;
    let statement = "SELECT a.file_path FROM instances a, instances b, instances c, instances d";
    let mut command = place.command(&["sql", statement, "--format", "csv"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let mut out = BufReader::new(child.stdout.take().context("a pipe")?);
    // It runs: the header has come.
    out.read_line(&mut String::new())?;
    let told = Command::new("kill").args(["-INT", &child.id().to_string()]).status()?;
    assert!(told.success());
    std::io::copy(&mut out, &mut std::io::sink())?;
    let mut said = String::new();
    child.stderr.take().context("a pipe")?.read_to_string(&mut said)?;
    assert_eq!(
        (child.wait()?.code(), said.as_str()),
        (Some(130), "interrupted: the answer is not complete\n")
    );
    Ok(())
}

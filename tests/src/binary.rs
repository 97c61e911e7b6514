//! The built binary, run as a user runs it.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};
use serde_json::Value as Json;

/// The binary with an archive.
#[derive(Clone, Debug)]
pub struct Shardex {
    binary: PathBuf,
    archive: PathBuf,
}

/// What a run gave.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Exit code; `None` after a signal.
    pub code: Option<i32>,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Shardex {
    /// The binary beside the running test, with an archive.
    ///
    /// # Errors
    /// If it has not been built: `make test` builds it first.
    pub fn new(archive: &Path) -> Result<Self> {
        let test = std::env::current_exe()?;
        let folder = test.parent().and_then(Path::parent).context("a test lies in target/PROFILE/deps")?;
        let binary = folder.join("shardex");
        anyhow::ensure!(binary.exists(), "`{}` is not built: run `make test`", binary.display());
        Ok(Self { binary, archive: archive.to_owned() })
    }

    /// Another binary that takes the same command line.
    #[must_use]
    pub fn with_binary(self, binary: &Path) -> Self {
        Self { binary: binary.to_owned(), ..self }
    }

    /// The binary.
    #[must_use]
    pub fn binary(&self) -> &Path {
        &self.binary
    }

    /// The archive.
    #[must_use]
    pub fn archive(&self) -> &Path {
        &self.archive
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command.args(arguments).env("SHARDEX_ARCHIVE", &self.archive).stdin(Stdio::null());
        command
    }

    /// Runs a command to its end.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn run(&self, arguments: &[&str]) -> Result<Answer> {
        let output = self.command(arguments).output()?;
        Ok(Answer {
            code: output.status.code(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// Starts a command.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(&self, arguments: &[&str]) -> Result<Child> {
        Ok(self.command(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?)
    }

    /// Ingests sources; the summary.
    ///
    /// # Errors
    /// If there is no summary.
    pub fn ingest(&self, arguments: &[&str]) -> Result<Json> {
        let answer = self.run(&[&["ingest", "--json"], arguments].concat())?;
        serde_json::from_str(answer.out.trim()).with_context(|| format!("no summary: {}", answer.err))
    }

    /// Rows of a query, each as an array of texts.
    ///
    /// # Errors
    /// If the query fails.
    pub fn sql(&self, statement: &str) -> Result<Vec<Vec<String>>> {
        let answer = self.run(&["sql", statement, "--format", "jsonl"])?;
        anyhow::ensure!(answer.code == Some(0), "{statement}: {}", answer.err);
        let row = |line: &str| -> Result<Vec<String>> {
            let object: serde_json::Map<String, Json> = serde_json::from_str(line)?;
            let text = |value: &Json| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            Ok(object.values().map(text).collect())
        };
        answer.out.lines().map(row).collect()
    }

    /// The logical dump.
    ///
    /// # Errors
    /// If it fails.
    pub fn dump(&self) -> Result<String> {
        let answer = self.run(&["dump"])?;
        anyhow::ensure!(answer.code == Some(0), "dump: {}", answer.err);
        Ok(answer.out)
    }
}

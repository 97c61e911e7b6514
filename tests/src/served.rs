//! A server of the built binary.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};

use anyhow::{Context, Result};

use crate::Shardex;

/// `shardex serve` of an archive on a free port; ends when it is dropped.
#[derive(Debug)]
pub struct Served {
    child: Child,
    url: String,
    /// Held open: a server whose standard output is closed has nobody to tell.
    _out: BufReader<ChildStdout>,
}

impl Served {
    /// Starts it, and waits until it listens.
    ///
    /// # Errors
    /// If it does not listen.
    pub fn start(shardex: &Shardex) -> Result<Self> {
        let mut child = Command::new(shardex.binary())
            .arg("serve")
            .arg("--archive")
            .arg(shardex.archive())
            .args(["--listen", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .spawn()?;
        let mut out = BufReader::new(child.stdout.take().context("piped")?);
        let mut line = String::new();
        out.read_line(&mut line)?;
        let url = line.trim().strip_prefix("listening on ").context("an address")?.to_owned();
        Ok(Self { child, url, _out: out })
    }

    /// Where it listens.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

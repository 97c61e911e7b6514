//! Reading one file in a process of its own: what a file that crashes or hangs its reader is tried with.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use clap::Args;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use shardex_catalog::{Domain, FileName};
use shardex_extract::Extractor;
use shardex_worker::{BeforeRead, Probe, Verdict};

use super::ingest::Digest;
use crate::exit::ExitCode;

/// The file of `probe-file`.
#[derive(Debug, Args)]
pub(crate) struct ProbeFile {
    /// How it is digested.
    #[arg(long, value_enum, default_value_t = Digest::Header)]
    digest: Digest,
    /// The file.
    file: PathBuf,
}

/// Tries files in child processes of this program.
pub(crate) struct ChildProbe {
    program: PathBuf,
    digest: OsString,
}

impl ChildProbe {
    pub(crate) fn new(digest: Digest) -> io::Result<Self> {
        let digest = match digest {
            Digest::Header => "header",
            Digest::Full => "full",
            Digest::None => "none",
        };
        Ok(Self { program: std::env::current_exe()?, digest: digest.into() })
    }
}

impl Probe for ChildProbe {
    fn probe(&self, file: &Path, patience: Duration) -> io::Result<Verdict> {
        let mut child = Command::new(&self.program)
            .args(["probe-file", "--digest"])
            .arg(&self.digest)
            .arg("--")
            .arg(file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let handle = pidfd_open(Pid::from_child(&child), PidfdFlags::empty())?;
        let limit = Timespec::try_from(patience).ok();
        let mut waited = [PollFd::new(&handle, PollFlags::IN)];
        if poll(&mut waited, limit.as_ref())? == 0 {
            // What waits for storage may not even die: nobody waits for it.
            child.kill()?;
            return Ok(Verdict::Hung);
        }
        // A reader that panics fails on the file alone; a signal takes the process along.
        Ok(if child.wait()?.code().is_some() { Verdict::Fine } else { Verdict::Crashed })
    }
}

/// `shardex probe-file`: reads the file as an ingest would, and ends.
pub(crate) fn run(probe: &ProbeFile, before_read: Option<&BeforeRead>) -> anyhow::Result<ExitCode> {
    if let (Some(before_read), Some(name)) = (before_read, probe.file.file_name()) {
        before_read(&FileName::new(name.as_encoded_bytes()));
    }
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let flags = i32::try_from(flags.bits()).expect("open(2) takes them as an int");
    let file = OpenOptions::new().read(true).custom_flags(flags).open(&probe.file)?;
    let size = file.metadata()?.len();
    let settings = shardex_extract::Settings { digest: probe.digest.mode(), ..Default::default() };
    Extractor::new(settings).extract(&file, size, &Domain::default());
    Ok(ExitCode::Done)
}

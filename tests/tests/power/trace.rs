//! What a process did to the files below a folder, from a log of strace. Knows the log's text, not what a
//! disk makes of it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// Calls that are traced: all by which SQLite and the standard library change files.
pub(crate) const CALLS: &str = "openat,creat,pwrite64,pwritev,pwritev2,write,writev,ftruncate,truncate,fallocate,\
    copy_file_range,sendfile,fsync,fdatasync,sync_file_range,rename,renameat,renameat2,link,linkat,symlink,\
    symlinkat,unlink,unlinkat,rmdir,mkdir,mkdirat,mmap";

/// One change, or one sync.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// An empty file or folder was made, if there was none.
    Create {
        path: PathBuf,
        is_folder: bool,
    },
    /// Bytes at an offset; at the end without one.
    Write {
        path: PathBuf,
        at: Option<u64>,
        bytes: Vec<u8>,
    },
    Resize {
        path: PathBuf,
        size: u64,
    },
    Rename {
        from: PathBuf,
        to: PathBuf,
    },
    Remove {
        path: PathBuf,
    },
    /// What was done to it before event `began` is on the disk.
    Synced {
        path: PathBuf,
        began: usize,
    },
}

/// The events below `root`, in the order in which they ended.
///
/// # Errors
/// If a call changed something below `root` in a way that is not known here.
pub(crate) fn parse(log: &str, root: &Path) -> Result<Vec<Event>> {
    let mut events = Vec::new();
    // By thread: the beginning of a call that another thread's line cut in two.
    let mut begun: HashMap<&str, (String, usize)> = HashMap::new();
    for line in log.lines() {
        let (thread, call) = line.split_once(' ').context("a line without a thread")?;
        let call = call.trim_start();
        if let Some(start) = call.strip_suffix("<unfinished ...>") {
            begun.insert(thread, (start.trim_end().to_owned(), events.len()));
            continue;
        }
        let (call, began) = match call.strip_prefix("<... ").and_then(|rest| rest.split_once(" resumed>")) {
            Some((_, end)) => {
                let (start, began) = begun.remove(thread).context("an end without a beginning")?;
                (start + end, began)
            }
            None => (call.to_owned(), events.len()),
        };
        let event = event(&call, root, began).with_context(|| call.chars().take(200).collect::<String>())?;
        events.extend(event);
    }
    Ok(events)
}

fn event(call: &str, root: &Path, began: usize) -> Result<Option<Event>> {
    let Some((name, rest)) = call.split_once('(') else { return Ok(None) };
    let Some((arguments, result)) = rest.rsplit_once(" = ") else { return Ok(None) };
    if result.starts_with('-') || result.starts_with('?') {
        return Ok(None);
    }
    let arguments = arguments.trim_end().trim_end_matches(')');
    let fields: Vec<&str> = arguments.split(", ").collect();
    let inside = |path: Option<PathBuf>| path.filter(|path| path.starts_with(root));
    let field = |at: usize| fields.get(at).copied().unwrap_or_default();
    let paths = || fields.iter().filter_map(|field| quoted(field)).map(path).collect::<Vec<_>>();
    if name == "mmap" && arguments.contains("PROT_WRITE") && arguments.contains("MAP_SHARED") {
        // SQLite's shared memory does not outlive a power cut; written elsewhere, writes would go unseen.
        let mapped = inside(of_descriptor(field(4)));
        anyhow::ensure!(mapped.is_none_or(|path| path.to_string_lossy().ends_with("-shm")), "a mapped file");
    }
    let Some(file) = inside(of_descriptor(field(0))) else {
        // By name: names are absolute, because the archive's is.
        let mut names = paths().into_iter();
        let first = inside(names.next());
        return Ok(match (name, first) {
            ("openat", Some(path)) if arguments.contains("O_TRUNC") => Some(Event::Resize { path, size: 0 }),
            ("openat", Some(path)) if arguments.contains("O_CREAT") => {
                Some(Event::Create { path, is_folder: false })
            }
            ("mkdir", Some(path)) => Some(Event::Create { path, is_folder: true }),
            ("unlink" | "rmdir", Some(path)) => Some(Event::Remove { path }),
            ("rename", Some(from)) => {
                Some(Event::Rename { from, to: names.next().context("a second name")? })
            }
            ("openat" | "mmap", _) | (_, None) => None,
            _ => bail!("a change that is not known"),
        });
    };
    Ok(Some(match name {
        "pwrite64" => {
            let at = Some(field(3).parse()?);
            Event::Write { path: file, at, bytes: bytes(field(1), result)? }
        }
        "write" => Event::Write { path: file, at: None, bytes: bytes(field(1), result)? },
        "ftruncate" => Event::Resize { path: file, size: field(1).parse()? },
        "fsync" | "fdatasync" => Event::Synced { path: file, began },
        _ => bail!("a change that is not known"),
    }))
}

/// The path that `-y` puts after a descriptor.
fn of_descriptor(field: &str) -> Option<PathBuf> {
    let (number, rest) = field.split_once('<')?;
    let is_number = number.bytes().all(|b| b.is_ascii_digit());
    unescaped(rest.split_once('>').filter(|_| is_number)?.0).map(path)
}

fn quoted(field: &str) -> Option<Vec<u8>> {
    unescaped(field.strip_prefix('"')?.strip_suffix('"')?)
}

fn path(bytes: Vec<u8>) -> PathBuf {
    use std::os::unix::ffi::OsStringExt;
    std::ffi::OsString::from_vec(bytes).into()
}

fn bytes(field: &str, result: &str) -> Result<Vec<u8>> {
    let bytes = quoted(field).context("bytes that the log cut short")?;
    let written: usize = result.trim().parse()?;
    anyhow::ensure!(written == bytes.len(), "{written} of {} bytes were written", bytes.len());
    Ok(bytes)
}

/// `\x41\x42` as bytes.
fn unescaped(text: &str) -> Option<Vec<u8>> {
    let pairs = text.split("\\x").skip(1);
    pairs.map(|pair| u8::from_str_radix(pair, 16).ok()).collect()
}

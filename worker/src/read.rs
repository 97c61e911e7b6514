//! One file: stat, compare, open, extract.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};

use rustix::fs::FileType;
use rustix::io::Errno;
use shardex_catalog::{Domain, FileKind, FileName, FileRow, FileStamp, FileState, LedgerEntry, Reason};
use shardex_extract::{Extracted, Extractor};

use crate::compare;
use crate::list::Kind;
use crate::offline::{self, Stub};
use crate::pace::Pace;
use crate::part::{Chunk, Item, ReadFile};
use crate::suspects::{Breadcrumb, Suspect, Verdict};
use crate::tree;

/// Times a file that changes while it is read is read again.
const ATTEMPTS_MAX: u32 = 3;

/// What a look at a file gave.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "one at a time; a box would be an allocation a file")]
pub(crate) enum Look {
    /// It is as recorded.
    Unchanged,
    /// It is gone since the listing.
    Gone,
    /// It is new or changed. `was_opened` is false for what is told without opening.
    Read { file: ReadFile, was_opened: bool },
}

/// What a reader needs for its files.
pub(crate) struct FileReader<'a> {
    pub(crate) extractor: Extractor,
    pub(crate) extract_settings: &'a shardex_extract::Settings,
    pub(crate) retry_quarantined: bool,
    pub(crate) clock: &'a dyn shardex_seams::Clock,
    pub(crate) pace: Option<&'a Pace>,
    pub(crate) before_read: Option<&'a crate::settings::BeforeRead>,
    /// Files that crashed or hung a process which read them alone.
    pub(crate) convicts: &'a HashMap<Suspect, Verdict>,
    /// Where the reader says which file it is at.
    pub(crate) breadcrumb: Option<Breadcrumb>,
}

impl FileReader<'_> {
    /// Looks at an item of a part, and reads the file if need be.
    pub(crate) fn look(&mut self, chunk: &Chunk, item: &Item) -> Look {
        let part = chunk.part(item);
        let known = item.known.map(|at| &part.previous.entries[at as usize]);
        let told = match item.kind {
            _ if item.excluded => Some((Reason::Excluded, FileKind::Other)),
            Kind::Symlink => Some((Reason::Symlink, FileKind::Symlink)),
            Kind::Special => Some((Reason::Special, FileKind::Special)),
            Kind::File => None,
        };
        if let Some((reason, kind)) = told {
            return match known.filter(|known| known.state.is_live()) {
                Some(known) if reason == Reason::Excluded => excluded(known),
                _ => skipped(&item.name, known, reason, kind),
            };
        }
        if (known.is_some() || part.source.skips_stubs)
            && let Some(look) = self.told_by_stat(chunk, item, known)
        {
            return look;
        }
        if self.breadcrumb.is_some() || !self.convicts.is_empty() {
            let suspect = Suspect {
                source: part.source.name.clone(),
                directory: part.range.path.clone(),
                name: item.name.clone(),
            };
            if let Some(verdict) = self.convicts.get(&suspect) {
                let stamp = tree::stat_name(chunk.directory.as_fd(), item.name.as_bytes()).ok();
                let stamp = stamp.map(|stat| tree::stamp(&stat)).unwrap_or_default();
                let file = convicted(item, stamp, *verdict);
                return Look::Read { file, was_opened: false };
            }
            // Without a breadcrumb a file that kills the run is only found later.
            let _ = self.breadcrumb.as_ref().map(|breadcrumb| breadcrumb.leave(&suspect));
        }
        if let Some(pace) = self.pace {
            pace.wait(self.clock);
        }
        if let Some(before_read) = self.before_read {
            before_read(&item.name);
        }
        self.read(chunk.directory.as_fd(), &item.name, &part.source.domain)
    }

    /// What can be told of a file without opening it.
    fn told_by_stat(&self, chunk: &Chunk, item: &Item, known: Option<&LedgerEntry>) -> Option<Look> {
        let part = chunk.part(item);
        let stat = match tree::stat_name(chunk.directory.as_fd(), item.name.as_bytes()) {
            Ok(stat) => stat,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Some(Look::Gone),
            // Opening it tells why.
            Err(_) => return None,
        };
        let stamp = tree::stamp(&stat);
        let shard = known.and_then(|known| known.shard.as_ref());
        let has_lost_row = shard.is_some_and(|shard| part.dirty.contains(shard));
        if part.source.skips_stubs && FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile {
            let blocks = u64::try_from(stat.st_blocks).unwrap_or(0);
            match offline::decide(known, stamp, blocks, has_lost_row) {
                Stub::None => {}
                Stub::Known => return Some(Look::Unchanged),
                Stub::Offline => {
                    let entry = entry(&item.name, stamp, FileState::Offline, FileKind::Other, None);
                    let file = ReadFile { entry, row: None };
                    return Some(Look::Read { file, was_opened: false });
                }
            }
        }
        let known = known.filter(|known| !known.missing)?;
        let is_dirty = has_lost_row || part.previous.extract_version != shardex_extract::VERSION;
        compare::is_unchanged(known, stamp, is_dirty, self.retry_quarantined).then_some(Look::Unchanged)
    }

    fn read(&mut self, directory: BorrowedFd<'_>, name: &FileName, domain: &Domain) -> Look {
        for attempt in 1..=ATTEMPTS_MAX {
            let file = match tree::open_file(directory, name.as_bytes()) {
                Ok(file) => File::from(file),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Look::Gone,
                Err(error) => return self.unopened(directory, name, &error),
            };
            let read_at_ns = self.clock.wall_ns();
            let Ok(stat) = rustix::fs::fstat(&file) else {
                return quarantined(name, FileStamp::default(), Reason::ReadError, false);
            };
            let stamp = tree::stamp(&stat);
            if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
                return skipped(name, None, Reason::Special, FileKind::Special);
            }
            let extracted = self.extract(&file, stamp.size, domain);
            let racy = compare::is_racy(stamp, read_at_ns);
            if racy && rustix::fs::fstat(&file).map(|stat| tree::stamp(&stat)) != Ok(stamp) {
                if attempt == ATTEMPTS_MAX {
                    return quarantined(name, stamp, Reason::Unstable, true);
                }
                continue;
            }
            return Look::Read { file: read_file(name, stamp, racy, extracted), was_opened: true };
        }
        unreachable!("the last attempt returns")
    }

    /// A panic convicts the file, not the run; the reader's state is made anew.
    fn extract(&mut self, file: &File, size: u64, domain: &Domain) -> Option<Extracted> {
        let extractor = &mut self.extractor;
        let extracted = catch_unwind(AssertUnwindSafe(|| extractor.extract(file, size, domain)));
        if extracted.is_err() {
            self.extractor = Extractor::new(self.extract_settings.clone());
        }
        extracted.ok()
    }

    fn unopened(&self, directory: BorrowedFd<'_>, name: &FileName, error: &io::Error) -> Look {
        let stamp =
            tree::stat_name(directory, name.as_bytes()).map(|stat| tree::stamp(&stat)).unwrap_or_default();
        match Errno::from_io_error(error) {
            // The name became a link between listing and opening.
            Some(Errno::LOOP) => skipped(name, None, Reason::Symlink, FileKind::Symlink),
            Some(Errno::ACCESS | Errno::PERM) => quarantined(name, stamp, Reason::PermissionDenied, true),
            Some(Errno::NXIO) => skipped(name, None, Reason::Special, FileKind::Special),
            _ => quarantined(name, stamp, Reason::ReadError, true),
        }
    }
}

/// A file that is not read, because whoever reads it crashes or hangs.
pub(crate) fn convicted(item: &Item, stamp: FileStamp, verdict: Verdict) -> ReadFile {
    let how = if verdict == Verdict::Crashed { "crashed" } else { "hung" };
    let entry = LedgerEntry {
        detail: Some(format!("{{\"reader\":\"{how}\"}}").into()),
        ..entry(&item.name, stamp, FileState::Quarantined, FileKind::Other, Some(Reason::ReaderFailure))
    };
    ReadFile { entry, row: None }
}

fn entry(
    name: &FileName,
    stamp: FileStamp,
    state: FileState,
    kind: FileKind,
    reason: Option<Reason>,
) -> LedgerEntry {
    LedgerEntry {
        name: name.clone(),
        stamp,
        state,
        kind,
        reason,
        shard: None,
        racy: false,
        missing: false,
        detail: None,
    }
}

fn skipped(name: &FileName, known: Option<&LedgerEntry>, reason: Reason, kind: FileKind) -> Look {
    let is_known = |known: &LedgerEntry| known.state == FileState::Skipped && known.reason == Some(reason);
    if known.is_some_and(is_known) {
        return Look::Unchanged;
    }
    let entry = entry(name, FileStamp::default(), FileState::Skipped, kind, Some(reason));
    Look::Read { file: ReadFile { entry, row: None }, was_opened: false }
}

/// A live file that the filters leave out now: like a vanished one, it stays until deletions are
/// carried out.
fn excluded(known: &LedgerEntry) -> Look {
    if known.missing && known.reason == Some(Reason::Excluded) {
        return Look::Unchanged;
    }
    let entry = LedgerEntry { missing: true, reason: Some(Reason::Excluded), ..known.clone() };
    Look::Read { file: ReadFile { entry, row: None }, was_opened: false }
}

fn quarantined(name: &FileName, stamp: FileStamp, reason: Reason, was_opened: bool) -> Look {
    let mut entry = entry(name, stamp, FileState::Quarantined, FileKind::Other, Some(reason));
    // What could not be read now may be readable next time, and nothing in its stamp will tell.
    entry.racy = true;
    Look::Read { file: ReadFile { entry, row: None }, was_opened }
}

fn read_file(name: &FileName, stamp: FileStamp, racy: bool, extracted: Option<Extracted>) -> ReadFile {
    match extracted {
        Some(Extracted::Instance(instance)) => {
            let state = if instance.warnings.is_empty() { FileState::Indexed } else { FileState::Warning };
            let entry = LedgerEntry { racy, ..entry(name, stamp, state, FileKind::Dicom, None) };
            let row = FileRow {
                name: name.clone(),
                stamp,
                digest: instance.digest,
                warnings: instance.warnings,
                sop_instance_uid: instance.sop_instance_uid,
                stack: instance.stack,
                values: instance.values,
            };
            ReadFile { entry, row: Some(row) }
        }
        Some(Extracted::Other(other)) => {
            let detail = detail(other.offset, other.readable.as_deref());
            let entry = entry(name, stamp, other.state, other.kind, other.reason);
            let racy = racy || other.reason == Some(Reason::ReadError);
            ReadFile { entry: LedgerEntry { racy, detail, ..entry }, row: None }
        }
        None => {
            let entry =
                entry(name, stamp, FileState::Quarantined, FileKind::Other, Some(Reason::ReaderFailure));
            ReadFile { entry: LedgerEntry { racy, ..entry }, row: None }
        }
    }
}

/// Where a file broke and what of it was readable, as one JSON object.
fn detail(offset: Option<u64>, readable: Option<&str>) -> Option<Box<str>> {
    let offset = offset.map(|offset| format!("\"offset\":{offset}"));
    let readable = readable.map(|json| format!("\"readable\":{json}"));
    let parts: Vec<_> = [offset, readable].into_iter().flatten().collect();
    (!parts.is_empty()).then(|| format!("{{{}}}", parts.join(",")).into())
}

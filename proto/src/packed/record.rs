//! Records of directories and changes of the ledger.

use shardex_catalog::{
    Applied, Claim, DirectoryRange, DirectoryRecord, FileKind, FileStamp, FileState, Incarnation,
    LedgerChange, LedgerEntry, Reason, ShardId, SourceName,
};

use super::codec::{Malformed, Reader, Writer};

const REPLACE: u8 = 0;
const MERGE: u8 = 1;
const UNREADABLE: u8 = 2;
const VANISHED: u8 = 3;
const POSITION: u8 = 4;
const HEALED: u8 = 5;

const RACY: u8 = 1;
const MISSING: u8 = 2;

/// Packs a range of a directory.
#[must_use]
pub fn range_out(range: &DirectoryRange) -> Vec<u8> {
    let mut out = Writer::default();
    range_to(&mut out, range);
    out.0
}

/// Reads a range of a directory.
///
/// # Errors
/// [`Malformed`] for anything that [`range_out`] does not make.
pub fn range_in(bytes: &[u8]) -> Result<DirectoryRange, Malformed> {
    whole(bytes, range_from)
}

/// Packs a record.
#[must_use]
pub fn record_out(record: &DirectoryRecord) -> Vec<u8> {
    let mut out = Writer::default();
    record_to(&mut out, record);
    out.0
}

/// Reads a record.
///
/// # Errors
/// [`Malformed`] for anything that [`record_out`] does not make.
pub fn record_in(bytes: &[u8]) -> Result<DirectoryRecord, Malformed> {
    whole(bytes, record_from)
}

/// Packs changes of the ledger.
#[must_use]
pub fn changes_out(changes: &[LedgerChange]) -> Vec<u8> {
    let mut out = Writer::default();
    out.number(changes.len() as u64);
    changes.iter().for_each(|change| change_to(&mut out, change));
    out.0
}

/// Reads changes of the ledger.
///
/// # Errors
/// [`Malformed`] for anything that [`changes_out`] does not make.
pub fn changes_in(bytes: &[u8]) -> Result<Vec<LedgerChange>, Malformed> {
    whole(bytes, |input| (0..input.count()?).map(|_| change_from(input)).collect())
}

fn whole<'a, T>(
    bytes: &'a [u8],
    read: impl FnOnce(&mut Reader<'a>) -> Result<T, Malformed>,
) -> Result<T, Malformed> {
    let mut input = Reader(bytes);
    let found = read(&mut input)?;
    input.end()?;
    Ok(found)
}

pub(super) fn range_to(out: &mut Writer, range: &DirectoryRange) {
    out.text(range.source.as_str());
    out.bytes(range.path.as_bytes());
    out.number(range.hash_from.into());
    out.number(range.hash_to.into());
}

pub(super) fn range_from(input: &mut Reader<'_>) -> Result<DirectoryRange, Malformed> {
    let source = SourceName::new(input.text()?).map_err(|_| Malformed)?;
    let path = input.path()?;
    let mut hash = || u32::try_from(input.number()?).map_err(|_| Malformed);
    let (hash_from, hash_to) = (hash()?, hash()?);
    if hash_from > hash_to {
        return Err(Malformed);
    }
    Ok(DirectoryRange { source, path, hash_from, hash_to })
}

fn applied_to(out: &mut Writer, applied: Applied) {
    out.0.extend_from_slice(&applied.incarnation.0.to_le_bytes());
    out.number(applied.sequence);
}

fn applied_from(input: &mut Reader<'_>) -> Result<Applied, Malformed> {
    let incarnation = Incarnation(u64::from_le_bytes(input.array()?));
    Ok(Applied { incarnation, sequence: input.number()? })
}

fn shard_from(input: &mut Reader<'_>) -> Result<ShardId, Malformed> {
    ShardId::new(input.text()?).map_err(|_| Malformed)
}

fn record_to(out: &mut Writer, record: &DirectoryRecord) {
    out.number(record.extract_version.into());
    out.number(record.claims.len() as u64);
    for claim in &record.claims {
        out.text(claim.shard.as_str());
        applied_to(out, claim.applied);
    }
    out.number(record.children.len() as u64);
    record.children.iter().for_each(|child| out.bytes(child.as_bytes()));
    out.number(record.entries.len() as u64);
    for entry in &record.entries {
        entry_to(out, entry, &record.claims);
    }
}

fn record_from(input: &mut Reader<'_>) -> Result<DirectoryRecord, Malformed> {
    let extract_version = u16::try_from(input.number()?).map_err(|_| Malformed)?;
    let claim =
        |input: &mut Reader<'_>| Ok(Claim { shard: shard_from(input)?, applied: applied_from(input)? });
    let claims = (0..input.count()?).map(|_| claim(input)).collect::<Result<Vec<_>, Malformed>>()?;
    let children = (0..input.count()?).map(|_| input.name()).collect::<Result<Vec<_>, _>>()?;
    let entries = (0..input.count()?).map(|_| entry_from(input, &claims)).collect::<Result<Vec<_>, _>>()?;
    let ascends = children.is_sorted() && entries.is_sorted_by(|a, b| a.name < b.name);
    if ascends { Ok(DirectoryRecord { extract_version, entries, children, claims }) } else { Err(Malformed) }
}

fn entry_to(out: &mut Writer, entry: &LedgerEntry, claims: &[Claim]) {
    out.bytes(entry.name.as_bytes());
    out.number(entry.stamp.size);
    out.signed(entry.stamp.mtime_ns);
    out.signed(entry.stamp.ctime_ns);
    out.text(entry.state.as_str());
    out.text(entry.kind.as_str());
    out.text(entry.reason.map_or("", |reason| reason.as_str()));
    // Most shards are among the claims: 0 is none, 1 another one, whose name follows.
    let claimed = |shard: &ShardId| claims.iter().position(|claim| claim.shard == *shard);
    match entry.shard.as_ref().map(|shard| (shard, claimed(shard))) {
        None => out.number(0),
        Some((shard, None)) => {
            out.number(1);
            out.text(shard.as_str());
        }
        Some((_, Some(at))) => out.number(at as u64 + 2),
    }
    out.0.push(u8::from(entry.racy) * RACY + u8::from(entry.missing) * MISSING);
    out.text(entry.detail.as_deref().unwrap_or_default());
}

fn entry_from(input: &mut Reader<'_>, claims: &[Claim]) -> Result<LedgerEntry, Malformed> {
    let name = input.name()?;
    let stamp = FileStamp { size: input.number()?, mtime_ns: input.signed()?, ctime_ns: input.signed()? };
    let state: FileState = input.text()?.parse().map_err(|_| Malformed)?;
    let kind: FileKind = input.text()?.parse().map_err(|_| Malformed)?;
    let reason = match input.text()? {
        "" => None,
        text => Some(text.parse::<Reason>().map_err(|_| Malformed)?),
    };
    let shard = match input.index(claims.len() + 2)? {
        0 => None,
        1 => Some(shard_from(input)?),
        at => Some(claims[at - 2].shard.clone()),
    };
    let flags = input.byte()?;
    let detail = input.text()?;
    Ok(LedgerEntry {
        name,
        stamp,
        state,
        kind,
        reason,
        shard,
        racy: flags & RACY != 0,
        missing: flags & MISSING != 0,
        detail: (!detail.is_empty()).then(|| detail.into()),
    })
}

fn change_to(out: &mut Writer, change: &LedgerChange) {
    match change {
        LedgerChange::Replace { range, record, keep_open }
        | LedgerChange::Merge { range, record, keep_open } => {
            out.0.push(if matches!(change, LedgerChange::Replace { .. }) { REPLACE } else { MERGE });
            range_to(out, range);
            record_to(out, record);
            out.0.push(u8::from(*keep_open));
        }
        LedgerChange::Unreadable { range, reason } => {
            out.0.push(UNREADABLE);
            range_to(out, range);
            out.text(reason.as_str());
        }
        LedgerChange::Vanished { range } => {
            out.0.push(VANISHED);
            range_to(out, range);
        }
        LedgerChange::Position { shard, applied } => {
            out.0.push(POSITION);
            out.text(shard.as_str());
            applied_to(out, *applied);
        }
        LedgerChange::Healed { shard, applied } => {
            out.0.push(HEALED);
            out.text(shard.as_str());
            out.0.push(u8::from(applied.is_some()));
            if let Some(applied) = applied {
                applied_to(out, *applied);
            }
        }
    }
}

fn change_from(input: &mut Reader<'_>) -> Result<LedgerChange, Malformed> {
    let flag = |input: &mut Reader<'_>| Ok(input.byte()? != 0);
    Ok(match input.byte()? {
        kind @ (REPLACE | MERGE) => {
            let (range, record, keep_open) = (range_from(input)?, record_from(input)?, flag(input)?);
            if kind == REPLACE {
                LedgerChange::Replace { range, record, keep_open }
            } else {
                LedgerChange::Merge { range, record, keep_open }
            }
        }
        UNREADABLE => {
            let range = range_from(input)?;
            LedgerChange::Unreadable { range, reason: input.text()?.parse().map_err(|_| Malformed)? }
        }
        VANISHED => LedgerChange::Vanished { range: range_from(input)? },
        POSITION => LedgerChange::Position { shard: shard_from(input)?, applied: applied_from(input)? },
        HEALED => {
            let shard = shard_from(input)?;
            let applied = if flag(input)? { Some(applied_from(input)?) } else { None };
            LedgerChange::Healed { shard, applied }
        }
        _ => return Err(Malformed),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use shardex_catalog::{FileName, RelativePath};

    use super::*;

    fn shard(name: &str) -> ShardId {
        ShardId::new(name).expect("a name")
    }

    fn changes() -> Vec<LedgerChange> {
        let source = SourceName::new("s").expect("a name");
        let range = DirectoryRange::whole(source, RelativePath::new(b"a/\xFF"));
        let applied = Applied { incarnation: Incarnation(u64::MAX), sequence: 3 };
        let entry = |name: &[u8], shard: Option<ShardId>| LedgerEntry {
            name: FileName::new(name),
            stamp: FileStamp { size: 1, mtime_ns: i64::MIN, ctime_ns: 2 },
            state: FileState::Warning,
            kind: FileKind::Dicom,
            reason: Some(Reason::PermissionDenied),
            shard,
            racy: true,
            missing: false,
            detail: Some("{}".into()),
        };
        let record = DirectoryRecord {
            extract_version: 4,
            entries: vec![
                entry(b"a", Some(shard("x/0"))),
                entry(b"b", Some(shard("y/0"))),
                entry(b"c", None),
            ],
            children: vec![FileName::new(b"d")],
            claims: vec![Claim { shard: shard("x/0"), applied }],
        };
        vec![
            LedgerChange::Replace { range: range.clone(), record: record.clone(), keep_open: true },
            LedgerChange::Merge { range: range.clone(), record, keep_open: false },
            LedgerChange::Unreadable { range: range.clone(), reason: Reason::ReadError },
            LedgerChange::Vanished { range },
            LedgerChange::Position { shard: shard("x/0"), applied },
            LedgerChange::Healed { shard: shard("x/0"), applied: None },
            LedgerChange::Healed { shard: shard("x/0"), applied: Some(applied) },
        ]
    }

    #[test]
    fn changes_survive() {
        let bytes = changes_out(&changes());
        let read = changes_in(&bytes).expect("what was written");
        assert_eq!(changes_out(&read), bytes);
        let (LedgerChange::Replace { record: ours, .. }, LedgerChange::Replace { record, .. }) =
            (&changes()[0], &read[0])
        else {
            panic!("the first is a record")
        };
        assert_eq!(ours, record);
    }

    #[test]
    fn paths_that_leave_the_source_are_refused() {
        for path in ["..", "a/..", "/a", "a/", "a//b"] {
            let mut out = Writer::default();
            out.text("s");
            out.bytes(path.as_bytes());
            out.number(0);
            out.number(9);
            assert_eq!(range_in(&out.0).err(), Some(Malformed), "{path}");
        }
    }

    proptest! {
        #[test]
        fn damaged_bytes_never_panic(at in 0_usize..400, to in any::<u8>(), cut in 0_usize..400) {
            let mut bytes = changes_out(&changes());
            let at = at % bytes.len();
            bytes[at] = to;
            let _ = changes_in(&bytes);
            bytes.truncate(cut);
            let _ = changes_in(&bytes);
        }
    }
}

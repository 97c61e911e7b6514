//! The stored form of a record: names by their difference to the one before, times by theirs.
//!
//! `docs/formats.md` describes it byte by byte. Decoding never trusts a length: a damaged record
//! is an error, not a crash.

use std::collections::HashMap;

use shardex_catalog::{
    Applied, Claim, DirectoryRecord, FileKind, FileName, FileStamp, FileState, Incarnation, LedgerEntry,
    Reason, ShardId,
};

/// Version of the encoding, its first byte.
const VERSION: u8 = 1;

const STATE_MASK: u8 = 0b0000_0111;
const RACY: u8 = 0b0000_1000;
const MISSING: u8 = 0b0001_0000;
/// A kind, a reason or a detail follows.
const EXPLAINED: u8 = 0b0010_0000;

/// A record that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Damaged;

/// Shards by the small numbers that records use for them.
pub(crate) trait ShardNumbers {
    /// The number of a shard.
    fn number(&self, shard: &ShardId) -> Option<u64>;
    /// The shard of a number.
    fn shard(&self, number: u64) -> Option<ShardId>;
}

/// Encodes a record. Entries and children must ascend by name.
///
/// # Errors
/// The shard that has no number yet.
pub(crate) fn encode(record: &DirectoryRecord, shards: &impl ShardNumbers) -> Result<Vec<u8>, ShardId> {
    let mut out = Writer(Vec::with_capacity(32 + record.entries.len() * 24));
    out.0.push(VERSION);
    out.varint(record.extract_version.into());
    out.varint(record.claims.len() as u64);
    let mut claimed: HashMap<&ShardId, u64> = HashMap::new();
    for (n, claim) in record.claims.iter().enumerate() {
        out.varint(shards.number(&claim.shard).ok_or_else(|| claim.shard.clone())?);
        out.0.extend_from_slice(&claim.applied.incarnation.0.to_le_bytes());
        out.varint(claim.applied.sequence);
        claimed.insert(&claim.shard, n as u64);
    }
    out.varint(record.children.len() as u64);
    let mut before: &[u8] = &[];
    for child in &record.children {
        out.name(before, child.as_bytes());
        before = child.as_bytes();
    }
    out.varint(record.entries.len() as u64);
    let mut before: &[u8] = &[];
    let mut times = Times::default();
    for entry in &record.entries {
        out.name(before, entry.name.as_bytes());
        before = entry.name.as_bytes();
        out.entry(entry, &claimed, &mut times)?;
    }
    Ok(out.0)
}

/// Decodes a record.
///
/// # Errors
/// [`Damaged`] for anything that [`encode`] does not make.
pub(crate) fn decode(bytes: &[u8], shards: &impl ShardNumbers) -> Result<DirectoryRecord, Damaged> {
    let mut input = Reader(bytes);
    if input.byte()? != VERSION {
        return Err(Damaged);
    }
    let extract_version = u16::try_from(input.varint()?).map_err(|_| Damaged)?;
    let mut claims = Vec::new();
    for _ in 0..input.count()? {
        let shard = shards.shard(input.varint()?).ok_or(Damaged)?;
        let incarnation = Incarnation(u64::from_le_bytes(input.take(8)?.try_into().map_err(|_| Damaged)?));
        claims.push(Claim { shard, applied: Applied { incarnation, sequence: input.varint()? } });
    }
    let mut name = Vec::new();
    let mut children = Vec::new();
    for _ in 0..input.count()? {
        children.push(input.name(&mut name)?);
    }
    name.clear();
    let count = input.count()?;
    let mut entries = Vec::with_capacity(count);
    let mut times = Times::default();
    for _ in 0..count {
        let name = input.name(&mut name)?;
        entries.push(input.entry(name, &claims, &mut times)?);
    }
    if input.0.is_empty() {
        Ok(DirectoryRecord { extract_version, entries, children, claims })
    } else {
        Err(Damaged)
    }
}

/// Times of the entry before, from which the next ones differ little.
#[derive(Default)]
struct Times {
    mtime_ns: i64,
    ctime_lag_ns: i64,
}

struct Writer(Vec<u8>);

impl Writer {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value.to_le_bytes()[0] | 0x80);
            value >>= 7;
        }
        self.0.push(value.to_le_bytes()[0]);
    }

    fn signed(&mut self, value: i64) {
        self.varint(((value << 1) ^ (value >> 63)).cast_unsigned());
    }

    fn name(&mut self, before: &[u8], name: &[u8]) {
        let shared = before.iter().zip(name).take_while(|(a, b)| a == b).count();
        self.varint(shared as u64);
        self.varint((name.len() - shared) as u64);
        self.0.extend_from_slice(&name[shared..]);
    }

    fn entry(
        &mut self,
        entry: &LedgerEntry,
        claimed: &HashMap<&ShardId, u64>,
        times: &mut Times,
    ) -> Result<(), ShardId> {
        let usual_kind = entry.kind == FileKind::Dicom && entry.state.is_live();
        let explained = !usual_kind || entry.reason.is_some() || entry.detail.is_some();
        let flag = |is_set: bool, flag: u8| if is_set { flag } else { 0 };
        let state = entry.state as u8;
        self.0
            .push(state | flag(entry.racy, RACY) | flag(entry.missing, MISSING) | flag(explained, EXPLAINED));
        if let Some(shard) = &entry.shard {
            self.varint(*claimed.get(shard).ok_or_else(|| shard.clone())?);
        }
        let stamp = entry.stamp;
        let lag = stamp.ctime_ns.wrapping_sub(stamp.mtime_ns);
        self.varint(stamp.size);
        self.signed(stamp.mtime_ns.wrapping_sub(times.mtime_ns));
        self.signed(lag.wrapping_sub(times.ctime_lag_ns));
        *times = Times { mtime_ns: stamp.mtime_ns, ctime_lag_ns: lag };
        if explained {
            self.0.push(entry.kind as u8);
            self.0.push(entry.reason.map_or(0, |reason| reason as u8 + 1));
            let detail = entry.detail.as_deref().unwrap_or("");
            self.varint(detail.len() as u64);
            self.0.extend_from_slice(detail.as_bytes());
        }
        Ok(())
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn byte(&mut self) -> Result<u8, Damaged> {
        let (first, rest) = self.0.split_first().ok_or(Damaged)?;
        self.0 = rest;
        Ok(*first)
    }

    fn take(&mut self, n: usize) -> Result<&'a [u8], Damaged> {
        let (taken, rest) = self.0.split_at_checked(n).ok_or(Damaged)?;
        self.0 = rest;
        Ok(taken)
    }

    fn varint(&mut self) -> Result<u64, Damaged> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7F) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Damaged)
    }

    fn signed(&mut self) -> Result<i64, Damaged> {
        let value = self.varint()?;
        Ok((value >> 1).cast_signed() ^ -((value & 1).cast_signed()))
    }

    /// A number of things that take at least a byte each.
    fn count(&mut self) -> Result<usize, Damaged> {
        let count = usize::try_from(self.varint()?).map_err(|_| Damaged)?;
        if count <= self.0.len() { Ok(count) } else { Err(Damaged) }
    }

    fn name(&mut self, before: &mut Vec<u8>) -> Result<FileName, Damaged> {
        let shared = usize::try_from(self.varint()?).map_err(|_| Damaged)?;
        let more = self.count()?;
        if shared > before.len() || shared + more == 0 {
            return Err(Damaged);
        }
        before.truncate(shared);
        before.extend_from_slice(self.take(more)?);
        Ok(FileName::new(before))
    }

    fn entry(&mut self, name: FileName, claims: &[Claim], times: &mut Times) -> Result<LedgerEntry, Damaged> {
        let flags = self.byte()?;
        let state = *FileState::ALL.get(usize::from(flags & STATE_MASK)).ok_or(Damaged)?;
        let shard = if state.is_live() {
            let at = usize::try_from(self.varint()?).map_err(|_| Damaged)?;
            Some(claims.get(at).ok_or(Damaged)?.shard.clone())
        } else {
            None
        };
        let size = self.varint()?;
        let mtime_ns = times.mtime_ns.wrapping_add(self.signed()?);
        let lag = times.ctime_lag_ns.wrapping_add(self.signed()?);
        *times = Times { mtime_ns, ctime_lag_ns: lag };
        let (mut kind, mut reason, mut detail) = (FileKind::Dicom, None, None);
        if flags & EXPLAINED != 0 {
            kind = *FileKind::ALL.get(usize::from(self.byte()?)).ok_or(Damaged)?;
            reason = match self.byte()? {
                0 => None,
                n => Some(*Reason::ALL.get(usize::from(n) - 1).ok_or(Damaged)?),
            };
            let length = self.count()?;
            let text = std::str::from_utf8(self.take(length)?).map_err(|_| Damaged)?;
            detail = (!text.is_empty()).then(|| text.into());
        }
        Ok(LedgerEntry {
            name,
            stamp: FileStamp { size, mtime_ns, ctime_ns: mtime_ns.wrapping_add(lag) },
            state,
            kind,
            reason,
            shard,
            racy: flags & RACY != 0,
            missing: flags & MISSING != 0,
            detail,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    struct Shards(Vec<ShardId>);

    impl ShardNumbers for Shards {
        fn number(&self, shard: &ShardId) -> Option<u64> {
            self.0.iter().position(|known| known == shard).map(|at| at as u64)
        }

        fn shard(&self, number: u64) -> Option<ShardId> {
            self.0.get(usize::try_from(number).ok()?).cloned()
        }
    }

    fn shards() -> Shards {
        Shards(["2019-aa/0", "2020-bb/0"].map(|id| ShardId::new(id).expect("valid")).to_vec())
    }

    prop_compose! {
        fn entry()(
            name in "[a-c/]{0,3}x[0-9]{1,6}", size in any::<u64>(), mtime_ns in any::<i64>(), ctime_ns in any::<i64>(),
            state in 0..FileState::ALL.len(), kind in 0..FileKind::ALL.len(),
            reason in proptest::option::of(0..Reason::ALL.len()), racy in any::<bool>(), missing in any::<bool>(),
            shard in 0..2_usize, detail in proptest::option::of("[a-zé]{1,9}"),
        ) -> LedgerEntry {
            let state = FileState::ALL[state];
            LedgerEntry {
                name: FileName::new(name.replace('/', "_").as_bytes()),
                stamp: FileStamp { size, mtime_ns, ctime_ns },
                state,
                kind: FileKind::ALL[kind],
                reason: reason.map(|at| Reason::ALL[at]),
                shard: state.is_live().then(|| shards().0[shard].clone()),
                racy,
                missing,
                detail: detail.map(Into::into),
            }
        }
    }

    proptest! {
        #[test]
        fn decode_reverses_encode(
            mut entries in proptest::collection::vec(entry(), 0..40),
            lives in proptest::collection::vec(any::<u64>(), 2),
        ) {
            entries.sort_by(|a, b| a.name.cmp(&b.name));
            let claims = shards().0.into_iter().zip(lives).map(|(shard, life)| {
                Claim { shard, applied: Applied { incarnation: Incarnation(life), sequence: life >> 3 } }
            });
            let children = vec![FileName::new(b"a"), FileName::new(b"ab\xff")];
            let record = DirectoryRecord { extract_version: 7, entries, children, claims: claims.collect() };
            let bytes = encode(&record, &shards()).expect("known shards");
            prop_assert_eq!(decode(&bytes, &shards()), Ok(record));
        }

        #[test]
        fn damaged_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&bytes, &shards());
        }
    }
}

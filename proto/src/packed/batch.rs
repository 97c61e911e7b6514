//! A batch of rows: each distinct header once, then the operations that refer to them.

use std::collections::HashMap;
use std::sync::Arc;

use shardex_catalog::{
    ATTRIBUTES, AttributeId, ContentDigest, Domain, Fence, FileRow, FileStamp, Header, HeaderDigest, Level,
    Operation, RowBatch, ShardId, Value, Values, Warnings,
};

use shardex_catalog::ColumnType;

use super::codec::{Malformed, Reader, Writer};
use super::record::{range_from, range_to};

/// Longest packed batch.
pub const BATCH_BYTES_MAX: usize = 32 << 20;
/// Bounds what a short batch can claim to hold: an operation takes more memory than bytes.
const OPERATIONS_MAX: usize = 1 << 17;

const TEXT: u8 = 0;
const INTEGER: u8 = 1;
const REAL: u8 = 2;

const UPSERT: u8 = 0;
const REMOVE: u8 = 1;

/// Packs a batch.
#[must_use]
pub fn batch_out(batch: &RowBatch) -> Vec<u8> {
    let mut headers = Headers::default();
    let mut rows = Writer::default();
    rows.number(batch.operations.len() as u64);
    for operation in &batch.operations {
        match operation {
            Operation::Upsert { directory, row } => {
                rows.0.push(UPSERT);
                rows.number((*directory).into());
                write_row(&mut rows, row, &mut headers);
            }
            Operation::Remove { directory, name } => {
                rows.0.push(REMOVE);
                rows.number((*directory).into());
                rows.bytes(name.as_bytes());
            }
        }
    }
    let mut out = Writer::default();
    out.text(batch.shard.as_str());
    out.number(batch.fence.0);
    out.number(batch.directories.len() as u64);
    batch.directories.iter().for_each(|range| range_to(&mut out, range));
    out.number(headers.numbers.len() as u64);
    out.0.extend_from_slice(&headers.written.0);
    out.0.extend_from_slice(&rows.0);
    out.0
}

/// Reads a batch.
///
/// # Errors
/// [`Malformed`] for anything that [`batch_out`] does not make.
pub fn batch_in(bytes: &[u8]) -> Result<RowBatch, Malformed> {
    if bytes.len() > BATCH_BYTES_MAX {
        return Err(Malformed);
    }
    let mut input = Reader(bytes);
    let shard = ShardId::new(input.text()?).map_err(|_| Malformed)?;
    let fence = Fence(input.number()?);
    let directories: Vec<_> =
        (0..input.count()?).map(|_| range_from(&mut input)).collect::<Result<_, _>>()?;
    let mut headers = Vec::new();
    for _ in 0..input.count_to(OPERATIONS_MAX * 3)? {
        let header = read_header(&mut input, &headers)?;
        headers.push(header);
    }
    let mut operations = Vec::new();
    for _ in 0..input.count_to(OPERATIONS_MAX)? {
        let kind = input.byte()?;
        let directory = u32::try_from(input.index(directories.len())?).map_err(|_| Malformed)?;
        operations.push(match kind {
            UPSERT => Operation::Upsert { directory, row: read_row(&mut input, &headers)? },
            REMOVE => Operation::Remove { directory, name: input.name()? },
            _ => return Err(Malformed),
        });
    }
    input.end()?;
    Ok(RowBatch { shard, fence, directories, operations })
}

/// The headers written so far, by digest.
#[derive(Default)]
struct Headers {
    numbers: HashMap<HeaderDigest, u64>,
    written: Writer,
}

impl Headers {
    /// The number of a header; it and those above are written at their first use.
    fn number(&mut self, header: &Header) -> u64 {
        if let Some(number) = self.numbers.get(&header.digest()) {
            return *number;
        }
        match header.parent() {
            // From 1: 0 says that there is none.
            Some(parent) => {
                let parent = self.number(parent);
                self.written.number(parent + 1);
            }
            None => {
                self.written.number(0);
                self.written.text(header.domain().as_str());
            }
        }
        write_values(&mut self.written, header.values());
        let number = self.numbers.len() as u64;
        self.numbers.insert(header.digest(), number);
        number
    }
}

fn read_header(input: &mut Reader<'_>, before: &[Arc<Header>]) -> Result<Arc<Header>, Malformed> {
    let parent = input.index(before.len() + 1)?;
    if parent == 0 {
        let domain = Domain::new(input.text()?).map_err(|_| Malformed)?;
        return Ok(Header::study(domain, read_values(input, Level::Study)?));
    }
    let parent = &before[parent - 1];
    let level = match parent.level() {
        Level::Study => Level::Series,
        Level::Series => Level::Stack,
        Level::Stack | Level::File => return Err(Malformed),
    };
    Ok(Header::below(parent, read_values(input, level)?))
}

fn write_row(out: &mut Writer, row: &FileRow, headers: &mut Headers) {
    out.number(headers.number(&row.stack));
    out.bytes(row.name.as_bytes());
    out.number(row.stamp.size);
    out.signed(row.stamp.mtime_ns);
    out.signed(row.stamp.ctime_ns);
    out.0.push(u8::from(row.digest.is_some()));
    out.0.extend_from_slice(row.digest.as_ref().map_or(&[], |digest| &digest.0));
    out.text(&row.warnings.to_text().unwrap_or_default());
    out.text(&row.sop_instance_uid);
    write_values(out, &row.values);
}

fn read_row(input: &mut Reader<'_>, headers: &[Arc<Header>]) -> Result<FileRow, Malformed> {
    let stack = Arc::clone(&headers[input.index(headers.len())?]);
    if stack.level() != Level::Stack {
        return Err(Malformed);
    }
    let name = input.name()?;
    let stamp = FileStamp { size: input.number()?, mtime_ns: input.signed()?, ctime_ns: input.signed()? };
    let digest = match input.byte()? {
        0 => None,
        1 => Some(ContentDigest(input.array()?)),
        _ => return Err(Malformed),
    };
    let warnings = match input.text()? {
        "" => Warnings::default(),
        text => Warnings::from_text(text),
    };
    let sop_instance_uid = input.text()?;
    if sop_instance_uid.is_empty() {
        return Err(Malformed);
    }
    let sop_instance_uid = sop_instance_uid.into();
    let values = read_values(input, Level::File)?;
    Ok(FileRow { name, stamp, digest, warnings, sop_instance_uid, stack, values })
}

fn write_values(out: &mut Writer, values: &Values) {
    out.number(values.entries().len() as u64);
    for (id, value) in values.entries() {
        out.number(id.0.into());
        match value {
            Value::Text(text) => {
                out.0.push(TEXT);
                out.text(text);
            }
            Value::Integer(number) => {
                out.0.push(INTEGER);
                out.signed(*number);
            }
            Value::Real(number) => {
                out.0.push(REAL);
                out.0.extend_from_slice(&number.to_bits().to_le_bytes());
            }
        }
    }
    out.number(values.odd().len() as u64);
    for (id, raw) in values.odd() {
        out.number(id.0.into());
        out.text(raw);
    }
}

/// Values of a level; an attribute of another one is none.
fn read_values(input: &mut Reader<'_>, level: Level) -> Result<Values, Malformed> {
    let count = input.count_to(ATTRIBUTES.len())?;
    let mut entries = Vec::with_capacity(count);
    for _ in 0..count {
        let id = read_id(input, level)?;
        let value = match (input.byte()?, ATTRIBUTES[id.index()].column) {
            (TEXT, ColumnType::Text | ColumnType::Items) => Value::Text(input.text()?.into()),
            (INTEGER, ColumnType::Integer) => Value::Integer(input.signed()?),
            (REAL, ColumnType::Real) => {
                let number = f64::from_bits(u64::from_le_bytes(input.array()?));
                Value::Real(if number.is_finite() { number } else { return Err(Malformed) })
            }
            _ => return Err(Malformed),
        };
        entries.push((id, value));
    }
    let mut odd = Vec::new();
    for _ in 0..input.count_to(ATTRIBUTES.len())? {
        odd.push((read_id(input, level)?, input.text()?.into()));
    }
    Ok(Values::new(entries, odd))
}

fn read_id(input: &mut Reader<'_>, level: Level) -> Result<AttributeId, Malformed> {
    let index = input.index(ATTRIBUTES.len())?;
    if ATTRIBUTES[index].level != level {
        return Err(Malformed);
    }
    Ok(AttributeId(u16::try_from(index).map_err(|_| Malformed)?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use shardex_catalog::{DirectoryRange, FileName, RelativePath, SourceName, attribute_by_keyword};

    use super::*;

    fn value(keyword: &str, value: Value) -> (AttributeId, Value) {
        (attribute_by_keyword(keyword).expect("it is in the table"), value)
    }

    fn batch(files: u32) -> RowBatch {
        let domain = Domain::new("research").expect("a name");
        let study = Header::study(domain, Values::new(vec![value("PatientID", "P1".into())], Vec::new()));
        let series = Header::below(&study, Values::new(vec![value("Modality", "CT".into())], Vec::new()));
        let odd = vec![(attribute_by_keyword("EchoTime").expect("known"), "1,5".into())];
        let stack = Header::below(&series, Values::new(Vec::new(), odd));
        let row = |n: u32| FileRow {
            name: FileName::new(format!("{n}.dcm").as_bytes()),
            stamp: FileStamp { size: 7, mtime_ns: -5, ctime_ns: i64::MAX },
            digest: (n.is_multiple_of(2)).then_some(ContentDigest([9; 16])),
            warnings: Warnings::from_text("charset"),
            sop_instance_uid: format!("1.2.{n}").into(),
            stack: Arc::clone(&stack),
            values: Values::new(
                vec![
                    value("InstanceNumber", Value::Integer(n.into())),
                    value("SliceLocation", Value::Real(-1.5)),
                ],
                Vec::new(),
            ),
        };
        let source = SourceName::new("s").expect("a name");
        let mut operations: Vec<_> =
            (0..files).map(|n| Operation::Upsert { directory: 0, row: row(n) }).collect();
        operations.push(Operation::Remove { directory: 1, name: FileName::new(b"\xFFgone") });
        RowBatch {
            shard: ShardId::new("2019-1f/root").expect("a name"),
            fence: Fence(77),
            directories: vec![
                DirectoryRange::whole(source.clone(), RelativePath::default()),
                DirectoryRange {
                    hash_from: 5,
                    hash_to: 9,
                    ..DirectoryRange::whole(source, RelativePath::new(b"a/b"))
                },
            ],
            operations,
        }
    }

    #[test]
    fn a_batch_survives_and_shares_its_headers() {
        let (one, many) = (batch_out(&batch(1)), batch_out(&batch(101)));
        assert!(many.len() < one.len() + 100 * 90, "{} and {} bytes", one.len(), many.len());
        let read = batch_in(&many).expect("what was written");
        assert_eq!(batch_out(&read), many);
        assert_eq!(format!("{:?}", read.directories), format!("{:?}", batch(1).directories));
        let Operation::Upsert { row, .. } = &read.operations[0] else { panic!("the first is a row") };
        let Operation::Upsert { row: before, .. } = &batch(1).operations[0] else { panic!("so it was") };
        assert_eq!(row.stack.digest(), before.stack.digest());
    }

    fn any_values(level: Level) -> impl Strategy<Value = Values> {
        let ids: Vec<_> = (0..ATTRIBUTES.len()).filter(|id| ATTRIBUTES[*id].level == level).collect();
        let id = proptest::sample::select(ids);
        let entry =
            (id.clone(), any::<i64>(), -1e9..1e9_f64, ".{1,12}").prop_map(|(at, integer, real, text)| {
                let value = match ATTRIBUTES[at].column {
                    ColumnType::Text | ColumnType::Items => Value::Text(text.into()),
                    ColumnType::Integer => Value::Integer(integer),
                    ColumnType::Real => Value::Real(real),
                };
                (AttributeId(u16::try_from(at).expect("a short table")), value)
            });
        let odd =
            (id, ".{0,9}").prop_map(|(at, raw)| (AttributeId(u16::try_from(at).expect("short")), raw.into()));
        (prop::collection::vec(entry, 0..9), prop::collection::vec(odd, 0..3))
            .prop_map(|(entries, odd)| Values::new(entries, odd))
    }

    fn any_stack() -> impl Strategy<Value = Arc<Header>> {
        (any_values(Level::Study), any_values(Level::Series), any_values(Level::Stack), "[a-z]{1,4}")
            .prop_map(|(study, series, stack, domain)| {
                let study = Header::study(Domain::new(&domain).expect("a name"), study);
                Header::below(&Header::below(&study, series), stack)
            })
    }

    prop_compose! {
        fn any_row(stacks: Vec<Arc<Header>>)(
            name in "[a-zé ]{1,9}", size: u64, mtime_ns: i64, ctime_ns: i64, digest: Option<[u8; 16]>,
            warnings in prop::sample::select(vec!["charset".to_owned(), "broken,uid".to_owned(), String::new()]), uid in "[0-9.]{1,20}", stack in prop::sample::select(stacks),
            values in any_values(Level::File), directory in 0..2_u32, is_removed: bool,
        ) -> Operation {
            let name = FileName::new(name.as_bytes());
            if is_removed {
                return Operation::Remove { directory, name };
            }
            let row = FileRow {
                name,
                stamp: FileStamp { size, mtime_ns, ctime_ns },
                digest: digest.map(ContentDigest),
                warnings: Warnings::from_text(&warnings),
                sop_instance_uid: uid.into(),
                stack,
                values,
            };
            Operation::Upsert { directory, row }
        }
    }

    prop_compose! {
        fn any_batch()(stacks in prop::collection::vec(any_stack(), 1..4))(
            operations in prop::collection::vec(any_row(stacks), 0..12), fence in any::<u64>(), hash_from in any::<u32>(),
        ) -> RowBatch {
            let source = SourceName::new("s").expect("a name");
            let path = RelativePath::new(b"a/\xFF b");
            let directories = vec![
                DirectoryRange { source: source.clone(), path, hash_from, hash_to: u32::MAX },
                DirectoryRange::whole(source, RelativePath::default()),
            ];
            RowBatch { shard: ShardId::new("2019-aa/0").expect("an id"), fence: Fence(fence), directories, operations }
        }
    }

    /// Everything of a batch; names and paths hide in its own debug output.
    fn shown(batch: &RowBatch) -> String {
        let names = batch.operations.iter().map(|operation| match operation {
            Operation::Upsert { row, .. } => (row.name.as_bytes().to_vec(), Some(row.stack.digest())),
            Operation::Remove { name, .. } => (name.as_bytes().to_vec(), None),
        });
        let names: Vec<_> = names.collect();
        format!("{batch:?} {names:?} {:?}", batch.directories[0].path.as_bytes())
    }

    proptest! {
        #[test]
        fn damaged_bytes_never_panic(at in 0_usize..400, to in any::<u8>(), cut in 0_usize..400) {
            let mut bytes = batch_out(&batch(3));
            let at = at % bytes.len();
            bytes[at] = to;
            // Most are refused; what is not must be sound enough to be written again.
            if let Ok(read) = batch_in(&bytes) {
                let _ = batch_out(&read);
            }
            bytes.truncate(cut);
            let _ = batch_in(&bytes);
        }

        #[test]
        fn a_batch_comes_back_as_it_was(batch in any_batch()) {
            let read = batch_in(&batch_out(&batch)).expect("what was written");
            prop_assert_eq!(shown(&read), shown(&batch));
        }

        #[test]
        fn any_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = batch_in(&bytes);
        }
    }

    /// A batch of one header table, whose bytes after it are `rest`.
    fn batch_with(headers: &[u8], rest: &[u8]) -> Result<RowBatch, Malformed> {
        let mut head = Writer::default();
        head.text("2019-aa/0");
        head.number(7);
        head.number(1);
        range_to(
            &mut head,
            &DirectoryRange::whole(SourceName::new("s").expect("a name"), RelativePath::default()),
        );
        batch_in(&[&head.0, headers, rest].concat())
    }

    #[test]
    fn hostile_batches_are_refused() {
        // domain `d`, no values; a series below it; a stack below that.
        const HEADERS: &[u8] = &[3, 0, 1, b'd', 0, 0, 1, 0, 0, 2, 0, 0];
        let row = |name: &[u8], stack: u8| {
            let head = [&[1, UPSERT, 0, stack, u8::try_from(name.len()).expect("short")][..], name].concat();
            [&head[..], &[0, 0, 0, 0, 0, 1, b'1', 0, 0]].concat()
        };
        assert!(batch_with(HEADERS, &row(b"x", 2)).is_ok());
        for name in [&b""[..], b"a/b", b"a\0", b"..", b"."] {
            assert!(batch_with(HEADERS, &row(name, 2)).is_err(), "{name:?}");
        }
        for stack in [0, 1, 3, 200] {
            assert!(batch_with(HEADERS, &row(b"x", stack)).is_err(), "a row on header {stack}");
        }
        for headers in [
            &[4, 0, 1, b'd', 0, 0, 1, 0, 0, 2, 0, 0, 3, 0, 0][..], // below a stack
            &[1, 1, 0, 0],                                         // its own parent
            &[1, 0, 1, b'd', 1, 0xFF, 0xFF, 3, TEXT, 1, b'x', 0],  // no such attribute
            &[1, 0, 1, b'd', 1, 0, REAL, 0, 0, 0, 0, 0, 0, 0, 0, 0], // another type
            &[0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 1],
        ] {
            assert!(batch_with(headers, &[0]).is_err(), "{headers:?}");
        }
        assert_eq!(batch_in(&vec![0; BATCH_BYTES_MAX + 1]).err(), Some(Malformed));
    }
}

//! Rows as packed bytes: what `Rows` in `common.proto` describes.

use shardex_catalog::Cell;

const NULL: u8 = 0;
const INTEGER: u8 = 1;
const REAL: u8 = 2;
const TEXT: u8 = 3;
const BLOB: u8 = 4;

/// Bytes of `Rows.packed` at most.
const PART_BYTES_MAX: usize = 256 << 10;
/// A part is sent when it is this long after a row.
const PART_BYTES: usize = 128 << 10;
/// Longest row that a reader takes: SQLite's own bound on values (16 MiB) leaves room for four.
const ROW_BYTES_MAX: usize = 64 << 20;

/// Packs rows into parts of bounded size.
#[derive(Debug, Default)]
pub struct RowPacker {
    bytes: Vec<u8>,
    count: u32,
}

impl RowPacker {
    /// Adds a row. Gives parts to send as soon as there is enough for one: usually none or one, more
    /// only where the row is longer than a part.
    pub fn push(&mut self, row: &[Cell]) -> Vec<crate::v1::Rows> {
        row.iter().for_each(|cell| pack(&mut self.bytes, cell));
        self.count += 1;
        if self.bytes.len() < PART_BYTES { Vec::new() } else { self.take() }
    }

    /// What is left to send.
    pub fn take(&mut self) -> Vec<crate::v1::Rows> {
        let mut packed = prost::bytes::Bytes::from(std::mem::take(&mut self.bytes));
        let count = std::mem::take(&mut self.count);
        let mut parts = Vec::new();
        while packed.len() > PART_BYTES_MAX {
            parts.push(crate::v1::Rows { count: 0, packed: packed.split_to(PART_BYTES_MAX) });
        }
        if count > 0 {
            parts.push(crate::v1::Rows { count, packed });
        }
        parts
    }
}

/// Packed rows that are none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MalformedRows {
    /// A type, a length or a text is impossible.
    #[error("the peer sent rows that cannot be read")]
    Nonsense,
    /// A row is longer than any can be.
    #[error("the peer sent a row of more than {ROW_BYTES_MAX} bytes")]
    TooLong,
    /// The parts end inside a row, or their counts do not fit.
    #[error("the peer's rows are cut off")]
    CutOff,
}

/// Reads rows from parts. A peer may send anything: memory is bounded by one row and one part.
#[derive(Debug)]
pub struct RowReader {
    width: usize,
    rest: Vec<u8>,
}

impl RowReader {
    /// A reader of rows of `width` values.
    #[must_use]
    pub fn new(width: usize) -> Self {
        Self { width, rest: Vec::new() }
    }

    /// Reads the rows that end in a part, and hands them to `row` until that returns false.
    ///
    /// # Errors
    /// [`MalformedRows`]; rows may have been handed over before it.
    pub fn read(
        &mut self,
        part: &crate::v1::Rows,
        row: &mut dyn FnMut(&[Cell]) -> bool,
    ) -> Result<bool, MalformedRows> {
        if self.rest.len() + part.packed.len() > ROW_BYTES_MAX + PART_BYTES_MAX {
            return Err(MalformedRows::TooLong);
        }
        self.rest.extend_from_slice(&part.packed);
        let mut from = 0;
        let mut cells = Vec::with_capacity(self.width);
        for _ in 0..part.count {
            let mut input = Input { bytes: &self.rest, at: from };
            cells.clear();
            for _ in 0..self.width {
                cells.push(input.cell()?);
            }
            from = input.at;
            if !row(&cells) {
                return Ok(false);
            }
        }
        self.rest.drain(..from);
        Ok(true)
    }

    /// Checks that no row is half-read.
    ///
    /// # Errors
    /// [`MalformedRows::CutOff`] if one is.
    pub fn end(&self) -> Result<(), MalformedRows> {
        if self.rest.is_empty() { Ok(()) } else { Err(MalformedRows::CutOff) }
    }
}

fn pack(to: &mut Vec<u8>, cell: &Cell) {
    match cell {
        Cell::Null => to.push(NULL),
        Cell::Integer(number) => {
            to.push(INTEGER);
            leb128(to, ((number << 1) ^ (number >> 63)).cast_unsigned());
        }
        Cell::Real(number) => {
            to.push(REAL);
            to.extend_from_slice(&number.to_le_bytes());
        }
        Cell::Text(text) => {
            to.push(TEXT);
            counted(to, text.as_bytes());
        }
        Cell::Blob(bytes) => {
            to.push(BLOB);
            counted(to, bytes);
        }
    }
}

fn counted(to: &mut Vec<u8>, bytes: &[u8]) {
    leb128(to, bytes.len() as u64);
    to.extend_from_slice(bytes);
}

fn leb128(to: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        to.push(u8::try_from(number & 0x7F).expect("seven bits") | 0x80);
        number >>= 7;
    }
    to.push(u8::try_from(number).expect("seven bits"));
}

struct Input<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Input<'a> {
    fn cell(&mut self) -> Result<Cell, MalformedRows> {
        match self.take(1)?[0] {
            NULL => Ok(Cell::Null),
            INTEGER => {
                let number = self.number()?;
                Ok(Cell::Integer((number >> 1).cast_signed() ^ -((number & 1).cast_signed())))
            }
            REAL => {
                let bytes = self.take(8)?.try_into().expect("eight bytes");
                Ok(Cell::Real(f64::from_le_bytes(bytes)))
            }
            TEXT => {
                let text = std::str::from_utf8(self.counted()?).map_err(|_| MalformedRows::Nonsense)?;
                Ok(Cell::Text(text.to_owned()))
            }
            BLOB => Ok(Cell::Blob(self.counted()?.to_vec())),
            _ => Err(MalformedRows::Nonsense),
        }
    }

    fn counted(&mut self) -> Result<&'a [u8], MalformedRows> {
        let length = usize::try_from(self.number()?).map_err(|_| MalformedRows::Nonsense)?;
        self.take(length)
    }

    fn number(&mut self) -> Result<u64, MalformedRows> {
        let mut number = 0_u64;
        for shift in (0..70).step_by(7) {
            let byte = self.take(1)?[0];
            let bits = u64::from(byte & 0x7F);
            if shift == 63 && bits > 1 {
                return Err(MalformedRows::Nonsense);
            }
            number |= bits << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(MalformedRows::Nonsense)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], MalformedRows> {
        let end = self.at.checked_add(length).ok_or(MalformedRows::Nonsense)?;
        let taken = self.bytes.get(self.at..end).ok_or(MalformedRows::CutOff)?;
        self.at = end;
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(width: usize, parts: &[crate::v1::Rows]) -> Result<Vec<Vec<Cell>>, MalformedRows> {
        let mut reader = RowReader::new(width);
        let mut rows = Vec::new();
        for part in parts {
            reader.read(part, &mut |row| {
                rows.push(row.to_vec());
                true
            })?;
        }
        reader.end().map(|()| rows)
    }

    fn packed(rows: &[Vec<Cell>]) -> Vec<crate::v1::Rows> {
        let mut packer = RowPacker::default();
        let mut parts: Vec<_> = rows.iter().flat_map(|row| packer.push(row)).collect();
        parts.extend(packer.take());
        parts
    }

    fn any_cell() -> impl Strategy<Value = Cell> {
        prop_oneof![
            Just(Cell::Null),
            any::<i64>().prop_map(Cell::Integer),
            any::<f64>().prop_filter("NaN equals nothing", |n| !n.is_nan()).prop_map(Cell::Real),
            any::<String>().prop_map(Cell::Text),
            any::<Vec<u8>>().prop_map(Cell::Blob),
        ]
    }

    proptest! {
        #[test]
        fn rows_come_back_as_they_were(rows in prop::collection::vec(prop::collection::vec(any_cell(), 3), 0..50)) {
            prop_assert_eq!(read(3, &packed(&rows)), Ok(rows));
        }

        #[test]
        fn garbage_is_an_error_or_rows_but_never_a_crash(bytes: Vec<u8>, count in 0..20_u32, width in 0..4_usize) {
            let part = crate::v1::Rows { count, packed: bytes.into() };
            let _ = read(width, &[part]);
        }
    }

    #[test]
    fn parts_are_bounded_and_long_rows_cross_them() {
        let long = vec![Cell::Text("x".repeat(1 << 20)), Cell::Integer(i64::MIN)];
        let short = vec![Cell::Null, Cell::Real(-0.5)];
        let rows = vec![short.clone(), long, short];
        let parts = packed(&rows);
        assert!(parts.len() > 4, "{} parts", parts.len());
        assert!(parts.iter().all(|part| part.packed.len() <= PART_BYTES_MAX));
        assert_eq!(read(2, &parts), Ok(rows));
    }

    #[test]
    fn what_is_cut_off_is_noticed() {
        let mut parts = packed(&[vec![Cell::Text("x".repeat(1 << 20))]]);
        parts.pop();
        assert_eq!(read(1, &parts), Err(MalformedRows::CutOff));
        let part = crate::v1::Rows { count: 2, packed: vec![NULL].into() };
        assert_eq!(read(1, &[part]), Err(MalformedRows::CutOff));
    }

    #[test]
    fn impossible_numbers_and_types_are_refused() {
        for bytes in
            [&[9_u8][..], &[TEXT, 1, 0xFF], &[INTEGER, 255, 255, 255, 255, 255, 255, 255, 255, 255, 2]]
        {
            let part = crate::v1::Rows { count: 1, packed: bytes.to_vec().into() };
            assert_eq!(read(1, &[part]), Err(MalformedRows::Nonsense), "{bytes:?}");
        }
        let length = [BLOB, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1];
        let part = crate::v1::Rows { count: 1, packed: length.to_vec().into() };
        assert!(read(1, &[part]).is_err());
    }
}

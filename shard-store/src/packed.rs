//! Numbers and times as texts, packed two characters a byte.
//!
//! Positions, windows and times differ on nearly every slice and are most of a file's row. Their
//! texts are digits and a few signs; packed, they take half.

use shardex_catalog::{Attribute, ColumnType, Level, Vr};

/// Longest text that is packed; a longer one is stored as it is.
const PACKED_MAX: usize = 128;

/// What the nibbles 10 to 14 stand for; 15 pads an odd length.
const SIGNS: &[u8; 5] = b".-\\e+";

/// Whether a table stores an attribute packed where its text allows it.
pub(crate) fn is_packed(attribute: &Attribute) -> bool {
    attribute.level == Level::File
        && attribute.column == ColumnType::Text
        && matches!(attribute.vr, Vr::DA | Vr::DS | Vr::DT | Vr::IS | Vr::TM)
}

/// Where a packed text is built.
pub(crate) struct Buffer([u8; PACKED_MAX / 2]);

impl Buffer {
    pub(crate) const fn new() -> Self {
        Self([0; PACKED_MAX / 2])
    }

    /// Packs a text; `None` for one that is empty, too long, or has another character.
    pub(crate) fn pack(&mut self, text: &str) -> Option<&[u8]> {
        let length = text.len().div_ceil(2);
        let packed = self.0.get_mut(..length).filter(|packed| !packed.is_empty())?;
        for (cell, pair) in packed.iter_mut().zip(text.as_bytes().chunks(2)) {
            let low = pair.get(1).map_or(Some(0x0F), |byte| nibble(*byte))?;
            *cell = (nibble(pair[0])? << 4) | low;
        }
        Some(&self.0[..length])
    }
}

fn nibble(byte: u8) -> Option<u8> {
    Some(NIBBLES[usize::from(byte)]).filter(|nibble| *nibble < NONE)
}

const NONE: u8 = 16;

/// Nibbles by character.
static NIBBLES: [u8; 256] = {
    let mut nibbles = [NONE; 256];
    let mut digit = 0;
    while digit < 10 {
        nibbles[(b'0' + digit) as usize] = digit;
        digit += 1;
    }
    let mut nibble = 10;
    while nibble < 15 {
        nibbles[SIGNS[nibble as usize - 10] as usize] = nibble;
        nibble += 1;
    }
    nibbles
};

/// SQL for the text of a stored value, with TEXT affinity, which a bare CASE would lose.
pub(crate) fn unpacked(stored: &str) -> String {
    let mut text = format!("rtrim(hex({stored}), 'F')");
    for (digit, sign) in "ABCDE".chars().zip(SIGNS) {
        text = format!("replace({text}, '{digit}', '{}')", char::from(*sign));
    }
    format!("CAST(CASE typeof({stored}) WHEN 'blob' THEN {text} ELSE {stored} END AS TEXT)")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rusqlite::Connection;

    use super::*;

    fn through_sqlite(packed: &[u8]) -> String {
        let connection = Connection::open_in_memory().expect("memory");
        let sql = format!("SELECT {} FROM (SELECT ?1 AS v)", unpacked("v"));
        connection.query_row(&sql, [packed], |row| row.get(0)).expect("a text")
    }

    proptest! {
        #[test]
        fn sqlite_unpacks_what_was_packed(text in r"[-0-9.\\e+]{1,128}") {
            let mut buffer = Buffer::new();
            let packed = buffer.pack(&text).expect("its characters have nibbles");
            prop_assert_eq!(packed.len(), text.len().div_ceil(2));
            prop_assert_eq!(through_sqlite(packed), text);
        }
    }

    #[test]
    fn other_texts_are_not_packed() {
        for text in ["", " 1", "1.5E3", "12:30", "ü", &"1".repeat(PACKED_MAX + 1)] {
            assert_eq!(Buffer::new().pack(text), None, "{text:?}");
        }
    }
}

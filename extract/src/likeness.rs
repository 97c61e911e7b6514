//! Which levels of a file have the values of the file before, told by one look at the raw bytes of both.

use shardex_catalog::Level;

use crate::raw::{RawValue, RawValues};
use crate::wanted::Slot;

/// The levels that have headers, topmost first.
pub(crate) const HEADER_LEVELS: [Level; 3] = [Level::Study, Level::Series, Level::Stack];

const ALL: u8 = level_bit(Level::Study) | level_bit(Level::Series) | level_bit(Level::Stack);
/// Items belong to studies and series.
const WITH_ITEMS: u8 = level_bit(Level::Study) | level_bit(Level::Series);

/// A level as one bit of a set.
pub(crate) const fn level_bit(level: Level) -> u8 {
    1 << level as u8
}

/// What one look at a file found.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Likeness {
    different: u8,
}

impl Likeness {
    /// Compares a file with the one before; `level_bits` are the levels of each slot.
    pub(crate) fn of(raw: &RawValues, before: &RawValues, level_bits: &[u8]) -> Self {
        let mut different = 0;
        if raw.charset(0) != before.charset(0) {
            different = ALL;
        }
        if !are_items_equal(raw, before) {
            different |= WITH_ITEMS;
        }
        let mut look_for = |filled: &[(Slot, RawValue)], is_alike: &dyn Fn(Slot, RawValue) -> bool| {
            for (slot, value) in filled {
                let bits = level_bits[usize::from(slot.0)] & ALL;
                if different & bits != bits && !is_alike(*slot, *value) {
                    different |= bits;
                }
            }
        };
        let is_equal =
            |slot, value| before.get(slot).is_some_and(|known| is_value_equal(raw, value, before, known));
        let is_there = |slot, _| raw.get(slot).is_some();
        match raw.news() {
            Some(news) => {
                parts(raw.filled(), &news.anew).for_each(|filled| look_for(filled, &is_equal));
                parts(before.filled(), &news.gone).for_each(|filled| look_for(filled, &is_there));
            }
            None => {
                look_for(raw.filled(), &is_equal);
                look_for(before.filled(), &is_there);
            }
        }
        Self { different }
    }

    /// Whether a level has the values that it had in the file before.
    pub(crate) fn is_equal(self, level: Level) -> bool {
        self.different & level_bit(level) == 0
    }

    /// Whether all levels have.
    pub(crate) fn is_all_equal(self) -> bool {
        self.different == 0
    }
}

fn parts<'s, T>(filled: &'s [T], of: &'s [(u32, u32)]) -> impl Iterator<Item = &'s [T]> {
    of.iter().map(|(from, to)| &filled[*from as usize..*to as usize])
}

fn is_value_equal(raw: &RawValues, value: RawValue, before: &RawValues, known: RawValue) -> bool {
    // Character sets of items are numbered by file: where there are any, nothing is said to be equal.
    let is_alike = value.vr == known.vr
        && value.is_big_endian == known.is_big_endian
        && value.charset == 0
        && known.charset == 0;
    is_alike && raw.bytes(value) == before.bytes(known)
}

fn are_items_equal(raw: &RawValues, before: &RawValues) -> bool {
    raw.items.len() == before.items.len()
        && raw.items.iter().zip(&before.items).all(|(item, known)| {
            (item.items, item.item, item.field) == (known.items, known.item, known.field)
                && is_value_equal(raw, item.value, before, known.value)
        })
}

#[cfg(test)]
mod tests {
    use shardex_catalog::Vr;

    use super::*;

    /// Slots 0 to 3: one of each header level, and one of the file's own.
    const LEVEL_BITS: [u8; 4] = [1, 2, 4, 8];

    fn raw(values: &[(u16, &str)]) -> RawValues {
        let mut raw = RawValues::new();
        for (slot, text) in values {
            let value = raw.store(Vr::LO, 0, false, text.as_bytes());
            raw.set(Slot(*slot), value);
        }
        raw
    }

    fn equal(now: &RawValues, before: &RawValues) -> [bool; 3] {
        let found = Likeness::of(now, before, &LEVEL_BITS);
        assert_eq!(found.is_all_equal(), HEADER_LEVELS.iter().all(|level| found.is_equal(*level)));
        HEADER_LEVELS.map(|level| found.is_equal(level))
    }

    #[test]
    fn a_level_differs_by_a_value_more_less_or_other() {
        let before = raw(&[(0, "a"), (1, "b"), (2, "c"), (3, "d")]);
        assert_eq!(equal(&raw(&[(0, "a"), (1, "b"), (2, "c"), (3, "other")]), &before), [true; 3]);
        assert_eq!(equal(&raw(&[(2, "c"), (0, "a"), (1, "b")]), &before), [true; 3]);
        assert_eq!(equal(&raw(&[(0, "a"), (1, "x"), (2, "c")]), &before), [true, false, true]);
        assert_eq!(equal(&raw(&[(0, "a"), (1, "b")]), &before), [true, true, false]);
        assert_eq!(equal(&before, &raw(&[(1, "b"), (2, "c")])), [false, true, true]);
    }

    #[test]
    fn another_character_set_is_another_text() {
        let before = raw(&[(0, "a")]);
        let mut now = raw(&[(0, "a")]);
        let charset = now.store(Vr::CS, 0, false, b"ISO_IR 100");
        now.set_charset(charset);
        assert_eq!(equal(&now, &before), [false; 3]);
    }

    #[test]
    fn items_count_for_studies_and_series() {
        let before = raw(&[(0, "a"), (2, "c")]);
        let mut now = raw(&[(0, "a"), (2, "c")]);
        let value = now.store(Vr::LO, 0, false, b"tracer");
        let items = crate::wanted::ItemsNumber(0);
        now.items.push(crate::raw::ItemValue { items, item: 0, field: 0, value });
        assert_eq!(equal(&now, &before), [false, false, true]);
    }
}

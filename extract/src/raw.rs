//! Raw values of one file: bytes in one arena, found by slot.

use shardex_catalog::{Vr, Warnings};

use crate::wanted::{ItemsNumber, Slot, wanted};

/// A value's bytes, its VR as the file says it, and the character set in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RawValue {
    pub(crate) vr: Vr,
    /// Index into [`RawValues::charsets`].
    pub(crate) charset: u8,
    pub(crate) is_big_endian: bool,
    start: u32,
    len: u32,
}

/// A value of an item of a sequence that is kept whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ItemValue {
    pub(crate) items: ItemsNumber,
    pub(crate) item: u32,
    pub(crate) field: u16,
    pub(crate) value: RawValue,
}

/// What was read of one file. Reused from file to file.
#[derive(Debug, Default)]
pub(crate) struct RawValues {
    arena: Vec<u8>,
    slots: Vec<Option<RawValue>>,
    filled: Vec<Slot>,
    pub(crate) items: Vec<ItemValue>,
    /// Values of SpecificCharacterSet: that of the data set first, those of items after it.
    charsets: Vec<(u32, u32)>,
    pub(crate) warnings: Warnings,
    /// Slots that the file meta group filled.
    meta_values: usize,
    /// Elements seen.
    pub(crate) elements: u64,
}

impl RawValues {
    /// Of no file.
    pub(crate) fn new() -> Self {
        let mut new = Self::default();
        new.clear();
        new
    }

    /// Forgets everything but the memory.
    pub(crate) fn clear(&mut self) {
        self.slots.resize(wanted().slots, None);
        for slot in self.filled.drain(..) {
            self.slots[usize::from(slot.0)] = None;
        }
        self.arena.clear();
        self.items.clear();
        self.charsets.clear();
        self.charsets.push((0, 0));
        self.warnings = Warnings::default();
        self.meta_values = 0;
        self.elements = 0;
    }

    /// Copies bytes into the arena.
    pub(crate) fn store(&mut self, vr: Vr, charset: u8, is_big_endian: bool, bytes: &[u8]) -> RawValue {
        let start = u32::try_from(self.arena.len()).unwrap_or(u32::MAX);
        self.arena.extend_from_slice(bytes);
        let len = u32::try_from(bytes.len()).unwrap_or(0);
        RawValue { vr, charset, is_big_endian, start, len }
    }

    /// Fills a slot; false if it was filled before.
    pub(crate) fn set(&mut self, slot: Slot, value: RawValue) -> bool {
        let cell = &mut self.slots[usize::from(slot.0)];
        if cell.is_some() {
            return false;
        }
        *cell = Some(value);
        self.filled.push(slot);
        true
    }

    /// The value of a slot.
    pub(crate) fn get(&self, slot: Slot) -> Option<RawValue> {
        self.slots[usize::from(slot.0)]
    }

    /// The bytes of a value.
    pub(crate) fn bytes(&self, value: RawValue) -> &[u8] {
        &self.arena[value.start as usize..][..value.len as usize]
    }

    /// Slots with a value, in the order in which they were filled.
    pub(crate) fn filled(&self) -> &[Slot] {
        &self.filled
    }

    /// Whether anything wanted was found in the data set itself.
    pub(crate) fn has_data_set_values(&self) -> bool {
        self.filled.len() > self.meta_values
    }

    /// What was stored until now came from the file meta group.
    pub(crate) fn end_meta(&mut self) {
        self.meta_values = self.filled.len();
    }

    /// Sets the character set of the data set.
    pub(crate) fn set_charset(&mut self, value: RawValue) {
        self.charsets[0] = (value.start, value.len);
    }

    /// Adds the character set of an item; the data set's where there are too many.
    pub(crate) fn add_charset(&mut self, value: RawValue) -> u8 {
        let Ok(number) = u8::try_from(self.charsets.len()) else { return 0 };
        self.charsets.push((value.start, value.len));
        number
    }

    /// The bytes of a SpecificCharacterSet.
    pub(crate) fn charset(&self, number: u8) -> &[u8] {
        let (start, len) = self.charsets[usize::from(number)];
        &self.arena[start as usize..][..len as usize]
    }
}

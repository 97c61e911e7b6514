//! Raw values of one file, found by slot: bytes where they were read, or copies of them in one arena.

use shardex_catalog::{Tag, Vr, Warnings};

use crate::outline::{News, Outline, Stretch};
use crate::source::FIRST_BYTES;
use crate::wanted::{ItemsNumber, SPECIFIC_CHARACTER_SET, Slot, wanted};

/// A value's bytes, its VR as the file says it, and the character set in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RawValue {
    pub(crate) vr: Vr,
    /// Index into [`RawValues::charsets`].
    pub(crate) charset: u8,
    pub(crate) is_big_endian: bool,
    /// In the first bytes of the file, or [`FIRST_BYTES`] and more for one in the arena.
    start: u32,
    len: u32,
}

impl RawValue {
    /// A value in the first bytes of a file.
    pub(crate) fn in_place(vr: Vr, start: usize, len: usize) -> Self {
        debug_assert!(start + len <= FIRST_BYTES);
        Self { vr, charset: 0, is_big_endian: false, start: count(start), len: count(len) }
    }

    fn shifted(self, shift: u32) -> Self {
        Self { start: self.start.wrapping_add(shift), ..self }
    }
}

/// Slots are numbered by 16 bits, and each is filled once.
fn place_after(filled: usize) -> u16 {
    u16::try_from(filled + 1).expect("fewer slots are filled than there are")
}

/// Of what there is at most one a byte of [`FIRST_BYTES`].
fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
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
    /// The first bytes of a file that was scanned.
    first: Vec<u8>,
    /// Copies of values that do not stand there.
    arena: Vec<u8>,
    /// Slots with a value, in the order in which they were filled.
    filled: Vec<(Slot, RawValue)>,
    /// By slot, its place in `filled`, from 1; 0 for an empty one.
    places: Vec<u16>,
    pub(crate) items: Vec<ItemValue>,
    /// Values of SpecificCharacterSet: that of the data set first, those of items after it.
    charsets: Vec<(u32, u32)>,
    pub(crate) warnings: Warnings,
    /// Slots that the file meta group filled.
    meta_values: usize,
    /// Elements seen.
    pub(crate) elements: u64,
    pub(crate) outline: Outline,
    /// What has to be compared with the file before, if that is not all.
    news: News,
    has_news: bool,
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
        self.places.resize(wanted().slots, 0);
        for (slot, _) in self.filled.drain(..) {
            self.places[usize::from(slot.0)] = 0;
        }
        self.arena.clear();
        self.items.clear();
        self.charsets.clear();
        self.charsets.push((0, 0));
        self.warnings = Warnings::default();
        self.meta_values = 0;
        self.elements = 0;
        self.outline.stretches.clear();
        self.news.clear();
        self.has_news = false;
    }

    /// Copies bytes into the arena.
    pub(crate) fn store(&mut self, vr: Vr, charset: u8, is_big_endian: bool, bytes: &[u8]) -> RawValue {
        let start = u32::try_from(FIRST_BYTES + self.arena.len()).unwrap_or(u32::MAX);
        self.arena.extend_from_slice(bytes);
        let len = u32::try_from(bytes.len()).unwrap_or(0);
        RawValue { vr, charset, is_big_endian, start, len }
    }

    /// The first bytes of the file, in which values were found; those of another file are given back.
    pub(crate) fn swap_first(&mut self, bytes: &mut Vec<u8>) {
        std::mem::swap(&mut self.first, bytes);
    }

    /// As [`RawValues::swap_first`], where the bytes are still needed.
    pub(crate) fn copy_first(&mut self, bytes: &[u8]) {
        self.first.clear();
        self.first.extend_from_slice(bytes);
    }

    /// The first bytes of the file, if it was scanned.
    pub(crate) fn first(&self) -> &[u8] {
        &self.first
    }

    /// Fills a slot; false if it was filled before.
    pub(crate) fn set(&mut self, slot: Slot, value: RawValue) -> bool {
        let place = &mut self.places[usize::from(slot.0)];
        if *place != 0 {
            return false;
        }
        self.filled.push((slot, value));
        *place = place_after(self.filled.len() - 1);
        true
    }

    /// The value of a slot.
    pub(crate) fn get(&self, slot: Slot) -> Option<RawValue> {
        let place = usize::from(self.places[usize::from(slot.0)]);
        place.checked_sub(1).map(|at| self.filled[at].1)
    }

    /// The bytes of a value.
    pub(crate) fn bytes(&self, value: RawValue) -> &[u8] {
        self.part(value.start, value.len)
    }

    fn part(&self, start: u32, len: u32) -> &[u8] {
        let (start, len) = (start as usize, len as usize);
        match start.checked_sub(FIRST_BYTES) {
            Some(at) => &self.arena[at..][..len],
            None => &self.first[start..][..len],
        }
    }

    /// Slots with a value, in the order in which they were filled.
    pub(crate) fn filled(&self) -> &[(Slot, RawValue)] {
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
        self.part(start, len)
    }

    /// Begins a comparison with the file before, as it is scanned.
    pub(crate) fn begin_news(&mut self, before: &Self) {
        self.has_news = true;
        // What the file meta groups say is compared in any case.
        self.news.anew.push((0, count(self.meta_values)));
        self.news.gone.push((0, count(before.meta_values)));
    }

    /// What has to be compared with the file before; `None` if that is everything.
    pub(crate) fn news(&self) -> Option<&News> {
        self.has_news.then_some(&self.news)
    }

    /// Notes a stretch that has just been read.
    pub(crate) fn end_stretch(&mut self, tag: Tag, end: u32, seen: u32, nodes_left: usize) {
        self.note_anew();
        let (filled, items) = (count(self.filled.len()), count(self.items.len()));
        let nodes_left = count(nodes_left);
        self.outline.stretches.push(Stretch { tag, end, seen, filled, items, nodes_left });
    }

    /// Notes stretches of the file before that are not there.
    pub(crate) fn miss_stretches(&mut self, before: &Self, from: usize, to: usize) {
        self.note_gone(before.filled_at(from), before.filled_at(to));
    }

    /// Notes what was read behind all stretches, here and in the file before, of which `passed` stretches are behind.
    pub(crate) fn end_news(&mut self, before: &Self, passed: usize) {
        self.note_anew();
        self.note_gone(before.filled_at(passed), count(before.filled.len()));
    }

    fn note_anew(&mut self) {
        let (from, to) = (self.filled_at(self.outline.stretches.len()), count(self.filled.len()));
        if self.has_news && to > from {
            self.news.anew.push((from, to));
        }
    }

    fn note_gone(&mut self, from: u32, to: u32) {
        if self.has_news && to > from {
            self.news.gone.push((from, to));
        }
    }

    /// Takes values of stretches of the file before, `shift` bytes (wrapping) further in this one.
    pub(crate) fn take_stretches(&mut self, before: &Self, from: usize, to: usize, shift: u32) {
        let stretches = &before.outline.stretches[from..to];
        let filled = before.filled_at(from) as usize..before.filled_at(to) as usize;
        let items = before.items_at(from) as usize..before.items_at(to) as usize;
        let (more_filled, more_items) = (
            count(self.filled.len()).wrapping_sub(count(filled.start)),
            count(self.items.len()).wrapping_sub(count(items.start)),
        );
        let seen = self.outline.stretches.last().map_or(0, |last| last.seen);
        let more_seen = seen.wrapping_sub(before.seen_at(from));
        self.outline.stretches.extend(stretches.iter().map(|stretch| Stretch {
            end: stretch.end.wrapping_add(shift),
            seen: stretch.seen.wrapping_add(more_seen),
            filled: stretch.filled.wrapping_add(more_filled),
            items: stretch.items.wrapping_add(more_items),
            ..*stretch
        }));
        let from = self.filled.len();
        let filled = before.filled[filled].iter();
        self.filled.extend(filled.map(|(slot, value)| (*slot, value.shifted(shift))));
        for (at, (slot, _)) in (from..).zip(&self.filled[from..]) {
            self.places[usize::from(slot.0)] = place_after(at);
        }
        let items = before.items[items].iter();
        self.items.extend(items.map(|item| ItemValue { value: item.value.shifted(shift), ..*item }));
        if stretches.iter().any(|stretch| stretch.tag == SPECIFIC_CHARACTER_SET) {
            let (start, len) = before.charsets[0];
            self.charsets[0] = (start.wrapping_add(shift), len);
        }
    }

    fn filled_at(&self, stretch: usize) -> u32 {
        stretch.checked_sub(1).map_or(count(self.meta_values), |last| self.outline.stretches[last].filled)
    }

    fn items_at(&self, stretch: usize) -> u32 {
        stretch.checked_sub(1).map_or(0, |last| self.outline.stretches[last].items)
    }

    /// Elements seen up to the beginning of a stretch.
    pub(crate) fn seen_at(&self, stretch: usize) -> u32 {
        stretch.checked_sub(1).map_or(0, |last| self.outline.stretches[last].seen)
    }
}

//! Values of a level, and headers that are made once for a run of equal files.
//!
//! Slices of a series differ in a few elements only. So a level is first told by its raw bytes: if
//! they are those of the file before, or of one of the last files, its header is there already, decoded
//! and hashed.

use std::borrow::Cow;
use std::sync::Arc;

use shardex_catalog::{
    ATTRIBUTES, Attribute, AttributeId, ColumnType, Domain, Header, Level, Source, Value, Values, Warnings,
    attributes_of_level,
};

use crate::charset::{Charset, DefaultCharset};
use crate::likeness::{HEADER_LEVELS, Likeness, level_bit};
use crate::normalise::{self, Normal};
use crate::radiopharmaceutical;
use crate::raw::{RawValue, RawValues};
use crate::wanted::{ItemsNumber, Slot, wanted};

/// Values of a level that a file has, about.
const ENTRIES_ABOUT: usize = 16;

/// Headers that are remembered of each level.
const REMEMBERED: usize = 4;

/// What decoding needs besides the raw values.
pub(crate) struct Decoding<'a> {
    pub(crate) raw: &'a RawValues,
    pub(crate) default_charset: Option<&'a DefaultCharset>,
    /// SOPClassUID, which says what a dose counts.
    pub(crate) sop_class_uid: &'a str,
}

/// What the file before gave; headers and what was noticed of their values by level.
struct Before {
    /// It says what the doses of items count.
    sop_class_uid: String,
    headers: [Arc<Header>; HEADER_LEVELS.len()],
    warnings: [Warnings; HEADER_LEVELS.len()],
}

impl Before {
    fn header(&self, level: Level) -> (Arc<Header>, Warnings) {
        (Arc::clone(&self.headers[level as usize]), self.warnings[level as usize])
    }
}

struct Remembered {
    key: Vec<u8>,
    parent: Option<Arc<Header>>,
    header: Arc<Header>,
    warnings: Warnings,
}

/// Headers of the last files, newest last.
pub(crate) struct Memo {
    before: Option<Before>,
    levels: [Vec<Remembered>; HEADER_LEVELS.len()],
    /// Level of each slot, as bits.
    level_bits: Vec<u8>,
    /// Attributes of a file's own row.
    file_attributes: Vec<AttributeId>,
}

impl Memo {
    pub(crate) fn new() -> Self {
        let mut level_bits = vec![0; wanted().slots];
        for (attribute, slots) in ATTRIBUTES.iter().zip(&wanted().of_attribute) {
            for slot in slots {
                level_bits[usize::from(slot.0)] |= level_bit(attribute.level);
            }
        }
        // What the derived attributes of a series rest on.
        for slot in [wanted().ge_creator, wanted().ge_tracer] {
            level_bits[usize::from(slot.0)] |= level_bit(Level::Series);
        }
        let is_own = |id: &AttributeId| ATTRIBUTES[id.index()].keyword != "SOPInstanceUID";
        let file_attributes = attributes_of_level(Level::File).filter(is_own).collect();
        Self { before: None, levels: Default::default(), level_bits, file_attributes }
    }

    /// The stack header of a file, with those above it. `raw_before` is what was read of the file that this
    /// was asked of last.
    pub(crate) fn headers(
        &mut self,
        decoding: &Decoding<'_>,
        raw_before: &RawValues,
        domain: &Domain,
        warnings: &mut Warnings,
    ) -> Arc<Header> {
        let before = self.before.take().filter(|before| before.headers[0].domain() == domain);
        let likeness = Likeness::of(decoding.raw, raw_before, &self.level_bits);
        let is_of_class =
            |before: &Before| decoding.raw.items.is_empty() || before.sop_class_uid == decoding.sop_class_uid;
        let before = match before {
            Some(before) if likeness.is_all_equal() && is_of_class(&before) => before,
            before => self.find_or_make(decoding, domain, likeness, before.filter(is_of_class)),
        };
        before.warnings.iter().for_each(|own| merge(warnings, *own));
        let [_, _, stack] = &before.headers;
        let stack = Arc::clone(stack);
        self.before = Some(before);
        stack
    }

    /// Headers of a file that is not as the one before in all.
    fn find_or_make(
        &mut self,
        decoding: &Decoding<'_>,
        domain: &Domain,
        likeness: Likeness,
        before: Option<Before>,
    ) -> Before {
        let mut parent: Option<Arc<Header>> = None;
        // A header is that of before only below one that is.
        let mut is_as_before = before.is_some();
        let [study, series, stack] = HEADER_LEVELS.map(|level| {
            is_as_before &= likeness.is_equal(level);
            let found = match &before {
                Some(before) if is_as_before => before.header(level),
                _ => self.header(decoding, domain, level, parent.as_ref()),
            };
            parent = Some(Arc::clone(&found.0));
            found
        });
        Before {
            sop_class_uid: decoding.sop_class_uid.to_owned(),
            warnings: [study.1, series.1, stack.1],
            headers: [study.0, series.0, stack.0],
        }
    }

    /// The header of one level: that of one of the last files, or a new one.
    fn header(
        &mut self,
        decoding: &Decoding<'_>,
        domain: &Domain,
        level: Level,
        parent: Option<&Arc<Header>>,
    ) -> (Arc<Header>, Warnings) {
        let is_same = |known: &&Remembered| {
            same(known.parent.as_ref(), parent)
                && known.header.domain() == domain
                && is_key(&known.key, decoding, level, &self.level_bits)
        };
        if let Some(known) = self.levels[level as usize].iter().rfind(is_same) {
            return (Arc::clone(&known.header), known.warnings);
        }
        let mut key = Vec::new();
        key_parts(decoding, level, &self.level_bits, &mut |part| {
            key.extend_from_slice(part);
            true
        });
        let mut warnings = Warnings::default();
        let values = level_values(decoding, level, &mut warnings);
        let header = match parent {
            None => Header::study(domain.clone(), values),
            Some(parent) => Header::below(parent, values),
        };
        let remembered = &mut self.levels[level as usize];
        if remembered.len() == REMEMBERED {
            remembered.remove(0);
        }
        remembered.push(Remembered { key, parent: parent.cloned(), header: Arc::clone(&header), warnings });
        (header, warnings)
    }

    /// Values of a file's own row.
    pub(crate) fn file_values(&self, decoding: &Decoding<'_>, warnings: &mut Warnings) -> Values {
        collect(decoding, self.file_attributes.iter().copied(), warnings)
    }
}

fn same(one: Option<&Arc<Header>>, other: Option<&Arc<Header>>) -> bool {
    match (one, other) {
        (None, None) => true,
        (Some(one), Some(other)) => Arc::ptr_eq(one, other),
        _ => false,
    }
}

fn merge(warnings: &mut Warnings, more: Warnings) {
    more.iter().for_each(|class| warnings.insert(class));
}

/// Whether a key is that of the values of a level.
fn is_key(key: &[u8], decoding: &Decoding<'_>, level: Level, level_bits: &[u8]) -> bool {
    let mut rest = key;
    let is_begun = key_parts(decoding, level, level_bits, &mut |part| match rest.strip_prefix(part) {
        Some(behind) => {
            rest = behind;
            true
        }
        None => false,
    });
    is_begun && rest.is_empty()
}

/// Gives everything that the values of a level follow from to `take`, part by part, until it
/// returns false. No two different lists of values give the same bytes in all.
fn key_parts(
    decoding: &Decoding<'_>,
    level: Level,
    level_bits: &[u8],
    take: &mut impl FnMut(&[u8]) -> bool,
) -> bool {
    let raw = decoding.raw;
    if !sized(raw.charset(0), take) {
        return false;
    }
    let bit = level_bit(level);
    for (slot, value) in raw.filled() {
        if level_bits[usize::from(slot.0)] & bit != 0 && !value_parts(raw, *slot, *value, take) {
            return false;
        }
    }
    if level == Level::Stack || raw.items.is_empty() {
        return true;
    }
    let are_items = raw.items.iter().all(|item| {
        let ([a, b, c, d], [low, high]) = (item.item.to_le_bytes(), item.field.to_le_bytes());
        // Slots are numbered by table, and far fewer than there are numbers.
        take(&[item.items.0, a, b, c, d, low, high]) && value_parts(raw, Slot(u16::MAX), item.value, take)
    });
    are_items && sized(decoding.sop_class_uid.as_bytes(), take)
}

fn value_parts(raw: &RawValues, slot: Slot, value: RawValue, take: &mut impl FnMut(&[u8]) -> bool) -> bool {
    let bytes = raw.bytes(value);
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    // One number for all but the bytes: this is compared for every value of every file.
    let encoding = u64::from(value.vr as u8) << 1 | u64::from(value.is_big_endian);
    let head = u64::from(length) << 32 | u64::from(slot.0) << 16 | encoding << 8 | u64::from(value.charset);
    take(&head.to_le_bytes())
        && (value.charset == 0 || sized(raw.charset(value.charset), take))
        && take(bytes)
}

fn sized(bytes: &[u8], take: &mut impl FnMut(&[u8]) -> bool) -> bool {
    take(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes()) && take(bytes)
}

fn level_values(decoding: &Decoding<'_>, level: Level, warnings: &mut Warnings) -> Values {
    let values = collect(decoding, attributes_of_level(level), warnings);
    let mut more = Vec::new();
    for (number, id) in (0_u8..).zip(&wanted().items) {
        if ATTRIBUTES[id.index()].level == level {
            more.extend(items_values(decoding, ItemsNumber(number), warnings));
        }
    }
    if more.is_empty() {
        return values;
    }
    let odd = values.odd().to_vec();
    Values::new(values.entries().iter().cloned().chain(more).collect(), odd)
}

fn items_values(
    decoding: &Decoding<'_>,
    number: ItemsNumber,
    warnings: &mut Warnings,
) -> Vec<(AttributeId, Value)> {
    let raw = decoding.raw;
    let of_sequence = raw.items.iter().filter(|item| item.items == number);
    let texts: Vec<_> = of_sequence
        .map(|item| (item.item, item.field, text(decoding, item.value, warnings).into_owned()))
        .collect();
    let items = radiopharmaceutical::items(number, texts.into_iter());
    let mut slot_text = |slot: Slot| raw.get(slot).map(|value| text(decoding, value, warnings));
    let ge = slot_text(wanted().ge_creator).zip(slot_text(wanted().ge_tracer));
    let ge = ge.as_ref().map(|(creator, tracer)| (&**creator, &**tracer));
    radiopharmaceutical::values(number, &items, ge, decoding.sop_class_uid)
}

fn collect(
    decoding: &Decoding<'_>,
    ids: impl Iterator<Item = AttributeId>,
    warnings: &mut Warnings,
) -> Values {
    let (mut entries, mut odd) = (Vec::with_capacity(ENTRIES_ABOUT), Vec::new());
    for id in ids {
        let attribute = &ATTRIBUTES[id.index()];
        match attribute_value(decoding, attribute, id, warnings) {
            Normal::Null => {}
            Normal::Value(value) => entries.push((id, value)),
            Normal::Odd(raw) => odd.push((id, raw.into())),
        }
    }
    Values::new(entries, odd)
}

/// The first of an attribute's paths that has a value.
fn attribute_value(
    decoding: &Decoding<'_>,
    attribute: &Attribute,
    id: AttributeId,
    warnings: &mut Warnings,
) -> Normal {
    if !matches!(attribute.source, Source::Paths(_)) {
        return Normal::Null;
    }
    for slot in &wanted().of_attribute[id.index()] {
        let Some(value) = decoding.raw.get(*slot) else { continue };
        if attribute.column == ColumnType::Integer
            && let Some(number) = normalise::whole_number(value, decoding.raw.bytes(value))
        {
            return Normal::Value(Value::Integer(number));
        }
        if attribute.column == ColumnType::Real
            && let Some(number) = normalise::double(value, decoding.raw.bytes(value))
        {
            return Normal::Value(Value::Real(number));
        }
        let text = text(decoding, value, warnings);
        let normal = normalise::value(attribute, &text, warnings);
        if normal != Normal::Null {
            return normal;
        }
    }
    Normal::Null
}

/// The text of a raw value.
pub(crate) fn text<'r>(decoding: &Decoding<'r>, value: RawValue, warnings: &mut Warnings) -> Cow<'r, str> {
    let raw = decoding.raw;
    let bytes = raw.bytes(value);
    if bytes.is_ascii() && !bytes.contains(&0x1B) {
        return normalise::ascii_text(value, bytes);
    }
    let declared = raw.charset(value.charset);
    let (mut charset, is_known) = Charset::of(declared);
    if !is_known {
        warnings.insert(shardex_catalog::WarningClass::Charset);
    }
    if let (Charset::Default, Some(default)) = (&charset, decoding.default_charset) {
        charset = default.0.clone();
    }
    normalise::text(value, bytes, &charset, warnings)
}

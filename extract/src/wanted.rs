//! The elements that are wanted, as a tree made once from the table of attributes.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use shardex_catalog::{ATTRIBUTES, Attribute, AttributeId, Source, Tag, Vr};

/// Sequence items that are kept of one sequence.
pub(crate) const ITEMS_MAX: u32 = 64;

pub(crate) const SPECIFIC_CHARACTER_SET: Tag = 0x0008_0005;
/// GE's tracer name in PET files, and the creator that reserves its block.
const GE_CREATOR: Tag = 0x0009_0010;
const GE_TRACER: Tag = 0x0009_1036;
const DIRECTORY_RECORD_SEQUENCE: Tag = 0x0004_1220;

/// Place of a raw value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Slot(pub(crate) u16);

/// A wanted element.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) tag: Tag,
    /// VR to take where the file does not say one.
    pub(crate) vr: Vr,
    /// Where its value goes; of sequences whose mere presence is wanted too.
    pub(crate) slot: Option<Slot>,
    /// What is wanted inside its items, ascending by tag.
    pub(crate) children: Vec<Node>,
    /// All items are kept, each as a list of values by the field's number.
    pub(crate) items: Option<ItemsNumber>,
    /// The number of the field that its value is inside an item that is kept.
    pub(crate) fields: Vec<(ItemsNumber, u16)>,
}

/// Number of a sequence all items of which are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ItemsNumber(pub(crate) u8);

/// The whole of what is wanted.
#[derive(Debug)]
pub(crate) struct Wanted {
    /// Top-level elements, ascending by tag.
    pub(crate) nodes: Vec<Node>,
    /// Number of slots.
    pub(crate) slots: usize,
    /// Slots of each attribute, in the order in which they are asked.
    pub(crate) of_attribute: Vec<Vec<Slot>>,
    /// Sequences all items of which are kept.
    pub(crate) items: Vec<AttributeId>,
    /// GE's private creator and tracer name.
    pub(crate) ge_creator: Slot,
    pub(crate) ge_tracer: Slot,
    /// A DICOMDIR's records.
    pub(crate) directory_records: Slot,
}

/// The tree.
pub(crate) fn wanted() -> &'static Wanted {
    static WANTED: LazyLock<Wanted> = LazyLock::new(build);
    &WANTED
}

#[derive(Default)]
struct Draft {
    vr: Option<Vr>,
    slot: Option<Slot>,
    children: BTreeMap<Tag, Draft>,
    items: Option<ItemsNumber>,
    fields: Vec<(ItemsNumber, u16)>,
}

#[derive(Default)]
struct Builder {
    root: BTreeMap<Tag, Draft>,
    slots: u16,
}

impl Builder {
    fn draft(&mut self, path: &[Tag], vr: Vr) -> &mut Draft {
        let (last, above) = path.split_last().expect("a path has a tag");
        let mut level = &mut self.root;
        for tag in above {
            let draft = level.entry(*tag).or_default();
            draft.vr = Some(Vr::SQ);
            level = &mut draft.children;
        }
        let draft = level.entry(*last).or_default();
        draft.vr.get_or_insert(vr);
        draft
    }

    fn slot(&mut self, path: &[Tag], vr: Vr) -> Slot {
        let next = Slot(self.slots);
        let slot = *self.draft(path, vr).slot.get_or_insert(next);
        if slot == next {
            self.slots += 1;
        }
        slot
    }
}

fn build() -> Wanted {
    let mut builder = Builder::default();
    let mut items = Vec::new();
    let of_attribute = (0_u16..)
        .zip(ATTRIBUTES)
        .map(|(id, attribute)| slots_of(&mut builder, attribute, AttributeId(id), &mut items))
        .collect();
    let ge_creator = builder.slot(&[GE_CREATOR], Vr::LO);
    let ge_tracer = builder.slot(&[GE_TRACER], Vr::LO);
    let directory_records = builder.slot(&[DIRECTORY_RECORD_SEQUENCE], Vr::SQ);
    let slots = usize::from(builder.slots);
    Wanted {
        nodes: finish(builder.root),
        slots,
        of_attribute,
        items,
        ge_creator,
        ge_tracer,
        directory_records,
    }
}

fn slots_of(
    builder: &mut Builder,
    attribute: &Attribute,
    id: AttributeId,
    items: &mut Vec<AttributeId>,
) -> Vec<Slot> {
    match attribute.source {
        Source::Paths(paths) => paths.iter().map(|path| builder.slot(path, attribute.vr)).collect(),
        Source::Derived(_) => Vec::new(),
        Source::Items(path, fields) => {
            let number = ItemsNumber(u8::try_from(items.len()).expect("a handful of sequences"));
            items.push(id);
            builder.draft(path, Vr::SQ).items = Some(number);
            for (field, (_, vr, relative)) in (0_u16..).zip(fields) {
                let whole = [path, relative].concat();
                builder.draft(&whole, *vr).fields.push((number, field));
            }
            Vec::new()
        }
    }
}

fn finish(drafts: BTreeMap<Tag, Draft>) -> Vec<Node> {
    let node = |(tag, draft): (Tag, Draft)| Node {
        tag,
        vr: draft.vr.unwrap_or(Vr::LO),
        slot: draft.slot,
        children: finish(draft.children),
        items: draft.items,
        fields: draft.fields,
    };
    drafts.into_iter().map(node).collect()
}

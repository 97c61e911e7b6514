//! The data dictionary of the standard (PS3.6), as far as a listing needs it.

use dicom_core::dictionary::{DataDictionary, DataDictionaryEntry, VirtualVr};
use dicom_dictionary_std::StandardDataDictionary;
use shardex_catalog::Tag;

/// What the dictionary says of a tag.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    pub(super) keyword: &'static str,
    /// Two letters.
    pub(super) vr: &'static str,
}

/// Looks up a tag; private elements have their creators only.
pub(super) fn look_up(tag: Tag) -> Option<Known> {
    let (group, number) = (tag >> 16, tag & 0xFFFF);
    if number == 0 {
        return Some(Known { keyword: "GroupLength", vr: "UL" });
    }
    if group % 2 == 1 {
        let is_creator = (0x10..=0xFF).contains(&number);
        return is_creator.then_some(Known { keyword: "PrivateCreator", vr: "LO" });
    }
    let low = |number: u32| u16::try_from(number & 0xFFFF).unwrap_or(0);
    let entry = StandardDataDictionary.by_tag(dicom_core::Tag(low(group), low(number)))?;
    let vr = match entry.vr() {
        VirtualVr::Exact(vr) => vr.to_string(),
        VirtualVr::Xs => "US",
        VirtualVr::Ox | VirtualVr::Px | VirtualVr::Lt => "OW",
        _ => "UN",
    };
    Some(Known { keyword: entry.alias(), vr })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_have_keywords() {
        for (tag, expected) in [
            (0x0054_0016, Some(("RadiopharmaceuticalInformationSequence", "SQ"))),
            (0x0028_0106, Some(("SmallestImagePixelValue", "US"))),
            (0x0009_0010, Some(("PrivateCreator", "LO"))),
            (0x0009_1001, None),
            (0x0010_0000, Some(("GroupLength", "UL"))),
        ] {
            let known = look_up(tag).map(|known| (known.keyword, known.vr));
            assert_eq!(known, expected, "{tag:08X}");
        }
    }
}

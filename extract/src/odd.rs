//! Elements of explicit VR whose VR is none: blanks, NULs, `??`, letters of no standard.

use shardex_catalog::Tag;

use crate::source::{ReadAt, Window};
use crate::walk::{Element, Encoding, ITEM, ITEM_END, SEQUENCE_END, UNDEFINED, is_known_vr, is_vr};

/// Forms that writers gave such elements: where the length stands, its bytes, where the value begins.
const SHORT: Form = Form { length_at: 6, is_short: true, value_at: 8 };
const IMPLICIT: Form = Form { length_at: 4, is_short: false, value_at: 8 };
const LONG: Form = Form { length_at: 8, is_short: false, value_at: 12 };

#[derive(Clone, Copy)]
struct Form {
    length_at: usize,
    is_short: bool,
    value_at: u64,
}

/// The head of the element at `at`: in the first form behind whose value another element begins.
/// `None` where no form leads on; to guess further would give values that are none.
pub(crate) fn head<R: ReadAt + ?Sized>(
    window: &mut Window<'_, R>,
    at: u64,
    encoding: Encoding,
    limit: u64,
) -> Option<Element> {
    let mut head = [0; 12];
    let held = usize::try_from(limit.saturating_sub(at)).unwrap_or(usize::MAX).min(head.len());
    head.get_mut(..held)?.copy_from_slice(window.look(at, held)?);
    let (tag, name) = (encoding.tag(&head), [head[4], head[5]]);
    // Letters may be a VR of tomorrow, which have long lengths (PS3.5 7.1.2); a length is no letters.
    let forms = if is_vr(name) { [SHORT, LONG] } else { [SHORT, IMPLICIT] };
    forms.into_iter().find_map(|form| {
        let bytes = &head[form.length_at..];
        let length = if form.is_short { u32::from(encoding.u16(bytes)) } else { encoding.u32(bytes) };
        let value_at = at + form.value_at;
        let end = value_at + u64::from(length);
        let leads_on = length != UNDEFINED
            && (leads_on(window, end, tag, encoding, limit)
                || is_alike(window, end, tag, name, encoding, limit));
        leads_on.then_some(Element { tag, vr: None, is_un: false, is_sequence: false, length, value_at })
    })
}

/// Whether an element `before` may end at `at`: at the limit, or where another one begins.
pub(crate) fn leads_on<R: ReadAt + ?Sized>(
    window: &mut Window<'_, R>,
    at: u64,
    before: Tag,
    encoding: Encoding,
    limit: u64,
) -> bool {
    if at == limit {
        return true;
    }
    let Some(head) = window.look(at, 8).filter(|_| at + 8 <= limit) else { return false };
    let tag = encoding.tag(head);
    match tag {
        ITEM | ITEM_END | SEQUENCE_END => true,
        _ => tag > before && (!encoding.is_explicit || is_known_vr([head[4], head[5]])),
    }
}

/// Whether another element with the same letters for a VR begins at `at`.
fn is_alike<R: ReadAt + ?Sized>(
    window: &mut Window<'_, R>,
    at: u64,
    before: Tag,
    name: [u8; 2],
    encoding: Encoding,
    limit: u64,
) -> bool {
    let head = window.look(at, 8).filter(|_| at + 8 <= limit);
    head.is_some_and(|head| encoding.tag(head) > before && head[4..6] == name)
}

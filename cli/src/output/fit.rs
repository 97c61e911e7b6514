//! What is shown where there is less room than text.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Narrowest column of text that still says something.
const TEXT_WIDTH_MIN: usize = 12;
/// Blanks between columns.
pub(super) const GAP: usize = 2;

/// Text that takes at most `width` columns, cut with an ellipsis: at the end, or in the middle where it is one
/// word, as paths and UIDs differ in their ends.
pub(crate) fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let room = width.saturating_sub(1);
    let behind = if text.contains(' ') { 0 } else { room / 2 };
    let head = taken(text.chars(), room - behind);
    let tail: String = taken(text.chars().rev(), behind).chars().rev().collect();
    format!("{head}…{tail}")
}

/// Characters as long as they fit.
fn taken(characters: impl Iterator<Item = char>, width: usize) -> String {
    let mut left = width;
    let fits = |c: &char| {
        let needed = c.width().unwrap_or(0);
        let is_fitting = needed <= left;
        left = left.saturating_sub(needed);
        is_fitting
    };
    characters.take_while(fits).collect()
}

/// A column that asks for room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wish {
    pub(super) width: usize,
    /// Text can be cut; a number that is cut is another number.
    pub(super) can_shrink: bool,
}

/// Widths of columns that fit a line of `room`: the widest texts give way first. `None` if there is not
/// enough for all.
pub(super) fn widths(wishes: &[Wish], room: usize) -> Option<Vec<usize>> {
    let of = |most: usize| {
        let width = |wish: &Wish| if wish.can_shrink { wish.width.min(most) } else { wish.width };
        wishes.iter().map(width).collect::<Vec<_>>()
    };
    let fits = |widths: &[usize]| widths.iter().sum::<usize>() + GAP * widths.len().saturating_sub(1) <= room;
    let widest = wishes.iter().map(|wish| wish.width).max().unwrap_or(0);
    if fits(&of(widest)) {
        return Some(of(widest));
    }
    // What shrinks is never wider than the room.
    (TEXT_WIDTH_MIN..=room.min(widest)).rev().map(of).find(|widths| fits(widths))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_where_it_says_least() {
        for (text, width, expected) in [
            ("short", 5, "short"),
            ("a longer sentence", 9, "a longer…"),
            ("/data/2019/study/im0001.dcm", 15, "/data/2…001.dcm"),
            ("山田山田山田", 7, "山…田"),
        ] {
            assert_eq!(cut(text, width), expected);
            assert!(cut(text, width).width() <= width);
        }
    }

    #[test]
    fn the_widest_texts_give_way() {
        let text = |width| Wish { width, can_shrink: true };
        let number = |width| Wish { width, can_shrink: false };
        for (wishes, room, expected) in [
            (vec![text(10), text(50)], 80, Some(vec![10, 50])),
            (vec![text(10), text(50), number(6)], 60, Some(vec![10, 40, 6])),
            (vec![text(100), text(100)], 82, Some(vec![40, 40])),
            (vec![text(100), text(100), number(60)], 80, None),
            (vec![text(30); 10], 80, None),
            (vec![], 80, Some(vec![])),
        ] {
            assert_eq!(widths(&wishes, room), expected);
        }
    }
}

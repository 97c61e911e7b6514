//! What is shown where there is less room than text.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Narrowest column of text that still says something.
const TEXT_WIDTH_MIN: usize = 12;
/// Narrowest header of a column of numbers.
const NUMBER_WIDTH_MIN: usize = 6;
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

/// Talk in lines of at most `width` columns, broken between words. A longer word stays whole.
pub(super) fn wrapped(text: &str, width: usize) -> String {
    let indent = text.len() - text.trim_start().len();
    let mut lines = String::from(&text[..indent]);
    let mut room = width.saturating_sub(indent);
    for (n, word) in text.split_whitespace().enumerate() {
        let needed = word.width() + usize::from(n > 0);
        if n > 0 && needed > room {
            lines.push('\n');
            room = width.saturating_sub(word.width());
        } else {
            lines.push_str(if n > 0 { " " } else { "" });
            room = room.saturating_sub(needed);
        }
        lines.push_str(word);
    }
    lines
}

/// A column that asks for room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wish {
    pub(super) width: usize,
    /// What it must have: a number that is cut is another number.
    pub(super) least: usize,
}

impl Wish {
    /// Of a column whose header and cells are so wide.
    pub(super) fn new(header: usize, cells: usize, is_number: bool) -> Self {
        let width = header.max(cells);
        let least =
            if is_number { cells.max(header.min(NUMBER_WIDTH_MIN)) } else { width.min(TEXT_WIDTH_MIN) };
        Self { width, least }
    }
}

/// Widths of columns that fit a line of `room`: the widest texts give way first. `None` if there is not
/// enough for all.
pub(super) fn widths(wishes: &[Wish], room: usize) -> Option<Vec<usize>> {
    let of = |most: usize| {
        let width = |wish: &Wish| wish.width.min(most).max(wish.least);
        wishes.iter().map(width).collect::<Vec<_>>()
    };
    let fits = |widths: &[usize]| widths.iter().sum::<usize>() + GAP * widths.len().saturating_sub(1) <= room;
    let widest = wishes.iter().map(|wish| wish.width).max().unwrap_or(0);
    if fits(&of(widest)) {
        return Some(of(widest));
    }
    // What shrinks is never wider than the room.
    (NUMBER_WIDTH_MIN..=room.min(widest)).rev().map(of).find(|widths| fits(widths))
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
    fn talk_breaks_between_words() {
        assert_eq!(wrapped("one two three", 7), "one two\nthree");
        assert_eq!(wrapped("  one two", 5), "  one\ntwo");
        assert_eq!(wrapped("/a/long/path/of/one/word x", 10), "/a/long/path/of/one/word\nx");
        assert_eq!(wrapped("", 10), "");
    }

    #[test]
    fn the_widest_texts_give_way() {
        let text = |width| Wish::new(4, width, false);
        let number = |width| Wish::new(4, width, true);
        for (wishes, room, expected) in [
            (vec![text(10), text(50)], 80, Some(vec![10, 50])),
            (vec![text(10), text(50), number(6)], 60, Some(vec![10, 40, 6])),
            (vec![text(100), text(100)], 82, Some(vec![40, 40])),
            (vec![text(100), text(100), number(60)], 80, None),
            (vec![text(30); 10], 80, None),
            (vec![text(60), Wish::new(26, 2, true)], 70, Some(vec![42, 26])),
            (vec![text(60), Wish::new(26, 2, true)], 24, Some(vec![12, 10])),
            (vec![], 80, Some(vec![])),
        ] {
            assert_eq!(widths(&wishes, room), expected);
        }
    }
}

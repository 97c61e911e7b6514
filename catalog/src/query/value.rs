//! What was written for a key, read by the key's value representation.

use super::key::{Alternative, Matching};
use super::{Given, dates};
use crate::Vr;

/// Values of a list ([`Given::List`]) at most.
pub const LIST_VALUES_MAX: usize = 200_000;
/// Bytes of a pattern at most.
const PATTERN_BYTES_MAX: usize = 1_000;
/// Alternatives that a text may name.
const ALTERNATIVES_MAX: usize = 500;

/// What a column holds, as far as matching goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// An attribute of this value representation.
    Attribute(Vr),
    /// Another text: of a path, a state.
    Text,
    /// Another number.
    Number,
    /// A sequence as a whole.
    Items,
}

impl Kind {
    fn has_wildcards(self) -> bool {
        use Vr::{AE, CS, LO, LT, PN, SH, ST, UC, UR, UT};
        match self {
            Self::Attribute(vr) => matches!(vr, AE | CS | LO | LT | PN | SH | ST | UC | UR | UT),
            Self::Text => true,
            Self::Number | Self::Items => false,
        }
    }

    fn is_date(self) -> Option<Vr> {
        match self {
            Self::Attribute(vr @ (Vr::DA | Vr::TM | Vr::DT)) => Some(vr),
            _ => None,
        }
    }

    fn is_number(self) -> bool {
        use Vr::{DS, FD, FL, IS, SL, SS, UL, US};
        match self {
            Self::Attribute(vr) => matches!(vr, DS | FD | FL | IS | SL | SS | UL | US),
            other => other == Self::Number,
        }
    }

    /// Whether a backslash is a character like others (PS3.5 6.2: LT, ST, UT, UR have one value).
    fn keeps_backslash(self) -> bool {
        matches!(self, Self::Attribute(Vr::LT | Vr::ST | Vr::UT | Vr::UR) | Self::Text)
    }
}

/// Reads what was given. `None` is universal matching: no condition at all.
///
/// # Errors
/// What is wrong with it, and what to write.
pub(super) fn read(kind: Kind, given: &Given) -> Result<Option<Matching>, String> {
    let text = match given {
        Given::Text(text) => text,
        Given::List(values) => return list(kind, values).map(Some),
    };
    if text.is_empty() {
        return Ok(Some(Matching::Empty));
    }
    if kind == Kind::Items {
        return Err("it is a sequence: name a key of its items, as in `Sequence.Keyword=VALUE`".into());
    }
    let parts: Vec<&str> = match kind {
        _ if kind.keeps_backslash() => vec![text],
        Kind::Attribute(Vr::UI) => text.split(['\\', ',']).collect(),
        _ => text.split('\\').collect(),
    };
    if parts.len() > ALTERNATIVES_MAX {
        return Err(format!(
            "it has more than {ALTERNATIVES_MAX} values: write them to a file, and KEY=@FILE"
        ));
    }
    if parts.iter().any(|part| part.is_empty()) {
        return Err("it has an empty value among several".into());
    }
    if kind.has_wildcards() && parts.iter().any(|part| part.bytes().all(|byte| byte == b'*')) {
        return Ok(None);
    }
    let alternatives: Result<Vec<_>, String> = parts.into_iter().map(|part| one(kind, part)).collect();
    Ok(Some(Matching::Any(alternatives?)))
}

fn list(kind: Kind, values: &[String]) -> Result<Matching, String> {
    if kind == Kind::Items {
        return Err("it is a sequence: name a key of its items, as in `Sequence.Keyword=@FILE`".into());
    }
    if values.len() > LIST_VALUES_MAX {
        return Err(format!("it has a list of more than {LIST_VALUES_MAX} values: split it"));
    }
    if values.is_empty() {
        return Err("it has an empty list".into());
    }
    let single = |value: &String| match kind {
        Kind::Attribute(Vr::PN) if value.contains(['*', '?']) => {
            Err(format!("it has a list with `{}`, but values of a list are taken literally", shown(value)))
        }
        Kind::Attribute(Vr::PN) => Ok(Alternative::Name(value.clone())),
        _ if kind.is_number() => number(value),
        _ => Ok(Alternative::Text(value.clone())),
    };
    let mut alternatives: Vec<Alternative> = values.iter().map(single).collect::<Result<_, String>>()?;
    alternatives.dedup();
    Ok(Matching::Any(alternatives))
}

fn one(kind: Kind, text: &str) -> Result<Alternative, String> {
    let has_wildcard = text.contains(['*', '?']);
    if has_wildcard && text.len() > PATTERN_BYTES_MAX {
        return Err(format!("`{}` is longer than {PATTERN_BYTES_MAX} bytes", shown(text)));
    }
    if kind == Kind::Attribute(Vr::PN) {
        return Ok(Alternative::Name(text.to_owned()));
    }
    if let Some(vr) = kind.is_date() {
        return date(vr, text);
    }
    if has_wildcard && kind.has_wildcards() {
        return Ok(Alternative::Wildcard(text.to_owned()));
    }
    if has_wildcard {
        return Err(format!("`{}` has a wildcard, which {} takes not", shown(text), name_of(kind)));
    }
    if kind.is_number() { number(text) } else { Ok(Alternative::Text(text.to_owned())) }
}

fn number(text: &str) -> Result<Alternative, String> {
    match text.trim().parse::<f64>() {
        Ok(number) if number.is_finite() => Ok(Alternative::Number(number)),
        _ => Err(format!("`{}` is no number (ranges of numbers: `shardex sql`)", shown(text))),
    }
}

fn date(vr: Vr, text: &str) -> Result<Alternative, String> {
    let example = match vr {
        Vr::DA => "20190131, 201901, 2019, 20190101-20190331, 20190101- or -20190331",
        Vr::TM => "103000, 1030, 10, 0800-1200, 0800- or -1200",
        _ => "20190131103000, 20190131, 2019, 201901-201903, 201901- or -201903, without a time zone",
    };
    let wrong = |part: &str| format!("`{}` is no {}: write {example}", shown(part), name_of_date(vr));
    let bounds = |part: &str| dates::bounds(vr, part).ok_or_else(|| wrong(part));
    let Some((low, high)) = dates::split(text) else {
        let (low, high) = bounds(text)?;
        return Ok(Alternative::Range { low: Some(low), high: Some(high) });
    };
    let low = if low.is_empty() { None } else { Some(bounds(low)?.0) };
    let high = if high.is_empty() { None } else { Some(bounds(high)?.1) };
    if low.as_ref().zip(high.as_ref()).is_some_and(|(low, high)| low > high) {
        return Err(format!("`{}` ends before it begins", shown(text)));
    }
    Ok(Alternative::Range { low, high })
}

fn name_of(kind: Kind) -> String {
    match kind {
        Kind::Attribute(vr) => format!("a key of VR {vr:?}"),
        Kind::Text | Kind::Number | Kind::Items => "this key".to_owned(),
    }
}

fn name_of_date(vr: Vr) -> &'static str {
    match vr {
        Vr::DA => "date",
        Vr::TM => "time",
        _ => "date and time",
    }
}

/// A value in an error: its beginning.
fn shown(text: &str) -> String {
    const SHOWN_MAX: usize = 40;
    if text.chars().count() <= SHOWN_MAX {
        return text.to_owned();
    }
    text.chars().take(SHOWN_MAX).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(kind: Kind, text: &str, expected: &str) {
        let read = read(kind, &Given::Text(text.to_owned()));
        let found = match read {
            Ok(matching) => format!("{matching:?}"),
            Err(reason) => reason,
        };
        assert!(found.contains(expected), "{kind:?} {text}: {found}");
    }

    #[test]
    fn values_are_read_by_vr() {
        use Vr::{CS, DA, DT, IS, LO, PN, TM, UI, UT};
        for (vr, text, expected) in [
            (CS, "CT", "Any([Text(\"CT\")])"),
            (CS, "CT\\M*", "Any([Text(\"CT\"), Wildcard(\"M*\")])"),
            (CS, "", "Some(Empty)"),
            (LO, "*", "None"),
            (LO, "?*", "Wildcard"),
            (LO, "a\\", "empty value among several"),
            (LO, "20190101-20190331", "Text(\"20190101-20190331\")"),
            (UI, "1.2\\1.3,1.4", "Any([Text(\"1.2\"), Text(\"1.3\"), Text(\"1.4\")])"),
            (UI, "1.2*", "has a wildcard, which a key of VR UI takes not"),
            (UT, "a\\b", "Text(\"a\\\\b\")"),
            (PN, "Müller", "Name(\"Müller\")"),
            (DA, "2019", "Range { low: Some(\"2019\"), high: Some(\"2019~\") }"),
            (DA, "2019-", "Range { low: Some(\"2019\"), high: None }"),
            (DA, "-20200101", "Range { low: None, high: Some(\"20200101~\") }"),
            (DA, "2020-2019", "ends before it begins"),
            (DA, "2019*", "`2019*` is no date: write 20190131"),
            (DA, "2019-01-31", "`2019-01-31` is no date"),
            (TM, "08-12", "Range { low: Some(\"08\"), high: Some(\"12~\") }"),
            (TM, "8", "is no time"),
            (DT, "2019-2020", "Range"),
            (IS, "3", "Number(3.0)"),
            (IS, "1-3", "is no number"),
            (IS, "x", "is no number"),
        ] {
            check(Kind::Attribute(vr), text, expected);
        }
        check(Kind::Attribute(LO), &format!("{}*", "x".repeat(1000)), "is longer than 1000 bytes");
        check(Kind::Items, "x", "name a key of its items");
        check(Kind::Items, "", "Some(Empty)");
        check(Kind::Number, "inf", "is no number");
    }

    #[test]
    fn lists_are_taken_literally_and_bounded() {
        let list = |kind, values: &[&str]| {
            read(kind, &Given::List(values.iter().map(|value| (*value).to_owned()).collect()))
        };
        let found = list(Kind::Attribute(Vr::SH), &["A*", "B\\C"]).expect("a list");
        let text = |text: &str| Alternative::Text(text.to_owned());
        assert_eq!(found, Some(Matching::Any(vec![text("A*"), text("B\\C")])));
        assert!(list(Kind::Attribute(Vr::PN), &["A*"]).is_err());
        assert!(list(Kind::Attribute(Vr::IS), &["x"]).is_err());
        assert!(list(Kind::Attribute(Vr::SH), &[]).is_err());
        let many = Given::List(vec!["x".to_owned(); LIST_VALUES_MAX + 1]);
        assert!(read(Kind::Attribute(Vr::SH), &many).is_err());
    }
}

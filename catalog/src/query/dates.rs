//! Dates and times as bounds of texts (PS3.4 C.2.2.2.5; DA, TM and DT of PS3.5 6.2).
//!
//! Shards keep `YYYYMMDD`, `HHMMSS.ffffff` and both joined, cut where the file cut them. Such texts are
//! in order of time, so that a range is one of texts: its lower bound without trailing zeros of time, its
//! upper bound followed by a character above all digits.

use crate::Vr;

/// Above every character of a date or time, so that a bound covers all that begins with it.
const ABOVE: char = '~';

/// The first and last text of the time that a possibly cut date or time names; `None` if it is none.
pub(super) fn bounds(vr: Vr, text: &str) -> Option<(String, String)> {
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = match text.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (text, None),
    };
    if !is_digits(whole) {
        return None;
    }
    let (date, time) = match vr {
        Vr::DA => (whole, ""),
        Vr::TM => ("", whole),
        _ => whole.split_at(whole.len().min(8)),
    };
    let is_date = vr == Vr::TM || is_date(date);
    let is_time = (vr == Vr::TM || !time.is_empty()) && is_time(time);
    if !is_date || !(is_time || (time.is_empty() && vr != Vr::TM)) || (!time.is_empty() && date.len() == 6) {
        return None;
    }
    let fraction_fits = |fraction: &str| time.len() == 6 && is_digits(fraction) && fraction.len() <= 6;
    if fraction.is_some_and(|fraction| !fraction_fits(fraction)) {
        return None;
    }
    Some((first(text, vr, time, fraction), format!("{text}{ABOVE}")))
}

fn is_date(date: &str) -> bool {
    let part = |range: std::ops::Range<usize>| date.get(range).and_then(|digits| digits.parse::<u32>().ok());
    let month = part(4..6).is_none_or(|month| (1..=12).contains(&month));
    let day = part(6..8).is_none_or(|day| (1..=31).contains(&day));
    matches!(date.len(), 4 | 6 | 8) && month && day
}

fn is_time(time: &str) -> bool {
    let part = |at: usize| time.get(at..at + 2).and_then(|digits| digits.parse::<u32>().ok());
    let fits = part(0).is_none_or(|hour| hour < 24)
        && part(2).is_none_or(|minute| minute < 60)
        // 60 for leap seconds (PS3.5 6.2).
        && part(4).is_none_or(|second| second <= 60);
    matches!(time.len(), 2 | 4 | 6) && fits
}

/// The least text of the time: a file may have cut what is zero, so `10` is not before `1000`.
fn first(text: &str, vr: Vr, time: &str, fraction: Option<&str>) -> String {
    let mut first = text;
    if let Some(fraction) = fraction {
        first = first.trim_end_matches('0').trim_end_matches('.');
        if !fraction.bytes().all(|byte| byte == b'0') {
            return first.to_owned();
        }
        first = &text[..text.len() - fraction.len() - 1];
    }
    // An hour stays; a date of DT may stand without any time.
    let keeps = if vr == Vr::TM { 2 } else { first.len() - time.len() };
    while first.len() > keeps && first.ends_with("00") {
        first = &first[..first.len() - 2];
    }
    first.to_owned()
}

/// Splits `low-high`, `low-` and `-high`; `None` for what is no range.
pub(super) fn split(text: &str) -> Option<(&str, &str)> {
    let (low, high) = text.split_once('-')?;
    let is_open = low.is_empty() && high.is_empty();
    (!is_open && !high.contains('-')).then_some((low, high))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partial_dates_and_times_cover_all_they_begin() {
        for (vr, text, expected) in [
            (Vr::DA, "2019", Some(("2019", "2019~"))),
            (Vr::DA, "201902", Some(("201902", "201902~"))),
            (Vr::DA, "20190228", Some(("20190228", "20190228~"))),
            (Vr::DA, "20191301", None),
            (Vr::DA, "20190100", None),
            (Vr::DA, "201", None),
            (Vr::DA, "2019-02", None),
            (Vr::DA, "20190228.5", None),
            (Vr::DA, "", None),
            (Vr::TM, "10", Some(("10", "10~"))),
            (Vr::TM, "1000", Some(("10", "1000~"))),
            (Vr::TM, "000000", Some(("00", "000000~"))),
            (Vr::TM, "103000", Some(("1030", "103000~"))),
            (Vr::TM, "103000.000", Some(("1030", "103000.000~"))),
            (Vr::TM, "103000.500", Some(("103000.5", "103000.500~"))),
            (Vr::TM, "1030.5", None),
            (Vr::TM, "2460", None),
            (Vr::TM, "103", None),
            (Vr::TM, "103000.", None),
            (Vr::DT, "2019", Some(("2019", "2019~"))),
            (Vr::DT, "20190228100000", Some(("2019022810", "20190228100000~"))),
            (Vr::DT, "20190228000000", Some(("20190228", "20190228000000~"))),
            (Vr::DT, "2019022810", Some(("2019022810", "2019022810~"))),
            (Vr::DT, "201902281030.5", None),
            (Vr::DT, "20190228+0100", None),
        ] {
            let expected = expected.map(|(low, high)| (low.to_owned(), high.to_owned()));
            assert_eq!(bounds(vr, text), expected, "{vr:?} {text}");
        }
    }

    #[test]
    fn ranges_are_split() {
        for (text, expected) in [
            ("2019-2020", Some(("2019", "2020"))),
            ("-2020", Some(("", "2020"))),
            ("2019-", Some(("2019", ""))),
            ("-", None),
            ("2019", None),
            ("2019-01-31", None),
        ] {
            assert_eq!(split(text), expected, "{text}");
        }
    }
}

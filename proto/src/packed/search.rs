//! A search as a router asks it of a shard.

use shardex_catalog::query::{Alternative, Matching, Order, SearchKey, SearchLevel, Target};
use shardex_catalog::{LeafSearch, View};

use super::codec::{Malformed, Reader, Writer};

const INSTANCE: u8 = 0;
const ITEM: u8 = 1;
const ENTITY: u8 = 2;

const TEXT: u8 = 0;
const NUMBER: u8 = 1;
const WILDCARD: u8 = 2;
const RANGE: u8 = 3;
const NAME: u8 = 4;

/// Packs a search.
#[must_use]
pub fn search_out(search: &LeafSearch) -> Vec<u8> {
    let mut out = Writer::default();
    out.0.push(level_number(search.level));
    out.text(search.view.as_str());
    out.0.push(u8::from(search.is_count));
    out.number(search.rows_max.map_or(0, |most| most.saturating_add(1)));
    out.number(search.columns.len() as u64);
    search.columns.iter().for_each(|column| out.text(column));
    out.number(search.order.len() as u64);
    for order in &search.order {
        out.text(&order.column);
        out.0.push(u8::from(order.descending));
    }
    out.number(search.keys.len() as u64);
    search.keys.iter().for_each(|key| key_to(&mut out, key));
    out.0
}

/// Reads a search.
///
/// # Errors
/// [`Malformed`] for anything that [`search_out`] does not make.
pub fn search_in(bytes: &[u8]) -> Result<LeafSearch, Malformed> {
    let mut input = Reader(bytes);
    let level = *SearchLevel::ALL.get(usize::from(input.byte()?)).ok_or(Malformed)?;
    let view: View = input.text()?.parse().map_err(|()| Malformed)?;
    let is_count = flag(&mut input)?;
    let rows_max = input.number()?.checked_sub(1);
    let columns =
        (0..input.count()?).map(|_| Ok(input.text()?.to_owned())).collect::<Result<_, Malformed>>()?;
    let mut order = Vec::new();
    for _ in 0..input.count()? {
        order.push(Order { column: input.text()?.to_owned(), descending: flag(&mut input)? });
    }
    let keys = (0..input.count()?).map(|_| key_from(&mut input)).collect::<Result<_, _>>()?;
    input.end()?;
    Ok(LeafSearch { level, keys, view, columns, order, rows_max, is_count })
}

fn level_number(level: SearchLevel) -> u8 {
    match level {
        SearchLevel::Patients => 0,
        SearchLevel::Studies => 1,
        SearchLevel::Series => 2,
        SearchLevel::Instances => 3,
    }
}

fn flag(input: &mut Reader<'_>) -> Result<bool, Malformed> {
    match input.byte()? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(Malformed),
    }
}

fn key_to(out: &mut Writer, key: &SearchKey) {
    match &key.target {
        Target::Instance { column, multiple } => {
            out.0.push(INSTANCE);
            out.text(column);
            out.0.push(u8::from(*multiple));
        }
        Target::Entity { column, multiple } => {
            out.0.push(ENTITY);
            out.text(column);
            out.0.push(u8::from(*multiple));
        }
        Target::Item { sequence, keyword } => {
            out.0.push(ITEM);
            out.text(sequence);
            out.text(keyword);
        }
    }
    let alternatives: &[Alternative] = match &key.matching {
        Matching::Empty => &[],
        Matching::Any(alternatives) => alternatives,
    };
    out.number(alternatives.len() as u64);
    alternatives.iter().for_each(|alternative| alternative_to(out, alternative));
}

fn key_from(input: &mut Reader<'_>) -> Result<SearchKey, Malformed> {
    let target = match input.byte()? {
        INSTANCE => Target::Instance { column: input.text()?.to_owned(), multiple: flag(input)? },
        ENTITY => Target::Entity { column: input.text()?.to_owned(), multiple: flag(input)? },
        ITEM => Target::Item { sequence: input.text()?.to_owned(), keyword: input.text()?.to_owned() },
        _ => return Err(Malformed),
    };
    let alternatives: Vec<_> =
        (0..input.count()?).map(|_| alternative_from(input)).collect::<Result<_, _>>()?;
    let matching = if alternatives.is_empty() { Matching::Empty } else { Matching::Any(alternatives) };
    Ok(SearchKey { target, matching })
}

fn alternative_to(out: &mut Writer, alternative: &Alternative) {
    let mut text = |kind, text: &str| {
        out.0.push(kind);
        out.text(text);
    };
    match alternative {
        Alternative::Text(of) => text(TEXT, of),
        Alternative::Wildcard(of) => text(WILDCARD, of),
        Alternative::Name(of) => text(NAME, of),
        Alternative::Number(number) => {
            out.0.push(NUMBER);
            out.0.extend_from_slice(&number.to_bits().to_le_bytes());
        }
        Alternative::Range { low, high } => {
            out.0.push(RANGE);
            for bound in [low, high] {
                out.0.push(u8::from(bound.is_some()));
                out.text(bound.as_deref().unwrap_or_default());
            }
        }
    }
}

fn alternative_from(input: &mut Reader<'_>) -> Result<Alternative, Malformed> {
    Ok(match input.byte()? {
        TEXT => Alternative::Text(input.text()?.to_owned()),
        WILDCARD => Alternative::Wildcard(input.text()?.to_owned()),
        NAME => Alternative::Name(input.text()?.to_owned()),
        NUMBER => Alternative::Number(f64::from_bits(u64::from_le_bytes(input.array()?))),
        RANGE => {
            let mut bound = || {
                let is_there = flag(input)?;
                let text = input.text()?;
                Ok::<_, Malformed>(is_there.then(|| text.to_owned()))
            };
            Alternative::Range { low: bound()?, high: bound()? }
        }
        _ => return Err(Malformed),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn search() -> LeafSearch {
        let target = Target::Instance { column: "StudyDate".into(), multiple: true };
        let item = Target::Item { sequence: "S".into(), keyword: "K".into() };
        let any = vec![
            Alternative::Text("a".into()),
            Alternative::Number(-0.5),
            Alternative::Wildcard("b*".into()),
            Alternative::Range { low: None, high: Some("2020".into()) },
            Alternative::Name("x^y".into()),
        ];
        LeafSearch {
            level: SearchLevel::Series,
            keys: vec![
                SearchKey { target, matching: Matching::Any(any) },
                SearchKey { target: item, matching: Matching::Empty },
            ],
            view: View::Instances,
            columns: vec!["PatientID".into()],
            order: vec![Order { column: "PatientID".into(), descending: true }],
            rows_max: Some(0),
            is_count: false,
        }
    }

    #[test]
    fn a_search_survives() {
        let read = search_in(&search_out(&search())).expect("what was written");
        assert_eq!(format!("{read:?}"), format!("{:?}", search()));
    }

    proptest! {
        #[test]
        fn damaged_bytes_never_panic(at in 0_usize..200, to in any::<u8>(), cut in 0_usize..200) {
            let mut bytes = search_out(&search());
            let at = at % bytes.len();
            bytes[at] = to;
            let _ = search_in(&bytes);
            bytes.truncate(cut);
            let _ = search_in(&bytes);
        }
    }
}

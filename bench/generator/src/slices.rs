//! What differs from slice to slice, as it does in real series.

use crate::encode::Elements;
use crate::headers::Context;
use crate::plan::Kind;
use crate::random::Random;
use crate::{enhanced, siemens};

/// The elements of slice `number`, from 1, that its series does not share.
pub(crate) fn slice(context: &Context, number: u64, instance: &str, shared: &Elements) -> Elements {
    let mut to = Elements::new(shared.syntax());
    let kind = context.series.kind;
    let mut random =
        Random::of(&[context.series.seed, 12, context.series.study, context.series.number, number]);
    let began = context.series.number * 240_000 + number * 137;
    to.text(0x0008_0013, b"TM", &context.time(context.series.number * 240_000 + 90_000 + number / 8 * 1000));
    to.text(0x0008_0018, b"UI", instance);
    to.text(0x0008_0032, b"TM", &context.time(began));
    to.text(0x0008_0033, b"TM", &context.time(began + 61_000));
    to.text(0x0020_0013, b"IS", &number.to_string());
    if !matches!(kind, Kind::Us | Kind::Cr | Kind::EnhancedMr) {
        let z = 312.5 - 1.25 * as_f64(number);
        to.text(
            0x0020_0032,
            b"DS",
            &format!("-189.{0}\\-189.{0}\\{z:.3}", 600_000 + context.series.study % 300_000),
        );
        to.text(0x0020_1041, b"DS", &format!("{z:.3}"));
        to.us(0x0028_0106, u16::try_from(random.range(0, 30)).unwrap_or(0));
        to.us(0x0028_0107, u16::try_from(random.range(900, 3000)).unwrap_or(0));
    }
    match kind {
        Kind::Ct => {
            let current = 180 + random.range(0, 220);
            to.text(0x0018_1151, b"IS", &current.to_string());
            to.text(0x0018_1152, b"IS", &(current / 2).to_string());
            to.fd(0x0018_9345, as_f64(current) / 27.0);
        }
        Kind::Mr | Kind::MrCsa => {
            let window = random.range(300, 900);
            to.text(0x0028_1050, b"DS", &(window / 2).to_string());
            to.text(0x0028_1051, b"DS", &window.to_string());
        }
        Kind::Pt => {
            to.text(0x0018_1242, b"IS", "180000");
            to.text(0x0028_1052, b"DS", "0");
            to.text(0x0028_1053, b"DS", &format!("0.{}", random.range(100_000, 990_000)));
            to.text(0x0054_1300, b"DS", &format!("{}", number * 1500));
            to.text(0x0054_1321, b"DS", &format!("1.0{}", random.range(1000, 9999)));
            to.put(0x0054_1330, b"US", &u16::try_from(number).unwrap_or(0).to_le_bytes());
        }
        Kind::Us | Kind::Cr => {
            to.text(0x0008_002A, b"DT", &format!("{}{}", context.date, context.time(began)))
        }
        Kind::EnhancedMr => enhanced::frames(context, &mut random, number, &mut to),
    }
    if kind == Kind::MrCsa {
        siemens::headers(&mut random, &mut to);
    }
    to
}

pub(crate) fn as_f64(number: u64) -> f64 {
    f64::from(u32::try_from(number).unwrap_or(u32::MAX))
}

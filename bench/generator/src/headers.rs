//! What the files of a series share, and what differs from slice to slice.

use crate::encode::{Elements, Syntax};
use crate::modality;
use crate::names::{self, MAKERS};
use crate::plan::{Kind, Series, date};
use crate::random::Random;

/// What all of a series' slices need to know.
pub(crate) struct Context<'a> {
    pub(crate) series: &'a Series,
    pub(crate) random: Random,
    pub(crate) date: String,
    /// Seconds of the day at which the study began.
    pub(crate) begin: u64,
    pub(crate) machine: u64,
    pub(crate) maker: usize,
}

/// A series, ready to be written file by file.
pub(crate) struct Template {
    pub(crate) class: &'static str,
    pub(crate) transfer_syntax: &'static str,
    pub(crate) shared: Elements,
}

const EXPLICIT: &str = "1.2.840.10008.1.2.1";
const IMPLICIT: &str = "1.2.840.10008.1.2";
/// JPEG-LS: pixel data of undefined length (PS3.5 A.4).
pub(crate) const ENCAPSULATED: &str = "1.2.840.10008.1.2.4.80";

impl<'a> Context<'a> {
    pub(crate) fn new(series: &'a Series) -> Self {
        let machine = series.institution * 10 + kind_number(series.kind);
        Self {
            series,
            random: Random::of(&[series.seed, 4, series.study, series.number]),
            date: date(series.day),
            begin: Random::of(&[series.seed, 5, series.study]).range(7 * 3600, 18 * 3600),
            machine,
            maker: usize::try_from(machine % 3).unwrap_or(0),
        }
    }

    /// `HHMMSS.FFFFFF`, some milliseconds after the study began.
    pub(crate) fn time(&self, milliseconds: u64) -> String {
        let all = self.begin * 1000 + milliseconds;
        let (seconds, micro) = (all / 1000, all % 1000 * 1000 + all * 7 % 1000);
        format!("{:02}{:02}{:02}.{micro:06}", seconds / 3600 % 24, seconds / 60 % 60, seconds % 60)
    }

    /// The SOPInstanceUID of a slice, from 1.
    pub(crate) fn instance(&self, number: u64) -> String {
        names::uid(3, self.series.day, self.machine, self.series.study * 100 + self.series.number, number)
    }

    fn uid(&self, kind: u64, number: u64) -> String {
        names::uid(kind, self.series.day, self.machine, number, 0)
    }
}

fn kind_number(kind: Kind) -> u64 {
    match kind {
        Kind::Ct => 0,
        Kind::Mr => 1,
        Kind::Pt => 2,
        Kind::Us => 3,
        Kind::Cr => 4,
        Kind::MrCsa => 5,
        Kind::EnhancedMr => 6,
    }
}

/// All elements that the files of a series share.
pub(crate) fn template(context: &mut Context) -> Template {
    let transfer_syntax = match context.random.range(0, 10) {
        0 => IMPLICIT,
        1 => ENCAPSULATED,
        _ => EXPLICIT,
    };
    let syntax =
        if transfer_syntax == IMPLICIT { Syntax::ImplicitLittleEndian } else { Syntax::ExplicitLittleEndian };
    let mut shared = Elements::new(syntax);
    let class = modality::class(context.series.kind);
    patient(context, &mut shared);
    study(context, &mut shared);
    series(context, &mut shared);
    modality::shared(context, &mut shared);
    shared.text(0x0008_0016, b"UI", class);
    private(context, &mut shared);
    Template { class, transfer_syntax, shared }
}

fn patient(context: &Context, to: &mut Elements) {
    let number = context.series.patient;
    let mut random = Random::of(&[context.series.seed, 6, number]);
    let birth = random.range(0, 70);
    to.put(0x0010_0010, b"PN", &names::person(context.series.seed, 7, number));
    to.text(0x0010_0020, b"LO", &format!("P{number:07}"));
    to.text(
        0x0010_0030,
        b"DA",
        &format!("19{:02}{:02}{:02}", 30 + birth, random.range(1, 13), random.range(1, 29)),
    );
    to.text(0x0010_0040, b"CS", random.pick(&["F", "M", "M", "F", "O"]));
    let year = 2014 + context.series.day / 365;
    to.text(0x0010_1010, b"AS", &format!("{:03}Y", year - 1930 - birth));
    to.text(0x0010_1020, b"DS", &format!("1.{}", random.range(50, 99)));
    to.text(0x0010_1030, b"DS", &format!("{}", random.range(45, 120)));
    to.text(0x0010_2160, b"SH", "");
    to.text(0x0010_21B0, b"LT", "");
    to.us(0x0010_21C0, 4);
}

fn study(context: &Context, to: &mut Elements) {
    let (number, seed) = (context.series.study, context.series.seed);
    let mut random = Random::of(&[seed, 8, number]);
    let region = random.pick(&[
        "Thorax and abdomen",
        "Neurocranium",
        "Upper abdomen with contrast",
        "Knee left",
        "Whole body",
    ]);
    to.text(0x0008_0005, b"CS", "ISO_IR 100");
    to.text(0x0008_0020, b"DA", &context.date);
    to.text(0x0008_0030, b"TM", &context.time(0));
    to.text(0x0008_0050, b"SH", &format!("A{:09}", 100_000 + number));
    to.put(0x0008_0090, b"PN", &names::person(seed, 9, number % 400));
    to.text(0x0008_1030, b"LO", region);
    to.code(0x0008_1032, &format!("RP{}", random.range(100, 180)), "99BENCH", region);
    to.put(0x0008_1060, b"PN", &names::person(seed, 10, number % 60));
    to.text(0x0008_1080, b"LO", "Follow-up");
    to.text(0x0020_000D, b"UI", &names::uid(1, context.series.day, context.series.institution, number, 0));
    to.text(0x0020_0010, b"SH", &format!("{}", 100_000 + number));
    to.put(0x0032_1032, b"PN", &names::person(seed, 9, number % 400));
    to.text(0x0032_1033, b"LO", random.pick(&["Internal medicine", "Surgery", "Oncology", "Emergency"]));
    to.text(0x0032_1060, b"LO", region);
    to.code(0x0032_1064, &format!("RP{}", random.range(100, 180)), "99BENCH", region);
    to.text(0x0038_0010, b"LO", &format!("V{}", 5_000_000 + number * 7));
}

fn series(context: &mut Context, to: &mut Elements) {
    let series = context.series;
    let step = series.number * 240_000;
    let description = context.random.pick(&[
        "axial 1.25 mm",
        "coronal reformation",
        "t1 tra fs",
        "t2 sag",
        "dynamic",
        "topogram",
        "soft tissue B30f",
    ]);
    let region = context.random.pick(&["CHEST", "HEAD", "ABDOMEN", "KNEE", "WHOLEBODY"]);
    let seed = series.seed;
    for tag in [0x0008_0012, 0x0008_0021, 0x0008_0022, 0x0008_0023, 0x0040_0244, 0x0040_0250] {
        to.text(tag, b"DA", &context.date);
    }
    for (tag, after) in [(0x0008_0031, 0), (0x0040_0245, 0), (0x0040_0251, 200_000)] {
        to.text(tag, b"TM", &context.time(step + after));
    }
    to.text(0x0008_0060, b"CS", modality::name(series.kind));
    to.text(0x0008_0070, b"LO", MAKERS[context.maker]);
    to.text(0x0008_0080, b"LO", &names::institution(series.institution));
    to.text(0x0008_0081, b"ST", &format!("{} Example Road, Sampletown", 10 + series.institution));
    to.text(0x0008_1010, b"SH", &format!("STATION{:03}", context.machine));
    to.text(0x0008_103E, b"LO", description);
    to.text(0x0008_1040, b"LO", "Radiology");
    to.put(0x0008_1050, b"PN", &names::person(seed, 10, series.study % 60));
    to.put(0x0008_1070, b"PN", &names::person(seed, 11, series.study % 30));
    to.text(0x0008_1090, b"LO", &format!("Model {}", context.machine % 7));
    let mut reference = Elements::new(to.syntax());
    reference.text(0x0008_1150, b"UI", "1.2.840.10008.3.1.2.3.3");
    reference.text(0x0008_1155, b"UI", &context.uid(5, series.study));
    to.sequence(0x0008_1111, &[reference.clone()]);
    to.sequence(0x0008_1140, &[reference]);
    to.text(0x0018_0015, b"CS", region);
    to.text(0x0018_1000, b"LO", &format!("{}", 40_000 + context.machine * 37));
    to.text(0x0018_1020, b"LO", "syn_2.1\\bench 7");
    to.text(0x0018_1030, b"LO", &format!("{region} routine"));
    to.text(0x0018_1200, b"DA", "20131105");
    to.text(0x0018_1201, b"TM", "080000");
    to.text(0x0018_5100, b"CS", "HFS");
    to.text(0x0020_000E, b"UI", &context.uid(2, series.study * 100 + series.number));
    to.text(0x0020_0011, b"IS", &format!("{}", series.number));
    to.text(0x0020_0052, b"UI", &context.uid(4, series.study));
    to.text(0x0020_1040, b"LO", "");
    to.text(0x0040_0253, b"SH", &format!("PPS{}", 200_000 + series.study));
    to.text(0x0040_0254, b"LO", description);
    let mut request = Elements::new(to.syntax());
    request.text(0x0040_0007, b"LO", description);
    request.text(0x0040_0009, b"SH", &format!("SPS{}", 300_000 + series.study));
    request.text(0x0040_1001, b"SH", &format!("RP{}", 400_000 + series.study));
    to.sequence(0x0040_0275, &[request]);
    to.text(0x0040_0280, b"ST", "");
}

/// Private elements as the maker has them, until the file has about 148 elements.
fn private(context: &mut Context, to: &mut Elements) {
    const GROUPS: [&[u32]; 3] =
        [&[0x0009, 0x0019, 0x0021, 0x0043], &[0x0019, 0x0029, 0x0051], &[0x2001, 0x2005]];
    const ELEMENTS: usize = 148;
    const OF_META_AND_SLICE: usize = 18;
    let groups = GROUPS[context.maker];
    for group in groups {
        to.text((group << 16) | 0x10, b"LO", &format!("SYNTHETIC {group:04X} HEADER 01"));
    }
    let wanted =
        ELEMENTS + usize::try_from(context.random.range(0, 30)).unwrap_or(0) - 15 - OF_META_AND_SLICE;
    let scale = context.random.range(3, 27);
    for n in 0.. {
        if to.len() >= wanted {
            break;
        }
        let group = groups[n % groups.len()];
        let tag = ((group << 16) | 0x1001) + u32::try_from(n).unwrap_or(0);
        match n % 5 {
            0 => to.text(tag, b"SH", &format!("PV{:06}", context.random.range(0, 1_000_000))),
            1 => to.text(
                tag,
                b"DS",
                &format!("{}.{:04}", context.random.range(0, 400), context.random.range(0, 10_000)),
            ),
            2 => to.text(tag, b"IS", &format!("{}", context.random.range(0, 100_000))),
            3 => {
                let length = context.random.range(4, 4 + scale * 19);
                to.put(tag, b"UN", &context.random.bytes(usize::try_from(length).unwrap_or(8)));
            }
            _ => {
                let word = "private value of a synthetic machine, as long as they come";
                let length = context.random.range(5, 5 + scale * 2);
                to.text(tag, b"LO", &word[..usize::try_from(length).unwrap_or(5)]);
            }
        }
    }
}

//! Which patients, studies and series there are: pure, from the seed and the number of files.

use crate::random::Random;

/// What a series is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Ct,
    Mr,
    Pt,
    Us,
    Cr,
    /// An MR series with CSA headers of 80 to 200 KB a file.
    MrCsa,
    /// Enhanced MR objects: many frames, each with its functional groups.
    EnhancedMr,
}

/// Which headers a tree holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Set {
    /// Headers of 2 to 6 KB.
    Small,
    /// The same, and 20 % of the files with headers of 80 to 200 KB.
    Mixed,
}

/// One series, and the study and patient that it belongs to.
#[derive(Clone, Debug)]
pub(crate) struct Series {
    pub(crate) seed: u64,
    pub(crate) patient: u64,
    /// Over all patients, from 0.
    pub(crate) study: u64,
    /// Within the study, from 1.
    pub(crate) number: u64,
    pub(crate) kind: Kind,
    pub(crate) files: u64,
    /// Days since 2014-01-01.
    pub(crate) day: u64,
    pub(crate) institution: u64,
}

/// Institutions that patients go to.
pub(crate) const INSTITUTIONS: u64 = 12;
const DAYS: u64 = 10 * 365;

/// All series of a tree of `files` files.
pub(crate) fn series(seed: u64, set: Set, files: u64) -> Vec<Series> {
    let mut plan = Planner { seed, set, left: files, planned: 0, large: 0, study: 0, series: Vec::new() };
    for patient in 1.. {
        if plan.left == 0 {
            break;
        }
        plan.patient(patient);
    }
    plan.series
}

struct Planner {
    seed: u64,
    set: Set,
    left: u64,
    planned: u64,
    large: u64,
    study: u64,
    series: Vec<Series>,
}

impl Planner {
    fn patient(&mut self, patient: u64) {
        let mut random = Random::of(&[self.seed, 1, patient]);
        let home = random.range(0, INSTITUTIONS);
        let mut day = random.range(0, DAYS);
        for _ in 0..random.range(1, 6) {
            let institution = if random.chance(70) { home } else { random.range(0, INSTITUTIONS) };
            self.study(&mut random, patient, day, institution);
            self.study += 1;
            day = (day + random.range(20, 900)) % DAYS;
        }
    }

    fn study(&mut self, random: &mut Random, patient: u64, day: u64, institution: u64) {
        // Series and, of each, the least and one more than the most files.
        let (kinds, files) = match random.range(0, 100) {
            0..40 => (vec![Kind::Ct; index(random.range(2, 5))], (40, 360)),
            40..68 => (vec![Kind::Mr; index(random.range(4, 10))], (20, 180)),
            68..80 => (vec![Kind::Ct, Kind::Pt, Kind::Pt], (150, 330)),
            80..90 => (vec![Kind::Us], (4, 40)),
            _ => (vec![Kind::Cr], (1, 4)),
        };
        for (number, kind) in (1..).zip(kinds) {
            let count = random.range(files.0, files.1);
            self.series(Series {
                seed: self.seed,
                patient,
                study: self.study,
                number,
                kind,
                files: count,
                day,
                institution,
            });
        }
    }

    fn series(&mut self, mut series: Series) {
        // Large headers by quota, so that every tree has its 20 %: a tenth of them enhanced.
        if self.set == Set::Mixed && self.large * 5 < self.planned {
            let enhanced = self.series.len().is_multiple_of(4);
            series.kind = if enhanced { Kind::EnhancedMr } else { Kind::MrCsa };
            series.files = series.files.min(if enhanced { 12 } else { 100 });
            self.large += series.files;
        }
        series.files = series.files.min(self.left);
        self.left -= series.files;
        self.planned += series.files;
        if series.files > 0 {
            self.series.push(series);
        }
    }
}

fn index(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// `YYYYMMDD` of a day since 2014-01-01 (civil-from-days, Hinnant 2014).
pub(crate) fn date(day: u64) -> String {
    let z = day + 735_598 - 1;
    let z = z + 60;
    let era = z / 146_097;
    let of_era = z - era * 146_097;
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year:04}{month:02}{day:02}")
}

/// Seconds since 1970 at noon of a day since 2014-01-01.
pub(crate) fn seconds(day: u64) -> u64 {
    1_388_534_400 + day * 86_400 + 43_200
}

//! Calendar days, in the proleptic Gregorian calendar and UTC.

/// Days since the Unix epoch at a time in nanoseconds since it.
pub(crate) fn day_of(wall_ns: i64) -> i64 {
    wall_ns.div_euclid(86_400_000_000_000)
}

/// A day as `YYYYMMDD`.
pub(crate) fn compact(day: i64) -> String {
    let (year, month, day) = civil(day);
    format!("{year:04}{month:02}{day:02}")
}

/// A moment as `YYYY-MM-DD HH:MM:SSZ`.
pub(crate) fn moment(wall_ns: i64) -> String {
    let (year, month, day) = civil(day_of(wall_ns));
    let second = wall_ns.rem_euclid(86_400_000_000_000) / 1_000_000_000;
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02}Z", second / 3600, second / 60 % 60, second % 60)
}

/// Year, month and day, by Howard Hinnant's `civil_from_days`.
fn civil(day: i64) -> (i64, i64, i64) {
    let shifted = day + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_have_dates() {
        for (day, date) in [
            (0, "19700101"),
            (-1, "19691231"),
            (11_016, "20000229"),
            (11_017, "20000301"),
            (20_780, "20261123"),
        ] {
            assert_eq!(compact(day), date);
        }
        assert_eq!(day_of(86_400_000_000_000 - 1), 0);
        assert_eq!(day_of(-1), -1);
        assert_eq!(moment(1_795_433_647_000_000_000), "2026-11-23 11:34:07Z");
    }
}

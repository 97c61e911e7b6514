//! Hours of the day in which something may run.
//!
//! A window is a part of a day at a fixed distance from UTC, never of "local time": those who read it may stand in
//! different zones, and no table of zones is needed to know when it opens.

use std::fmt;
use std::str::FromStr;

const DAY_MINUTES: u16 = 24 * 60;
const MINUTE_NS: i64 = 60_000_000_000;
/// The zones of this world lie between UTC-12:00 and UTC+14:00.
const OFFSET_MINUTES_MAX: u16 = 14 * 60;

/// A part of every day, from one minute until before another, over midnight if the second is earlier.
///
/// As text: `20:00-06:00` in UTC, `20:00-06:00+02:00` where the clocks show two hours more. Ordered as by its parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimeWindow {
    from_minute: u16,
    to_minute: u16,
    utc_offset_minutes: i16,
}

/// A text or numbers that are no window.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no part of a day: write HH:MM-HH:MM, as 20:00-06:00, in UTC, or with what local clocks are ahead of it, as \
     20:00-06:00+02:00"
)]
pub struct InvalidTimeWindow(String);

impl TimeWindow {
    /// From a minute of the day (0 to 1439) until before another (0 to 1440), as clocks show them that are
    /// `utc_offset_minutes` ahead of UTC.
    ///
    /// # Errors
    /// [`InvalidTimeWindow`] if a number is out of its bounds, or both minutes are one.
    pub fn new(from_minute: u16, to_minute: u16, utc_offset_minutes: i16) -> Result<Self, InvalidTimeWindow> {
        let window = Self { from_minute, to_minute, utc_offset_minutes };
        let is_sound = from_minute < DAY_MINUTES
            && to_minute <= DAY_MINUTES
            && from_minute != to_minute
            && utc_offset_minutes.unsigned_abs() <= OFFSET_MINUTES_MAX;
        if is_sound { Ok(window) } else { Err(InvalidTimeWindow(window.to_string())) }
    }

    /// The minute of the day at which it opens.
    #[must_use]
    pub fn from_minute(self) -> u16 {
        self.from_minute
    }

    /// The minute of the day at which it closes.
    #[must_use]
    pub fn to_minute(self) -> u16 {
        self.to_minute
    }

    /// Minutes that its clock is ahead of UTC.
    #[must_use]
    pub fn utc_offset_minutes(self) -> i16 {
        self.utc_offset_minutes
    }

    /// Whether a moment, in nanoseconds since the Unix epoch, lies in it.
    #[must_use]
    pub fn contains(self, wall_ns: i64) -> bool {
        let minute = self.minute_of(wall_ns);
        if self.from_minute < self.to_minute {
            (self.from_minute..self.to_minute).contains(&minute)
        } else {
            minute >= self.from_minute || minute < self.to_minute
        }
    }

    /// Minutes from a moment until it opens next, the begun one included; 1 to 1,440.
    #[must_use]
    pub fn opens_in_minutes(self, wall_ns: i64) -> u16 {
        match (self.from_minute + DAY_MINUTES - self.minute_of(wall_ns)) % DAY_MINUTES {
            0 => DAY_MINUTES,
            minutes => minutes,
        }
    }

    /// When it opens, as `20:00 UTC` or `20:00+02:00`.
    #[must_use]
    pub fn opens_at(self) -> String {
        let minute = Minute(self.from_minute);
        match self.utc_offset_minutes {
            0 => format!("{minute} UTC"),
            offset => format!("{minute}{}", Offset(offset)),
        }
    }

    /// The minute of its day, 0 to 1439.
    fn minute_of(self, wall_ns: i64) -> u16 {
        let minute = wall_ns.div_euclid(MINUTE_NS) + i64::from(self.utc_offset_minutes);
        u16::try_from(minute.rem_euclid(DAY_MINUTES.into())).expect("a remainder is below its divisor")
    }
}

impl fmt::Display for TimeWindow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", Minute(self.from_minute), Minute(self.to_minute))?;
        match self.utc_offset_minutes {
            0 => Ok(()),
            offset => write!(f, "{}", Offset(offset)),
        }
    }
}

impl FromStr for TimeWindow {
    type Err = InvalidTimeWindow;

    fn from_str(text: &str) -> Result<Self, InvalidTimeWindow> {
        parse(text).ok_or_else(|| InvalidTimeWindow(text.to_owned()))
    }
}

fn parse(text: &str) -> Option<TimeWindow> {
    let (from, rest) = (text.get(..5)?, text.get(5..)?);
    let rest = rest.strip_prefix('-')?;
    let (to, offset) = (rest.get(..5)?, rest.get(5..)?);
    let offset = match offset {
        "" | "Z" => 0,
        _ => {
            let minutes = i16::try_from(minutes(offset.get(1..)?)?).ok()?;
            match offset.as_bytes().first()? {
                b'+' => minutes,
                b'-' => -minutes,
                _ => return None,
            }
        }
    };
    TimeWindow::new(minutes(from)?, minutes(to)?, offset).ok()
}

/// `HH:MM` in minutes, up to 24:00.
fn minutes(text: &str) -> Option<u16> {
    let number = |digits: &str| {
        let is_number = digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| digits.parse::<u16>().ok()).flatten()
    };
    let (hours, minutes) = text.split_once(':')?;
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    let sum = hours * 60 + minutes;
    (minutes < 60 && sum <= DAY_MINUTES).then_some(sum)
}

struct Minute(u16);

impl fmt::Display for Minute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.0 / 60, self.0 % 60)
    }
}

struct Offset(i16);

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { '-' } else { '+' };
        write!(f, "{sign}{}", Minute(self.0.unsigned_abs()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(text: &str) -> TimeWindow {
        text.parse().expect("a window")
    }

    /// Nanoseconds of a time on some day of 2026.
    fn at(hour: i64, minute: i64) -> i64 {
        (20_600 * 1440 + hour * 60 + minute) * MINUTE_NS + 59_999_999_999
    }

    #[test]
    fn texts_are_read_and_written_again() {
        for text in ["20:00-06:00", "00:00-24:00", "09:30-09:31", "20:00-06:00+02:00", "20:00-06:00-09:30"] {
            assert_eq!(window(text).to_string(), text);
        }
        assert_eq!(window("20:00-06:00Z"), window("20:00-06:00"));
        for text in [
            "",
            "20:00",
            "20-06",
            "20:00-20:00",
            "24:00-06:00",
            "20:00-24:01",
            "20:60-21:00",
            "2:00-06:00",
            "20:00-06:00+15:00",
            "20:00-06:00+02",
            "20:00-06:00 +02:00",
            "+1:00-06:00",
            "20:00–06:00",
            "20:00-06:00x02:00",
        ] {
            let error = text.parse::<TimeWindow>().expect_err(text).to_string();
            assert!(error.contains(&format!("`{text}`")) && error.contains("HH:MM-HH:MM"), "{error}");
        }
    }

    #[test]
    fn it_is_open_from_its_first_minute_until_before_its_last() {
        let open = |text: &str, hour, minute| window(text).contains(at(hour, minute));
        for (text, hour, minute, is_open) in [
            ("20:00-06:00", 19, 59, false),
            ("20:00-06:00", 20, 0, true),
            ("20:00-06:00", 23, 59, true),
            ("20:00-06:00", 0, 0, true),
            ("20:00-06:00", 5, 59, true),
            ("20:00-06:00", 6, 0, false),
            ("09:00-17:00", 8, 59, false),
            ("09:00-17:00", 9, 0, true),
            ("09:00-17:00", 16, 59, true),
            ("09:00-17:00", 17, 0, false),
            ("00:00-24:00", 0, 0, true),
            ("00:00-24:00", 23, 59, true),
            // 20:00 in a zone two hours ahead is 18:00 UTC.
            ("20:00-06:00+02:00", 17, 59, false),
            ("20:00-06:00+02:00", 18, 0, true),
            ("20:00-06:00+02:00", 3, 59, true),
            ("20:00-06:00+02:00", 4, 0, false),
            ("20:00-06:00-05:00", 0, 59, false),
            ("20:00-06:00-05:00", 1, 0, true),
        ] {
            assert_eq!(open(text, hour, minute), is_open, "{text} at {hour:02}:{minute:02}");
        }
        assert!(window("23:00-01:00").contains(-1), "a minute before 1970");
    }

    #[test]
    fn it_opens_within_a_day() {
        for text in ["20:00-06:00", "09:00-17:00+05:30", "00:00-24:00"] {
            for minute in 0..1440 {
                let (now, opens) = (at(0, minute), window(text).opens_in_minutes(at(0, minute)));
                assert!((1..=1440).contains(&opens));
                assert_eq!(
                    window(text).minute_of(now + i64::from(opens) * MINUTE_NS),
                    window(text).from_minute
                );
            }
        }
        assert_eq!(window("20:00-06:00").opens_in_minutes(at(19, 58)), 2);
        assert_eq!(window("20:00-06:00").opens_at(), "20:00 UTC");
        assert_eq!(window("20:00-06:00+02:00").opens_at(), "20:00+02:00");
    }
}

//! The moment a bundle's content was made: `YYYY-MM-DD HH:MM:SS`, UTC, the form HiTMicTools writes.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;

/// A creation date, UTC, to the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Created(DateTime);

/// The text was no creation date.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a date of the form `YYYY-MM-DD HH:MM:SS`, found `{found}`")]
pub struct ParseCreatedError {
    pub found: String,
}

impl Created {
    /// The current time.
    pub fn now() -> Self {
        Self::of(Timestamp::now())
    }

    /// The time that a number of seconds since 1970 names, as `SOURCE_DATE_EPOCH` gives it; `None` outside the years 0 to 9999.
    pub fn from_unix_seconds(seconds: i64) -> Option<Self> {
        let created = Self::of(Timestamp::from_second(seconds).ok()?);
        (created.0.year() >= 0).then_some(created)
    }

    fn of(timestamp: Timestamp) -> Self {
        let civil = Offset::UTC.to_datetime(timestamp);
        Self(civil.with().subsec_nanosecond(0).build().unwrap_or(civil))
    }

    /// The date alone, `YYYYMMDD`, as file names carry it.
    pub fn compact_date(self) -> String {
        self.0.strftime("%Y%m%d").to_string()
    }
}

impl fmt::Display for Created {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.strftime("%Y-%m-%d %H:%M:%S").fmt(f)
    }
}

impl FromStr for Created {
    type Err = ParseCreatedError;

    fn from_str(text: &str) -> Result<Self, ParseCreatedError> {
        let error = || ParseCreatedError {
            found: text.to_owned(),
        };
        let created = DateTime::strptime("%Y-%m-%d %H:%M:%S", text).map_err(|_| error())?;
        // Only the canonical spelling: padded, without space around it.
        let created = Self(created);
        (created.to_string() == text)
            .then_some(created)
            .ok_or_else(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_canonical_spelling_is_a_date() {
        let text = "2025-12-18 15:30:42";
        assert_eq!(text.parse::<Created>().unwrap().to_string(), text);
        assert_eq!(text.parse::<Created>().unwrap().compact_date(), "20251218");
        for bad in [
            "",
            "2025-12-18",
            "2025-12-18T15:30:42",
            "2025-12-18 15:30",
            "2025-13-18 15:30:42",
            "2025-02-29 15:30:42",
            "2025-12-18 25:30:42",
            " 2025-12-18 15:30:42",
            "2025-1-8 15:30:42",
        ] {
            assert!(bad.parse::<Created>().is_err(), "{bad}");
        }
    }

    #[test]
    fn seconds_since_1970_are_utc() {
        let created = Created::from_unix_seconds(1_766_071_842).unwrap();
        assert_eq!(created.to_string(), "2025-12-18 15:30:42");
        assert_eq!(Created::from_unix_seconds(i64::MAX), None);
        assert_eq!(Created::from_unix_seconds(-100_000_000_000), None);
    }
}

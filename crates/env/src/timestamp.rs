//! A moment, to the millisecond, written as RFC 3339 in UTC.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A moment: milliseconds since 1970-01-01T00:00:00Z. Serialises as RFC 3339 text with milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// The text is not an RFC 3339 date-time.
#[derive(Debug, thiserror::Error)]
#[error("not an RFC 3339 date-time such as 2026-01-31T12:00:00Z")]
pub struct ParseTimestampError;

const MILLIS_PER_HOUR: i64 = 3_600_000;
const MILLIS_PER_DAY: i64 = 24 * MILLIS_PER_HOUR;

impl Timestamp {
    /// From milliseconds since the Unix epoch.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the Unix epoch.
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// Whole seconds since the Unix epoch.
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// This moment and `span` later, at most the last representable one.
    pub fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)))
    }

    /// This moment less `span`, at least the first representable one.
    pub fn minus(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)))
    }

    /// How long since `earlier`; zero where the clock stepped back.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// The start of this moment's hour (UTC).
    pub const fn hour(self) -> Self {
        Self(self.0 - self.0.rem_euclid(MILLIS_PER_HOUR))
    }

    /// The start of this moment's day (UTC).
    pub const fn day(self) -> Self {
        Self(self.0 - self.0.rem_euclid(MILLIS_PER_DAY))
    }

    /// The start of this moment's month (UTC).
    pub fn month(self) -> Self {
        let Ok(date) = OffsetDateTime::from_unix_timestamp(self.seconds()) else { return self.day() };
        let days = i64::from(date.day()) - 1;
        Self(self.day().0 - days * MILLIS_PER_DAY)
    }

    /// The start of the month (UTC) after this moment's.
    pub fn next_month(self) -> Self {
        Self(self.month().0 + 32 * MILLIS_PER_DAY).month()
    }

    /// The start of the day (UTC) after this moment's.
    pub const fn next_day(self) -> Self {
        Self(self.day().0 + MILLIS_PER_DAY)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = i128::from(self.0) * 1_000_000;
        let moment = OffsetDateTime::from_unix_timestamp_nanos(nanos).map_err(|_| fmt::Error)?;
        write!(
            out,
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
            moment.year(),
            u8::from(moment.month()),
            moment.day(),
            moment.hour(),
            moment.minute(),
            moment.second(),
            moment.millisecond()
        )
    }
}

impl FromStr for Timestamp {
    type Err = ParseTimestampError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let moment = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| ParseTimestampError)?;
        let millis = moment.unix_timestamp_nanos().div_euclid(1_000_000);
        i64::try_from(millis).map(Self).map_err(|_| ParseTimestampError)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for Timestamp {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Timestamp".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "format": "date-time"})
    }
}

#[cfg(test)]
mod tests {
    use super::Timestamp;

    #[test]
    fn text_form_round_trips() {
        for text in ["2026-11-23T11:53:00.007Z", "1999-12-31T23:59:59.999Z", "1970-01-01T00:00:00.000Z"] {
            assert_eq!(text.parse::<Timestamp>().unwrap().to_string(), text);
        }
        assert_eq!(
            "2026-11-23T12:53:00+01:00".parse::<Timestamp>().unwrap().to_string(),
            "2026-11-23T11:53:00.000Z"
        );
        assert!("yesterday".parse::<Timestamp>().is_err());
    }

    #[test]
    fn months_begin_where_the_calendar_says() {
        let check = |at: &str, month: &str, next: &str| {
            let at: Timestamp = at.parse().unwrap();
            assert_eq!(at.month().to_string(), month);
            assert_eq!(at.next_month().to_string(), next);
        };
        check("2026-02-28T23:59:59Z", "2026-02-01T00:00:00.000Z", "2026-03-01T00:00:00.000Z");
        check("2026-12-31T00:00:00Z", "2026-12-01T00:00:00.000Z", "2027-01-01T00:00:00.000Z");
        check("2024-02-29T12:00:00Z", "2024-02-01T00:00:00.000Z", "2024-03-01T00:00:00.000Z");
    }
}

//! Time ranges in queries: instants, or whole days in a time zone.

use std::str::FromStr;

use chrono::{DateTime, Datelike, Days, NaiveDate, Utc};
use chrono_tz::Tz;
use hoplog_projections::click_statistics::midnight;

use super::fields::Parameters;
use super::links::request::Rfc3339;

/// `from`, `to` and `tz` of a query.
#[derive(Debug, Clone, Copy)]
pub struct TimeRange {
    /// From this instant on.
    pub from: Option<DateTime<Utc>>,
    /// Before this instant.
    pub to: Option<DateTime<Utc>>,
    /// Where days begin.
    pub tz: Tz,
}

impl TimeRange {
    /// Takes the range from a query. A day stands for its beginning in `from` and for its end in
    /// `to`, so that `from=2030-01-01&to=2030-01-31` is the whole of January.
    pub fn take(query: &mut Parameters) -> Self {
        let tz = match query.raw("tz").map(|name| name.parse::<Tz>()) {
            None => Tz::UTC,
            Some(Ok(tz)) => tz,
            Some(Err(_)) => {
                query.wrong("tz", "invalid", "must be an IANA time zone such as Asia/Kolkata");
                Tz::UTC
            }
        };
        let from = query.optional::<Moment>("from").map(|moment| moment.start(tz));
        let to = query.optional::<Moment>("to").map(|moment| moment.end(tz));
        Self { from, to, tz }
    }
}

/// An instant or a day.
enum Moment {
    Instant(DateTime<Utc>),
    Day(NaiveDate),
}

impl FromStr for Moment {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let instant = text.parse::<Rfc3339>().map(|Rfc3339(instant)| Moment::Instant(instant));
        let moment =
            instant.or_else(|_| NaiveDate::parse_from_str(text, "%Y-%m-%d").map(Moment::Day));
        moment.ok().filter(Moment::is_of_these_times).ok_or(
            "must be a time such as 2030-01-31T00:00:00Z or a day such as 2030-01-31, \
             of the years 1970 to 9999",
        )
    }
}

impl Moment {
    /// Far enough from the ends of the calendar for every sum below.
    fn is_of_these_times(&self) -> bool {
        let year = match self {
            Moment::Instant(instant) => instant.year(),
            Moment::Day(day) => day.year(),
        };
        (1970..=9_999).contains(&year)
    }

    fn start(self, tz: Tz) -> DateTime<Utc> {
        match self {
            Moment::Instant(instant) => instant,
            Moment::Day(day) => midnight(day, tz),
        }
    }

    fn end(self, tz: Tz) -> DateTime<Utc> {
        match self {
            Moment::Instant(instant) => instant,
            Moment::Day(day) => midnight(day + Days::new(1), tz),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(query: &str) -> (Option<String>, Option<String>) {
        let mut parameters = Parameters::new(Some(query));
        let range = TimeRange::take(&mut parameters);
        parameters.finish().unwrap();
        (range.from.map(|t| t.to_rfc3339()), range.to.map(|t| t.to_rfc3339()))
    }

    #[test]
    fn a_day_is_whole_in_its_time_zone() {
        let (from, to) = range("from=2026-01-01&to=2026-01-01&tz=Asia/Kathmandu");
        assert_eq!(from.as_deref(), Some("2025-12-31T18:15:00+00:00"));
        assert_eq!(to.as_deref(), Some("2026-01-01T18:15:00+00:00"));
        let (from, _) = range("from=2026-01-01T01:00:00%2B01:00");
        assert_eq!(from.as_deref(), Some("2026-01-01T00:00:00+00:00"));
    }

    #[test]
    fn a_day_without_midnight_begins_when_clocks_have_gone_forward() {
        // In Beirut clocks go from 00:00 to 01:00 on the last Sunday of March.
        let (from, _) = range("from=2026-03-29&tz=Asia/Beirut");
        assert_eq!(from.as_deref(), Some("2026-03-28T22:00:00+00:00"));
        // In Kathmandu they once went forward by a quarter of an hour.
        let (from, _) = range("from=1986-01-01&tz=Asia/Kathmandu");
        assert_eq!(from.as_deref(), Some("1985-12-31T18:30:00+00:00"));
    }

    #[test]
    fn a_day_that_a_zone_left_out_is_empty() {
        let day = range("from=2011-12-30&to=2011-12-30&tz=Pacific/Apia");
        let instant = Some("2011-12-30T10:00:00+00:00".to_owned());
        assert_eq!(day, (instant.clone(), instant));
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for query in [
            "from=yesterday",
            "to=2026-02-30",
            "tz=Mars/Base",
            "from=1",
            "from=2026-01-01T00:00:00",
            "from=",
            "from=-262143-01-01",
            "to=%2B262142-12-31",
            "to=1969-12-31",
            "to=10000-01-01",
        ] {
            let mut parameters = Parameters::new(Some(query));
            TimeRange::take(&mut parameters);
            assert_eq!(parameters.finish().unwrap_err().code(), "invalid_parameter", "{query}");
        }
    }
}

//! Hours, days, weeks and months as people in a time zone live them: a day has 23 hours when
//! clocks go forward, and midnight may not exist.

use chrono::{
    DateTime, Datelike, Days, Months, NaiveDate, NaiveTime, TimeDelta, TimeZone, Timelike, Utc,
};
use chrono_tz::Tz;

use crate::cursor::QueryError;

/// The most points a series has.
pub const POINTS_MAX: usize = 10_000;

/// The length of a point of a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum Interval {
    /// From one full local hour to the next.
    Hour,
    /// From local midnight to the next.
    #[default]
    Day,
    /// From Monday to Monday (ISO 8601).
    Week,
    /// From the first of a month to the next.
    Month,
}

/// The same for the given length, or for the shortest from a day on that gives few enough.
pub(super) fn starts_of_any(
    from: DateTime<Utc>,
    to: DateTime<Utc>,
    tz: Tz,
    interval: Option<Interval>,
) -> Result<(Interval, Vec<DateTime<Utc>>), QueryError> {
    let lengths = match &interval {
        Some(interval) => std::slice::from_ref(interval),
        None => &[Interval::Day, Interval::Week, Interval::Month],
    };
    let mut last = Err(QueryError::TooManyPoints { max: POINTS_MAX });
    for length in lengths {
        last = starts(from, to, tz, *length).map(|starts| (*length, starts));
        if !matches!(last, Err(QueryError::TooManyPoints { .. })) {
            break;
        }
    }
    last
}

/// Where the intervals begin that touch a range, the first one at or before `from`.
pub(super) fn starts(
    from: DateTime<Utc>,
    to: DateTime<Utc>,
    tz: Tz,
    interval: Interval,
) -> Result<Vec<DateTime<Utc>>, QueryError> {
    let mut starts = Vec::new();
    let mut start = interval.start_of(from, tz);
    while start < to {
        if starts.len() == POINTS_MAX {
            return Err(QueryError::TooManyPoints { max: POINTS_MAX });
        }
        starts.push(start);
        start = interval.next(start, tz);
    }
    Ok(starts)
}

impl Interval {
    /// The beginning of the interval that holds an instant.
    fn start_of(self, at: DateTime<Utc>, tz: Tz) -> DateTime<Utc> {
        let local = at.with_timezone(&tz);
        let date = local.date_naive();
        match self {
            Self::Hour => {
                let into = TimeDelta::seconds((local.minute() * 60 + local.second()).into())
                    + TimeDelta::nanoseconds(local.nanosecond().into());
                at - into
            }
            Self::Day => midnight(date, tz),
            Self::Week => {
                midnight(date - Days::new(date.weekday().num_days_from_monday().into()), tz)
            }
            Self::Month => midnight(date.with_day(1).unwrap_or(date), tz),
        }
    }

    /// The beginning of the interval after the one that begins at `start`.
    fn next(self, start: DateTime<Utc>, tz: Tz) -> DateTime<Utc> {
        let date = start.with_timezone(&tz).date_naive();
        let next = match self {
            Self::Hour => self.start_of(start + TimeDelta::hours(1), tz),
            Self::Day => midnight(date + Days::new(1), tz),
            Self::Week => {
                let days = 7 - date.weekday().num_days_from_monday();
                midnight(date + Days::new(days.into()), tz)
            }
            Self::Month => midnight(date.with_day(1).unwrap_or(date) + Months::new(1), tz),
        };
        // Where the clock steps by half an hour, an hour may be cut short; it never stands still.
        if next > start { next } else { start + TimeDelta::hours(1) }
    }
}

/// The first instant of a local date of the years that the calendar here knows. Where midnight is skipped, that is the end of the gap;
/// where it comes twice, the first.
#[must_use]
pub fn midnight(date: NaiveDate, tz: Tz) -> DateTime<Utc> {
    let midnight = date.and_time(NaiveTime::MIN);
    let mut quarters = (0..=96).map(|quarter| midnight + TimeDelta::minutes(15 * quarter));
    let first = quarters.find_map(|local| tz.from_local_datetime(&local).earliest());
    first.map_or_else(|| midnight.and_utc(), |instant| instant.to_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn texts(from: &str, to: &str, tz: Tz, interval: Interval) -> Vec<String> {
        let starts = starts(at(from), at(to), tz, interval).unwrap();
        starts.iter().map(|start| start.format("%m-%dT%H:%M").to_string()).collect()
    }

    #[test]
    fn days_begin_at_local_midnight() {
        let kolkata =
            texts("2026-03-01T00:00:00Z", "2026-03-02T00:00:00Z", Tz::Asia__Kolkata, Interval::Day);
        assert_eq!(kolkata, ["02-28T18:30", "03-01T18:30"]);
        let kathmandu = texts(
            "2026-03-01T00:00:00Z",
            "2026-03-02T00:00:00Z",
            Tz::Asia__Kathmandu,
            Interval::Day,
        );
        assert_eq!(kathmandu, ["02-28T18:15", "03-01T18:15"]);
    }

    #[test]
    fn a_day_is_23_or_25_hours_long_when_clocks_change() {
        let berlin = texts(
            "2026-03-28T23:00:00Z",
            "2026-03-30T21:00:00Z",
            Tz::Europe__Berlin,
            Interval::Day,
        );
        assert_eq!(berlin, ["03-28T23:00", "03-29T22:00"]);
        let hours = |from, to| texts(from, to, Tz::Europe__Berlin, Interval::Hour).len();
        assert_eq!(hours("2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"), 23);
        assert_eq!(hours("2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"), 25);
    }

    #[test]
    fn a_midnight_that_is_skipped_begins_at_the_end_of_the_gap() {
        let beirut =
            texts("2026-03-28T12:00:00Z", "2026-03-30T00:00:00Z", Tz::Asia__Beirut, Interval::Day);
        assert_eq!(beirut, ["03-27T22:00", "03-28T22:00", "03-29T21:00"]);
        // Samoa had no 30 December 2011.
        let apia =
            texts("2011-12-29T12:00:00Z", "2011-12-31T12:00:00Z", Tz::Pacific__Apia, Interval::Day);
        assert_eq!(apia, ["12-29T10:00", "12-30T10:00", "12-31T10:00"]);
    }

    #[test]
    fn weeks_begin_on_monday_and_months_on_the_first() {
        let weeks = texts("2026-11-22T00:00:00Z", "2026-11-24T00:00:00Z", Tz::UTC, Interval::Week);
        assert_eq!(weeks, ["11-16T00:00", "11-23T00:00"]);
        let months =
            texts("2026-01-31T00:00:00Z", "2026-03-02T00:00:00Z", Tz::UTC, Interval::Month);
        assert_eq!(months, ["01-01T00:00", "02-01T00:00", "03-01T00:00"]);
    }

    #[test]
    fn every_zone_moves_on_through_a_century_of_clock_changes() {
        for tz in chrono_tz::TZ_VARIANTS {
            for year in [1985, 2011, 2026] {
                let from = at(&format!("{year}-01-01T00:00:00Z"));
                let to = at(&format!("{}-01-01T00:00:00Z", year + 1));
                for interval in [Interval::Hour, Interval::Day, Interval::Week, Interval::Month] {
                    let starts = starts(from, to, tz, interval).unwrap();
                    assert!(starts.is_sorted_by(|a, b| a < b), "{tz} {interval:?}");
                    assert!(starts[0] <= from, "{tz} {interval:?}");
                }
            }
        }
    }

    #[test]
    fn without_a_length_a_long_range_has_longer_intervals() {
        let length = |to: &str| {
            let any = starts_of_any(at("1990-01-01T00:00:00Z"), at(to), Tz::UTC, None);
            any.map(|(interval, _)| interval).ok()
        };
        assert_eq!(length("2010-01-01T00:00:00Z"), Some(Interval::Day));
        assert_eq!(length("2026-01-01T00:00:00Z"), Some(Interval::Week));
        assert_eq!(length("2300-01-01T00:00:00Z"), Some(Interval::Month));
        assert_eq!(length("9000-01-01T00:00:00Z"), None);
    }

    #[test]
    fn a_series_is_bounded() {
        let series =
            starts(at("1970-01-01T00:00:00Z"), at("2026-01-01T00:00:00Z"), Tz::UTC, Interval::Hour);
        assert!(matches!(series, Err(QueryError::TooManyPoints { max: POINTS_MAX })));
    }
}

//! The lengths of time that many clicks are summed up for. A question takes the longest ones that lie in what
//! it asks for, and shorter ones at the edges.
//!
//! ```text
//! number in the table   0         1          2    3      4      5    6      7
//! what is summed up     values of each dimension but     all clicks together
//!                       the total
//! of a                  quarter   six hours  day  month  month  day  hour   quarter
//! ```
//!
//! Days and months are those of UTC. All clicks together stand apart, so that a series reads nothing else.
//!
//! A span is summed up once, when it is over: see [`STEPS`].

use std::ops::Range;

use chrono::{DateTime, Datelike, NaiveDate};

use crate::database::{DatabaseError, bad_row};
use crate::dimension::Dimension;
use crate::partition::turn_of;

/// A length of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Span {
    /// A quarter of an hour: what the others are sums of.
    Quarter,
    /// Of all clicks together only.
    Hour,
    /// Of values only.
    SixHours,
    Day,
    Month,
}

/// Far more quarters of an hour than there are between the first and the last instant of the calendar.
const KIND: i64 = 1 << 40;

const KINDS: [(Span, bool); 8] = [
    (Span::Quarter, false),
    (Span::SixHours, false),
    (Span::Day, false),
    (Span::Month, false),
    (Span::Month, true),
    (Span::Day, true),
    (Span::Hour, true),
    (Span::Quarter, true),
];

/// What a series is made of, the longest first.
pub(super) const OF_TOTALS: &[Span] = &[Span::Month, Span::Day, Span::Hour, Span::Quarter];

/// What breakdowns are made of, the longest first.
pub(super) const OF_VALUES: &[Span] = &[Span::Month, Span::Day, Span::SixHours, Span::Quarter];

/// What is summed up when a span is over: from which rows to which.
pub(super) struct Step {
    /// The span that is over, and what its rows of values are of.
    pub(super) span: Span,
    /// What those are made of.
    pub(super) values_of: Span,
    /// What the rows of totals are of.
    pub(super) totals: Span,
    /// What those are made of.
    pub(super) totals_of: Span,
}

impl Step {
    /// What its rows of a dimension are of.
    pub(super) fn of(&self, dimension: Dimension) -> Span {
        if dimension == Dimension::Total { self.totals } else { self.span }
    }
}

/// One after the other: each is made of the one before.
pub(super) const STEPS: [Step; 3] = [
    Step {
        span: Span::SixHours,
        values_of: Span::Quarter,
        totals: Span::Hour,
        totals_of: Span::Quarter,
    },
    Step { span: Span::Day, values_of: Span::SixHours, totals: Span::Day, totals_of: Span::Hour },
    Step { span: Span::Month, values_of: Span::Day, totals: Span::Month, totals_of: Span::Day },
];

/// Not all links' spans are over at once, or a transaction would read all of six hours, of a day or of a month: each
/// link has a quarter of the next six hours.
const TURNS: u32 = 24;

/// Which quarters of a link are over when there are clicks of one.
pub(super) fn over_at(newest: i64, link: &str) -> i64 {
    newest - i64::from(turn_of(link, TURNS))
}

/// Of which quarter there are clicks when those before this one are over.
pub(super) fn due_at(over: i64, link: &str) -> i64 {
    over + i64::from(turn_of(link, TURNS))
}

/// The same of any link.
pub(super) fn over_for_all_at(newest: i64) -> i64 {
    newest + 1 - i64::from(TURNS)
}

/// Quarters of an hour of a day.
const DAY: i64 = 96;

impl Span {
    /// The span's number that a quarter is in. Those of one length follow each other without a gap.
    pub(super) fn number_of(self, quarter: i64) -> i64 {
        match self {
            Self::Quarter => quarter,
            Self::Hour => quarter.div_euclid(4),
            Self::SixHours => quarter.div_euclid(24),
            Self::Day => quarter.div_euclid(DAY),
            Self::Month => month_of(quarter),
        }
    }

    /// The first quarter of a span.
    pub(super) fn first_quarter(self, number: i64) -> i64 {
        match self {
            Self::Quarter => number,
            Self::Hour => number * 4,
            Self::SixHours => number * 24,
            Self::Day => number * DAY,
            Self::Month => first_of_month(number),
        }
    }

    /// What stands for the span in the table, in the rows of a dimension.
    pub(super) fn bucket(self, dimension: Dimension, number: i64) -> i64 {
        let is_total = dimension == Dimension::Total;
        let kind = KINDS.iter().position(|kind| *kind == (self, is_total));
        debug_assert!(kind.is_some(), "{self:?} of {dimension:?}");
        kind.map_or(0, |kind| kind.cast_signed() as i64) * KIND + number
    }

    /// Whether the span that a quarter is in is over, when the quarters before `over` are.
    pub(super) fn is_over(self, quarter: i64, over: Option<i64>) -> bool {
        over.is_some_and(|over| self.number_of(quarter) < self.number_of(over))
    }

    /// The first quarter behind the span that a quarter is in.
    pub(super) fn end_of(self, quarter: i64) -> i64 {
        self.first_quarter(self.number_of(quarter) + 1)
    }

    /// Where all spans of the length stand in the table, in the rows of a dimension: from, and before.
    pub(super) fn all(self, dimension: Dimension) -> [i64; 2] {
        [self.bucket(dimension, -KIND / 2), self.bucket(dimension, KIND / 2)]
    }

    /// The first quarter of the span that stands in the table so.
    pub(super) fn quarter_of(bucket: i64) -> Result<i64, DatabaseError> {
        let kind = (bucket + KIND / 2).div_euclid(KIND);
        let known = usize::try_from(kind).ok().and_then(|kind| KINDS.get(kind));
        let (span, _) = known.ok_or_else(|| bad_row("not a span"))?;
        Ok(span.first_quarter(bucket - kind * KIND))
    }
}

/// Months since the year 0.
fn month_of(quarter: i64) -> i64 {
    let at = DateTime::from_timestamp(quarter.saturating_mul(900), 0);
    at.map_or(0, |at| i64::from(at.year()) * 12 + i64::from(at.month0()))
}

fn first_of_month(number: i64) -> i64 {
    let month = u32::try_from(number.rem_euclid(12)).unwrap_or_default() + 1;
    let year = i32::try_from(number.div_euclid(12)).unwrap_or(i32::MAX);
    let first = NaiveDate::from_ymd_opt(year, month, 1);
    // Behind the end of the calendar there are no clicks.
    first.map_or(KIND / 4 * number.signum(), |first| {
        first.signed_duration_since(NaiveDate::default()).num_days() * DAY
    })
}

/// Spans of one length that follow each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Run {
    span: Span,
    numbers: Range<i64>,
}

impl Run {
    /// Where they stand in the table: from, and before.
    pub(super) fn buckets(&self, dimension: Dimension) -> Range<i64> {
        let Range { start, end } = self.numbers;
        self.span.bucket(dimension, start)..self.span.bucket(dimension, end)
    }
}

/// Adds runs that are together the quarters of a range: of the longest spans, which come first, and of the others at
/// the edges.
pub(super) fn cover(quarters: Range<i64>, spans: &[Span], runs: &mut Vec<Run>) {
    let Some((span, shorter)) = spans.split_first() else { return };
    if quarters.is_empty() {
        return;
    }
    let (first, past) = (span.number_of(quarters.start - 1) + 1, span.number_of(quarters.end));
    if first >= past {
        return cover(quarters, shorter, runs);
    }
    cover(quarters.start..span.first_quarter(first), shorter, runs);
    match runs.last_mut() {
        Some(last) if last.span == *span && last.numbers.end == first => last.numbers.end = past,
        _ => runs.push(Run { span: *span, numbers: first..past }),
    }
    cover(span.first_quarter(past)..quarters.end, shorter, runs);
}

/// The same where the quarters before `over` are summed up, and those from it on are not.
pub(super) fn cover_until(over: i64, quarters: &Range<i64>, spans: &[Span], runs: &mut Vec<Run>) {
    let middle = over.clamp(quarters.start, quarters.end);
    cover(quarters.start..middle, spans, runs);
    cover(middle..quarters.end, &[Span::Quarter], runs);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn covered(quarters: Range<i64>, spans: &[Span]) -> Vec<Run> {
        let mut runs = Vec::new();
        cover(quarters, spans, &mut runs);
        runs
    }

    fn quarter(text: &str) -> i64 {
        text.parse::<DateTime<chrono::Utc>>().unwrap().timestamp() / 900
    }

    #[test]
    fn a_year_is_twelve_months_and_a_leap_day_is_in_its_own() {
        let year = quarter("2024-01-01T00:00:00Z")..quarter("2025-01-01T00:00:00Z");
        let runs = covered(year, OF_VALUES);
        assert_eq!(runs, [Run { span: Span::Month, numbers: 2024 * 12..2025 * 12 }]);
        let february = quarter("2024-02-29T00:00:00Z")..quarter("2024-03-01T00:00:00Z");
        let day = Span::Day.number_of(february.start);
        assert_eq!(covered(february, OF_VALUES), [Run { span: Span::Day, numbers: day..day + 1 }]);
    }

    #[test]
    fn days_that_follow_each_other_are_one_run() {
        let mut runs = Vec::new();
        let first = quarter("2026-01-03T00:00:00Z");
        for day in 0..40 {
            cover(first + day * DAY..first + (day + 1) * DAY, OF_TOTALS, &mut runs);
        }
        assert_eq!(runs.len(), 1, "{runs:?}");
    }

    fn quarters() -> impl Strategy<Value = i64> {
        prop_oneof![-3_000_000..3_000_000_i64, -9_000_000_000..9_000_000_000_i64]
    }

    proptest! {
        /// None is left out and none is there twice, and few runs do.
        #[test]
        fn runs_are_the_range(start in quarters(), length in 0..80_000_i64, of_totals: bool) {
            let spans = if of_totals { OF_TOTALS } else { OF_VALUES };
            let runs = covered(start..start + length, spans);
            prop_assert!(runs.len() <= 7, "{runs:?}");
            let mut next = start;
            for Run { span, numbers } in &runs {
                prop_assert_eq!(span.first_quarter(numbers.start), next);
                next = span.first_quarter(numbers.end);
            }
            prop_assert_eq!(next, start + length);
        }

        #[test]
        fn what_stands_in_the_table_tells_the_span(quarter in quarters()) {
            let mut all = Vec::new();
            for (dimension, spans) in [(Dimension::Total, OF_TOTALS), (Dimension::City, OF_VALUES)] {
                for span in spans {
                    let number = span.number_of(quarter);
                    let bucket = span.bucket(dimension, number);
                    prop_assert_eq!(Span::quarter_of(bucket).unwrap(), span.first_quarter(number));
                    prop_assert!((span.first_quarter(number)..span.first_quarter(number + 1)).contains(&quarter));
                    all.push(bucket);
                }
            }
            let newest = Span::Quarter.bucket(Dimension::Total, quarter);
            prop_assert_eq!(all.iter().max(), Some(&newest), "the newest quarter is told by the highest");
            all.sort_unstable();
            all.dedup();
            prop_assert_eq!(all.len(), 8);
        }
    }
}

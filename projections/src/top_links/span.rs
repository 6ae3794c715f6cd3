//! What clicks are added up for: all time, periods of the calendar, and trends.
//!
//! A trend with half-life *H* has a span for each 8 *H* of time. A click counts in the span that
//! it falls in and in the one after that, so that a span knows 8 to 16 half-lives:
//!
//! ```text
//! span n-1  ├───────────────┤
//! span n            counts: ├───────────────┼───────────────┤
//!                                           L      asked here
//! ```
//!
//! With the beginning of a span as landmark *L*, a click at *t* counts 2^((*t* − *L*) / *H*). That
//! never changes afterwards: links are in the same order at every moment, and the score of now is the
//! sum divided by what a click counts now. Time is cut into 1,024 steps for a half-life and the weight
//! is a whole number of 2^-16: from 2^8 for the oldest click of a span to 2^24 for the newest, so a
//! sum of 64 bits has room for 2^39 clicks of the greatest weight.

use chrono::{DateTime, Datelike, Days, Months, NaiveDate, TimeDelta, Utc};

/// A period of the calendar, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Period {
    /// From midnight to midnight.
    Day,
    /// From Monday on.
    Week,
    /// From the first on.
    Month,
}

/// After how long a click counts half.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HalfLife {
    /// What is hot now.
    Hour,
    /// What is hot today.
    Day,
    /// What is hot these weeks.
    Week,
}

/// What a span is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// All time.
    Ever,
    /// A period of the calendar.
    Period(Period),
    /// A part of time with a landmark.
    Trend(HalfLife),
}

/// What scores belong to, as it is written in the tables: eight times its number, and its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(i64);

/// How many kinds the number of a span has room for.
const KINDS: i64 = 8;

/// How many spans a click counts in.
pub(crate) const SPANS_OF_A_CLICK: usize = 10;

const PERIODS: [Period; 3] = [Period::Day, Period::Week, Period::Month];
const HALF_LIVES: [HalfLife; 3] = [HalfLife::Hour, HalfLife::Day, HalfLife::Week];

const HOUR_MICROS: i64 = 3_600_000_000;
const DAY_MICROS: i64 = 24 * HOUR_MICROS;

/// The steps of a half-life.
const STEPS: i64 = 1_024;
const ROOTS_COUNT: usize = 1_024;

/// The half-lives of a span.
const SPAN_HALF_LIVES: i64 = 8;
const SPAN_STEPS: i64 = SPAN_HALF_LIVES * STEPS;

/// What a click at the landmark counts: 2 to the power of this.
const UNIT_BITS: i64 = 16;

/// The bits behind the point in [`ROOTS`].
const ROOT_BITS: u32 = 60;

/// 2^(n/1024), in whole numbers only: floating point gives other last digits on other machines.
const ROOTS: [u64; ROOTS_COUNT] = roots();

#[expect(clippy::cast_possible_truncation, reason = "all of them are below 2^61")]
const fn roots() -> [u64; ROOTS_COUNT] {
    let mut root: u128 = 2 << ROOT_BITS;
    let mut halvings = 0;
    while halvings < ROOTS_COUNT.trailing_zeros() {
        root = (root << ROOT_BITS).isqrt();
        halvings += 1;
    }
    let mut roots = [1_u64 << ROOT_BITS; ROOTS_COUNT];
    let mut n = 1;
    while n < roots.len() {
        roots[n] = ((roots[n - 1] as u128 * root) >> ROOT_BITS) as u64;
        n += 1;
    }
    roots
}

impl Period {
    /// The first and the last day of the period that a day is in.
    #[must_use]
    pub fn days(self, day: NaiveDate) -> [NaiveDate; 2] {
        let ends = |first: Option<NaiveDate>, next: Option<NaiveDate>| {
            let last = next.and_then(|next| next.pred_opt());
            first.zip(last).map_or([day; 2], |(first, last)| [first, last])
        };
        match self {
            Self::Day => [day; 2],
            Self::Week => {
                let first = day - Days::new(u64::from(day.weekday().num_days_from_monday()));
                ends(Some(first), first.checked_add_days(Days::new(7)))
            }
            Self::Month => {
                let first = day.with_day(1);
                ends(first, first.and_then(|first| first.checked_add_months(Months::new(1))))
            }
        }
    }
}

impl HalfLife {
    fn micros(self) -> i64 {
        match self {
            Self::Hour => HOUR_MICROS,
            Self::Day => DAY_MICROS,
            Self::Week => 7 * DAY_MICROS,
        }
    }

    fn step(self, at: DateTime<Utc>) -> i64 {
        at.timestamp_micros().div_euclid(self.micros() / STEPS)
    }

    /// What a click counts that is so many steps behind the landmark, or before it.
    fn weight(steps: i64) -> i64 {
        let root = ROOTS[usize::try_from(steps.rem_euclid(STEPS)).unwrap_or_default()];
        let shift = i64::from(ROOT_BITS) - UNIT_BITS - steps.div_euclid(STEPS);
        (root >> shift.clamp(0, 63)).cast_signed()
    }
}

impl Span {
    /// All time.
    pub const EVER: Self = Self(0);

    fn new(kind: i64, number: i64) -> Self {
        Self(number * KINDS + kind)
    }

    /// The span that a number in a table stands for.
    #[must_use]
    pub fn number(self) -> i64 {
        self.0
    }

    /// The period that a day is in.
    #[must_use]
    pub fn of(period: Period, day: NaiveDate) -> Self {
        let days = i64::from(day.to_epoch_days());
        let number = match period {
            Period::Day => days,
            // 1970 began on a Thursday.
            Period::Week => (days + 3).div_euclid(7),
            Period::Month => i64::from(day.year()) * 12 + i64::from(day.month0()),
        };
        Self::new(1 + period as i64, number)
    }

    /// The span of a trend at a moment.
    #[must_use]
    pub fn trend(half_life: HalfLife, at: DateTime<Utc>) -> Self {
        Self::new(4 + half_life as i64, half_life.step(at).div_euclid(SPAN_STEPS))
    }

    /// What it is.
    #[must_use]
    pub fn kind(self) -> Kind {
        let kind = usize::try_from(self.0.rem_euclid(KINDS)).unwrap_or_default();
        let period = kind.checked_sub(1).and_then(|place| PERIODS.get(place));
        let half_life = kind.checked_sub(4).and_then(|place| HALF_LIVES.get(place));
        match (period, half_life) {
            (Some(period), _) => Kind::Period(*period),
            (_, Some(half_life)) => Kind::Trend(*half_life),
            _ => Kind::Ever,
        }
    }

    /// Behind this nobody asks for a day or a trend of now any more; `None`: it has no end, or is a
    /// week or a month.
    #[must_use]
    pub fn end(self) -> Option<DateTime<Utc>> {
        let length = match self.kind() {
            Kind::Period(Period::Day) => DAY_MICROS,
            Kind::Trend(half_life) => SPAN_HALF_LIVES * half_life.micros(),
            _ => return None,
        };
        let end = self.0.div_euclid(KINDS).checked_add(1)?.checked_mul(length)?;
        DateTime::from_timestamp_micros(end)
    }

    /// The score as what it is worth at a moment: in clicks. A click of this moment is worth 1.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "shown to people, never summed")]
    pub fn worth(self, score: u64, at: DateTime<Utc>) -> f64 {
        let Kind::Trend(half_life) = self.kind() else { return score as f64 };
        let landmark = self.0.div_euclid(KINDS) * SPAN_STEPS;
        let steps = half_life.step(at) - landmark;
        score as f64 / HalfLife::weight(steps.clamp(-SPAN_STEPS, SPAN_STEPS)) as f64
    }
}

/// The spans that a click counts in, and how much it counts there.
pub(crate) fn spans_of(at: DateTime<Utc>) -> [(Span, i64); SPANS_OF_A_CLICK] {
    let mut spans = [(Span::EVER, 1); SPANS_OF_A_CLICK];
    let day = at.date_naive();
    for (place, period) in PERIODS.into_iter().enumerate() {
        spans[1 + place].0 = Span::of(period, day);
    }
    for (place, half_life) in HALF_LIVES.into_iter().enumerate() {
        let step = half_life.step(at);
        let number = step.div_euclid(SPAN_STEPS);
        for next in 0..2 {
            let number = number + next;
            let weight = HalfLife::weight(step - number * SPAN_STEPS);
            let place = 4 + 2 * place + usize::from(next == 1);
            spans[place] = (Span::new(4 + half_life as i64, number), weight);
        }
    }
    spans
}

/// Which spans decide a ranking: their scores are added up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ranking(Vec<Span>);

impl Ranking {
    /// The most days in a range.
    pub const DAYS_MAX: u64 = 366;

    /// By all clicks.
    #[must_use]
    pub fn ever() -> Self {
        Self(vec![Span::EVER])
    }

    /// By the clicks of the period that a day is in.
    #[must_use]
    pub fn of(period: Period, day: NaiveDate) -> Self {
        Self(vec![Span::of(period, day)])
    }

    /// By what is hot at a moment.
    #[must_use]
    pub fn trending(half_life: HalfLife, at: DateTime<Utc>) -> Self {
        Self(vec![Span::trend(half_life, at)])
    }

    /// By the clicks of some days, the first and the last included: from the longest periods that fit.
    /// `None`: the last day is before the first, or there are more than [`Self::DAYS_MAX`].
    #[must_use]
    pub fn between(first: NaiveDate, last: NaiveDate) -> Option<Self> {
        let days = u64::try_from((last - first).num_days()).ok()? + 1;
        let mut spans = Vec::new();
        let mut day = Some(first).filter(|_| days <= Self::DAYS_MAX)?;
        while day <= last {
            let (period, next) = longest(day, last)?;
            spans.push(Span::of(period, day));
            day = next;
        }
        Some(Self(spans))
    }

    /// The spans, one at least.
    #[must_use]
    pub fn spans(&self) -> &[Span] {
        &self.0
    }
}

/// The longest period that begins on a day and ends by the last one, and the day behind it. A week
/// is not taken where it would break into a month that fits.
fn longest(day: NaiveDate, last: NaiveDate) -> Option<(Period, NaiveDate)> {
    let fits = |end: NaiveDate| end - TimeDelta::days(1) <= last;
    let month_begins = day.with_day(1)?;
    let next_month = month_begins.checked_add_months(Months::new(1))?;
    if day == month_begins && fits(next_month) {
        return Some((Period::Month, next_month));
    }
    let next_week = day.checked_add_days(Days::new(7))?;
    let breaks_into =
        next_week > next_month && fits(next_month.checked_add_months(Months::new(1))?);
    if day.weekday() == chrono::Weekday::Mon && fits(next_week) && !breaks_into {
        return Some((Period::Week, next_week));
    }
    Some((Period::Day, day.succ_opt()?))
}

#[cfg(test)]
mod tests;

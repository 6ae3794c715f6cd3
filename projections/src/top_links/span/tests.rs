use proptest::prelude::*;

use super::*;

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

#[test]
fn weeks_begin_on_monday_and_every_kind_is_read_back() {
    let week = |text: &str| Span::of(Period::Week, day(text));
    assert_ne!(week("2026-03-01"), week("2026-03-02"), "a Sunday and a Monday");
    assert_eq!(week("2026-03-02"), week("2026-03-08"));
    assert_eq!(week("1969-12-29"), week("1970-01-04"));
    let month = |text: &str| Span::of(Period::Month, day(text));
    assert_eq!(month("2026-02-01"), month("2026-02-28"));
    assert_ne!(month("2026-01-31"), month("2026-02-01"));
    let days = |period: Period, text: &str| period.days(day(text)).map(|day| day.to_string());
    assert_eq!(days(Period::Week, "2026-03-01"), ["2026-02-23", "2026-03-01"]);
    assert_eq!(days(Period::Month, "2028-02-29"), ["2028-02-01", "2028-02-29"]);
    for moment in ["1920-02-29T23:59:59Z", "2026-03-01T00:00:00Z"] {
        let kinds = spans_of(at(moment)).map(|(span, _)| span.kind());
        let periods = PERIODS.map(Kind::Period);
        let trends = HALF_LIVES.map(|half_life| [Kind::Trend(half_life); 2]);
        let expected = [&[Kind::Ever][..], &periods, &trends.concat()].concat();
        assert_eq!(kinds[..], expected[..], "{moment}");
    }
}

/// Written down once: other numbers are other rows, and need another version of the projection.
#[test]
fn weights_are_the_same_whole_numbers_everywhere() {
    let steps = [-8_192, -8_191, -1_024, -512, -1, 0, 1, 512, 1_024, 8_191];
    let weights = steps.map(HalfLife::weight);
    assert_eq!(
        weights,
        [256, 256, 32_768, 46_340, 65_491, 65_536, 65_580, 92_681, 131_072, 16_765_863]
    );
    for steps in -SPAN_STEPS..SPAN_STEPS {
        let exact = 65_536.0 * (f64::from(i32::try_from(steps).unwrap()) / 1_024.0).exp2();
        let weight = f64::from(i32::try_from(HalfLife::weight(steps)).unwrap());
        assert!((exact - weight).abs() <= 1.0, "{steps}: {weight} is not {exact}");
        assert!(HalfLife::weight(steps) <= HalfLife::weight(steps + 1));
    }
}

#[test]
fn a_click_is_worth_half_after_a_half_life_also_in_the_next_span() {
    let clicked = at("2026-03-01T07:30:00Z");
    for (now, worth) in [
        ("2026-03-01T07:30:00Z", 1.0),
        ("2026-03-01T08:30:00Z", 0.5),
        ("2026-03-01T09:30:00Z", 0.25),
        ("2026-03-01T14:30:00Z", 1.0 / 128.0),
    ] {
        let span = Span::trend(HalfLife::Hour, at(now));
        let found = spans_of(clicked).into_iter().find(|(other, _)| *other == span);
        let score = u64::try_from(found.unwrap().1).unwrap();
        let found = span.worth(score, at(now));
        assert!((found - worth).abs() < 0.002 * worth, "{now}: {found}");
    }
    let later = Span::trend(HalfLife::Hour, at("2026-03-01T16:00:00Z"));
    assert!(spans_of(clicked).iter().all(|(span, _)| *span != later), "forgotten");
}

#[test]
fn spans_that_are_asked_about_for_a_while_have_an_end() {
    let now = at("2026-03-01T07:30:00Z");
    assert_eq!(Span::EVER.end(), None);
    let today = Span::of(Period::Day, now.date_naive());
    assert_eq!(today.end(), Some(at("2026-03-02T00:00:00Z")));
    assert_eq!(Span::trend(HalfLife::Hour, now).end(), Some(at("2026-03-01T08:00:00Z")));
    assert_eq!(Span::of(Period::Month, now.date_naive()).end(), None);
}

#[test]
fn a_range_is_made_of_the_longest_periods() {
    let periods = |first: &str, last: &str| {
        let ranking = Ranking::between(day(first), day(last))?;
        let period = |span: &Span| match span.kind() {
            Kind::Period(Period::Day) => 'd',
            Kind::Period(Period::Week) => 'w',
            Kind::Period(Period::Month) => 'm',
            _ => '?',
        };
        Some(ranking.spans().iter().map(period).collect::<String>())
    };
    let expect = |first, last, expected: &str| {
        assert_eq!(periods(first, last).as_deref(), Some(expected), "{first} to {last}");
    };
    expect("2026-03-01", "2026-03-31", "m");
    expect("2026-03-01", "2026-03-01", "d");
    expect("2026-03-02", "2026-03-08", "w");
    // Monday the 26th of January: the week would break into February, which fits.
    expect("2026-01-26", "2026-02-28", "ddddddm");
    expect("2026-01-26", "2026-02-02", "wd");
    expect("2025-03-15", "2026-03-14", "ddwwdmmmmmmmmmmmdwdddddd");
    assert_eq!(periods("2026-03-02", "2026-03-01"), None);
    assert_eq!(periods("2025-01-01", "2026-01-02"), None, "367 days");
}

proptest! {
    #[test]
    fn a_range_has_each_of_its_days_once(first in 15_000..25_000_i32, days in 0..366_i32) {
        let of = |days| NaiveDate::from_epoch_days(days).unwrap();
        let ranking = Ranking::between(of(first), of(first + days)).unwrap();
        prop_assert!(ranking.spans().len() <= 40);
        for day in first - 40..first + days + 40 {
            let spans = PERIODS.map(|period| Span::of(period, of(day)));
            let times = ranking.spans().iter().filter(|span| spans.contains(span)).count();
            let expected = usize::from((first..=first + days).contains(&day));
            prop_assert_eq!(times, expected, "{}", of(day));
        }
    }
}

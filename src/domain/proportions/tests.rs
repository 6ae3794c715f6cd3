//! Against numbers that were worked out elsewhere; each says how.

use hoplog_events::click::VisitorHash;
use hoplog_projections::sketch::Sketch;
use proptest::prelude::*;

use super::*;

fn of(successes: u64, trials: u64) -> Proportion {
    Proportion::new(successes, trials).unwrap()
}

#[track_caller]
fn is(value: f64, expected: f64) {
    assert!((value - expected).abs() < 1e-9, "{value} is not {expected}");
}

/// Values of tables of the error function.
#[test]
fn the_error_function_is_that_of_tables() {
    for (x, expected) in [
        (0.0, 1.0),
        (0.5, 0.479_500_122_186_953_5),
        (1.0, 0.157_299_207_050_285_13),
        (2.0, 0.004_677_734_981_047_265),
        (3.0, 2.209_049_699_858_543_8e-5),
        (5.0, 1.537_459_794_428_035_1e-12),
    ] {
        assert!((erfc(x) / expected - 1.0).abs() < 1e-11, "{x}: {}", erfc(x));
    }
    is(erfc(Z_95 / SQRT_2), 0.05);
    // Both ways meet.
    is(1.0 - erf_by_series(2.0), erfc_by_fraction(2.0));
}

/// z = (p₂ − p₁) / √(p(1−p)(1/n₁ + 1/n₂)) with p = (x₁ + x₂)/(n₁ + n₂). Of 100 and 130 of 1,000 each:
/// p = 0.115, and 0.03 / √(0.115 · 0.885 · 0.002) = 0.03 / 0.0142671 = 2.10274, of which 3.5488 % are as far from 0.
#[test]
fn the_test_gives_what_its_formula_gives_by_hand() {
    for (one, two, z, p) in [
        ((100, 1_000), (130, 1_000), 2.102_740_605_622_114, 0.035_488_450_466_474_73),
        ((20, 200), (20, 200), 0.0, 1.0),
        ((500, 10_000), (400, 10_000), -3.410_963_400_644_34, 0.000_647_337_801_014_456_6),
        ((2, 50), (3, 60), 0.250_713_268_211_203_54, 0.802_035_801_705_491_4),
    ] {
        let compared = of(two.0, two.1).compared_with(of(one.0, one.1));
        is(compared.z, z);
        is(compared.p, p);
        is(compared.difference, of(two.0, two.1).rate() - of(one.0, one.1).rate());
    }
}

/// A rounding error is no part of anybody.
#[test]
fn the_interval_of_nobody_begins_with_nothing() {
    for trials in [1, 6, 7, 1_000, 123_457] {
        let (low, high) = of(0, trials).interval();
        assert!(low == 0.0 && high > 0.0, "{trials}: {low} to {high}");
    }
}

/// (p + z²/2n ± z √(p(1−p)/n + z²/4n²)) / (1 + z²/n): of 10 of 100 it is published as 5.5 % to 17.4 %.
#[test]
fn the_interval_is_wilsons() {
    for (part, low, high) in [
        ((10, 100), 0.055_229_137_060_675_1, 0.174_365_661_504_913_45),
        ((0, 10), 0.0, 0.277_532_799_862_889_2),
        ((10, 10), 0.722_467_200_137_110_7, 1.0),
        ((1, 3), 0.061_491_944_720_396_21, 0.792_340_399_197_952_2),
    ] {
        let (lower, higher) = of(part.0, part.1).interval();
        is(lower, low);
        is(higher, high);
    }
}

#[test]
fn few_are_not_enough() {
    let sound = |one: (u64, u64), two: (u64, u64)| {
        of(two.0, two.1).compared_with(of(one.0, one.1)).is_sound
    };
    assert!(sound((5, 50), (5, 50)));
    assert!(!sound((5, 50), (4, 50)), "4.5 are expected in each");
    assert!(!sound((46, 50), (46, 50)), "4 are expected not to");
    assert!(!sound((0, 1_000), (0, 1_000)));
    assert!(!sound((900, 1_000), (20, 20)));
    assert_eq!((Proportion::new(0, 0), Proportion::new(2, 1)), (None, None));
}

/// Of 10,000 of a million each, p = 0.01 and √(0.01 · 0.99 · 2/1000000) = 0.00014071; with 1 % of each million,
/// √(0.00014071² + 2 · 0.0001²) = 0.00019950.
#[test]
fn the_error_of_an_estimate_is_in_the_test_and_in_the_interval() {
    let of = |successes, error| Proportion::of_estimate(successes, 1_000_000, error).unwrap();
    let z = |error| of(10_200, error).compared_with(of(9_800, error)).z;
    assert!((z(0.0) - 0.0004 / 0.000_140_712_5).abs() < 1e-4, "{}", z(0.0));
    assert!((z(0.01) - 0.0004 / 0.000_199_499_4).abs() < 1e-4, "{}", z(0.01));
    // The bounds are the parts from which it is as far as is allowed.
    let (low, high) = of(300_000, 0.01).interval();
    for bound in [low, high] {
        let variance = bound * (1.0 - bound) / 1e6 + (bound * 0.01).powi(2);
        is((0.3 - bound).powi(2), Z_95 * Z_95 * variance);
    }
    assert!(low < 0.3 && 0.3 < high);
    assert_eq!(of(10_000, 0.0).interval(), self::of(10_000, 1_000_000).interval());
}

/// What is more than that was no estimate of those.
#[test]
fn an_estimate_may_be_below_what_is_known_by_no_more_than_it_errs() {
    let rate = |successes, estimate| {
        Proportion::of_estimate(successes, estimate, 0.01).map(Proportion::rate)
    };
    assert_eq!(rate(50, 100), Some(0.5));
    assert_eq!(rate(103, 100), Some(1.0));
    assert_eq!(rate(104, 100), None);
    assert_eq!(rate(2, 1), Some(1.0), "it is rounded");
    assert_eq!((rate(3, 1), rate(1, 0), rate(0, 0)), (None, None, None));
}

/// Of so many visitors, who are counted as statistics count them, this part converted: each as a draw of his own says.
#[expect(clippy::cast_precision_loss, reason = "53 bits are exact")]
fn drawn(run: u64, visitors: u64, part: f64) -> Proportion {
    let all = || (0..visitors).map(move |n| mixed(run << 32 | n));
    let converted = all().filter(|who| (mixed(!who) >> 11) as f64 / ((1_u64 << 53) as f64) < part);
    let sketch = Sketch::of(all().map(VisitorHash));
    let converted = converted.count() as u64;
    Proportion::of_estimate(converted, sketch.count(), Sketch::STANDARD_ERROR).unwrap()
}

/// The finish of `SplitMix64`.
fn mixed(number: u64) -> u64 {
    let number = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

/// Variants that are the same: where conversions are many, the estimate errs more than chance does, and a test that takes it
/// for exact finds a difference in a third of the comparisons. Nothing is random here.
#[test]
fn variants_that_are_the_same_differ_no_more_often_than_the_level_says() {
    const RUNS: u64 = 200;
    const PART: f64 = 0.9;
    let (mut differ, mut covered) = (0, 0);
    for run in 0..RUNS {
        let (one, two) = (drawn(2 * run, 10_000, PART), drawn(2 * run + 1, 10_000, PART));
        differ += u32::from(two.compared_with(one).p < 0.05);
        for (low, high) in [one.interval(), two.interval()] {
            covered += u32::from(low <= PART && PART <= high);
        }
    }
    // 10 and 380 are expected at the level; three standard deviations more are allowed.
    assert!(differ <= 19, "{differ} of {RUNS} differ");
    assert!(covered >= 367, "{covered} of 400 intervals have the part");
}

proptest! {
    #[test]
    fn numbers_stay_within_their_bounds(n in 1..1_000_000_u64, m in 1..1_000_000_u64, a in 0.0..=1.0_f64, b in 0.0..=1.0_f64) {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a part of all")]
        let part = |all: u64, part: f64| of((float(all) * part) as u64, all);
        let (one, two) = (part(n, a), part(m, b));
        let (low, high) = one.interval();
        prop_assert!(0.0 <= low && low <= one.rate() + 1e-12 && one.rate() <= high + 1e-12 && high <= 1.0);
        let (there, back) = (one.compared_with(two), two.compared_with(one));
        prop_assert!((0.0..=1.0).contains(&there.p));
        prop_assert!((there.z + back.z).abs() < 1e-9 && (there.p - back.p).abs() < 1e-12);
    }
}

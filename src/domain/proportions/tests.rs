//! Against numbers that were worked out elsewhere; each says how.

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

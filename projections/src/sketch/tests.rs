use proptest::prelude::*;

use super::*;

fn sketch(range: std::ops::Range<u64>) -> Sketch {
    Sketch::of(range.map(VisitorHash))
}

fn merged(mut a: Sketch, b: &Sketch) -> Vec<u8> {
    a.merge(b);
    a.to_bytes()
}

#[test]
fn the_error_is_within_four_standard_errors_from_none_to_a_million() {
    for exact in [0, 1, 2, 10, 100, 1_000, 4_000, 10_000, 50_000, 100_000, 1_000_000] {
        // The mixed counter is as good as any hash; other seeds by other starts.
        for start in [0, 1 << 40, u64::MAX / 3] {
            let counted = sketch(start..start + exact).count();
            let allowed = exact * 324 / 10_000;
            assert!(counted.abs_diff(exact) <= allowed, "{exact}: {counted}");
        }
    }
}

#[test]
fn a_few_visitors_are_counted_to_within_one() {
    for exact in 0..100 {
        assert!(sketch(0..exact).count().abs_diff(exact) <= 1, "{exact}");
    }
}

#[test]
fn bytes_that_no_sketch_was_written_as_are_refused() {
    for bytes in [
        &[0_u8][..],
        &[0, 0, 0],
        &[0xff, 0xff, 1],
        &[0, 0, 52],
        &[0, 1, 1, 0, 0, 1],
        &[0; REGISTERS],
    ] {
        assert_eq!(Sketch::from_bytes(bytes), Err(SketchError));
    }
}

/// Ranges on both sides of the change from sparse to dense.
fn ranges() -> impl Strategy<Value = std::ops::Range<u64>> {
    (0..20_000_u64, prop_oneof![0..50_u64, 3_000..6_000_u64, 9_000..20_000_u64])
        .prop_map(|(start, length)| start..start + length)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn union_commutes_associates_and_repeats_to_the_byte(a in ranges(), b in ranges(), c in ranges()) {
        let (a, b, c) = (sketch(a), sketch(b), sketch(c));
        prop_assert_eq!(merged(a.clone(), &b), merged(b.clone(), &a));
        prop_assert_eq!(merged(a.clone(), &a), a.to_bytes());
        let (mut ab, mut bc) = (a.clone(), b.clone());
        ab.merge(&b);
        bc.merge(&c);
        prop_assert_eq!(merged(ab, &c), merged(a, &bc));
    }

    #[test]
    fn places_at_once_are_what_one_by_one_gives(ranges in prop::collection::vec(ranges(), 0..6)) {
        let visitors: Vec<VisitorHash> = ranges.into_iter().flatten().map(VisitorHash).collect();
        let at_once = Sketch::of_places(visitors.iter().map(|visitor| Place::of(*visitor)).collect());
        prop_assert_eq!(at_once, Sketch::of(visitors));
    }

    #[test]
    fn a_merge_tells_whether_it_changed_anything(a in ranges(), b in ranges()) {
        let (mut a, b) = (sketch(a), sketch(b));
        let before = a.to_bytes();
        let changed = a.merge(&b);
        prop_assert_eq!(changed, before != a.to_bytes());
        prop_assert!(!a.merge(&b));
    }

    #[test]
    fn bytes_read_back_as_the_sketch_and_do_not_depend_on_order(range in ranges()) {
        let forwards = sketch(range.clone());
        let backwards = Sketch::of(range.rev().map(VisitorHash));
        prop_assert_eq!(forwards.to_bytes(), backwards.to_bytes());
        prop_assert_eq!(Sketch::from_bytes(&forwards.to_bytes()), Ok(forwards));
    }
}

//! Nothing is random here: each of these counts is the same each time.

use proptest::prelude::*;

use super::*;

const VISITORS: u32 = 20_000;

fn split(weights: &[(&str, u16)]) -> Split {
    let variant = |(name, weight): &(&str, u16)| Variant {
        name: name.parse().unwrap(),
        url: None,
        weight: (*weight).try_into().unwrap(),
    };
    weights.iter().map(variant).collect::<Vec<_>>().try_into().unwrap()
}

fn link(code: &str) -> LinkKey {
    format!("default/{code}").parse().unwrap()
}

fn visitors() -> impl Iterator<Item = VisitorOfLink> {
    let (link, agent) = (link("a"), "Mozilla/5.0 Chrome/126.0");
    (0..VISITORS)
        .map(move |n| VisitorOfLink::new(&link, Some(IpAddr::V4((0x0a00_0000 | n).into())), agent))
}

/// The name of the variant of each visitor.
fn led(split: &Split) -> Vec<&str> {
    let variant = |visitor| &split.as_slice()[variant_of(split, visitor).unwrap()];
    visitors().map(|visitor| variant(visitor).name.as_str()).collect()
}

/// Four standard deviations of so many throws.
#[track_caller]
fn is_near(count: usize, part: f64) {
    let (count, all) = (f64::from(u32::try_from(count).unwrap()), f64::from(VISITORS));
    let bound = 4.0 * (all * part * (1.0 - part)).sqrt();
    assert!((count - all * part).abs() <= bound, "{count} of {all} is not {part}");
}

#[test]
fn visitors_are_shared_by_weight() {
    for weights in [
        &[("a", 1), ("b", 1)][..],
        &[("a", 90), ("b", 10)],
        &[("a", 1), ("b", 2), ("c", 3), ("d", 4)],
        &[("control", 10_000), ("rare", 100), ("off", 0)],
    ] {
        let split = split(weights);
        let sum: u32 = weights.iter().map(|(_, weight)| u32::from(*weight)).sum();
        let led = led(&split);
        for (name, weight) in weights {
            let count = led.iter().filter(|led| *led == name).count();
            is_near(count, f64::from(*weight) / f64::from(sum));
        }
    }
}

#[test]
fn a_new_variant_takes_its_part_and_nobody_moves_otherwise() {
    let (before, after) = (split(&[("a", 1), ("b", 1)]), split(&[("c", 1), ("b", 1), ("a", 1)]));
    let (before, after) = (led(&before), led(&after));
    let moved: Vec<_> = before.iter().zip(&after).filter(|(old, new)| old != new).collect();
    assert!(moved.iter().all(|(_, new)| **new == "c"));
    is_near(moved.len(), 1.0 / 3.0);
}

#[test]
fn another_weight_moves_no_more_than_it_has_to() {
    // From 50 % to 60 %.
    let (before, after) = (split(&[("a", 50), ("b", 50)]), split(&[("a", 75), ("b", 50)]));
    let (before, after) = (led(&before), led(&after));
    let moved: Vec<_> = before.iter().zip(&after).filter(|(old, new)| old != new).collect();
    assert!(moved.iter().all(|(_, new)| **new == "a"));
    is_near(moved.len(), 0.1);
    let same = split(&[("a", 100), ("b", 100)]);
    assert_eq!(led(&same), before, "weights are parts of their sum");
}

#[test]
fn each_link_has_visitors_of_its_own() {
    let split = split(&[("a", 1), ("b", 1)]);
    let (one, other) = (link("a"), link("b"));
    let of = |link: &LinkKey, n: u32| {
        variant_of(&split, VisitorOfLink::new(link, Some(IpAddr::V4(n.into())), "x"))
    };
    let same = (0..VISITORS).filter(|n| of(&one, *n) == of(&other, *n)).count();
    is_near(same, 0.5);
}

/// Trap 15: an IPv6 visitor is a network; and a browser that was updated is the same.
#[test]
fn trap_15_a_visitor_is_known_again() {
    let link = link("a");
    let who =
        |address: &str, agent| VisitorOfLink::new(&link, Some(address.parse().unwrap()), agent);
    assert_eq!(who("2001:db8::1", "x"), who("2001:db8::ffff:2", "x"));
    assert_ne!(who("2001:db8::1", "x"), who("2001:db8:0:1::1", "x"));
    assert_eq!(who("192.0.2.1", "x"), who("::ffff:192.0.2.1", "x"));
    assert_ne!(who("192.0.2.1", "x"), who("192.0.2.2", "x"));
    assert_eq!(who("192.0.2.1", "Firefox/127.0"), who("192.0.2.1", "Firefox/128.1"));
    assert_ne!(who("192.0.2.1", "Firefox/127.0"), who("192.0.2.1", "Chrome/127.0"));
}

/// A point release has one number more, an app's web view says its builds, and no visitor is another one for that.
#[test]
fn trap_15_a_browser_that_was_updated_is_the_same() {
    const SAFARI: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_2 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.2 Mobile/15E148 Safari/604.1";
    const APP: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_2 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/21C62 Instagram 312.0.0.22 (iPhone14,3; iOS 17_2; scale=3.00; 1284x2778; 542)";
    let link = link("a");
    let who = |agent: &str| VisitorOfLink::new(&link, Some(IpAddr::V4(0x0a00_0001.into())), agent);
    for (agent, old, new) in [
        (SAFARI, "OS 17_2", "OS 17_2_1"),
        (SAFARI, "Version/17.2", "Version/17.2.1"),
        (SAFARI, "Version/17.2", "Version/18"),
        (APP, "312.0.0.22", "312.0.0.22.110"),
        (APP, "17_2;", "17_2_1;"),
        (APP, "21C62", "21D50"),
    ] {
        assert_eq!(who(agent), who(&agent.replace(old, new)), "{new}");
    }
    for other in [SAFARI.replace("iPhone", "iPad"), SAFARI.replace("Safari", "CriOS"), APP.into()] {
        assert_ne!(who(SAFARI), who(&other), "{other}");
    }
    // What no version begins with counts.
    assert_ne!(who("a.b"), who("a_b"));
    assert_ne!(who("é1ü"), who("é1ö"));
}

/// Who is led where is a promise to visitors: it must not change with a new version.
#[test]
fn visitors_stay_where_they_are_when_the_program_is_new() {
    let split = split(&[("a", 1), ("b", 1)]);
    let first: String = led(&split).iter().take(24).copied().collect();
    assert_eq!(first, "bbababaababbaabbabbbaabb");
}

proptest! {
    #[test]
    fn nobody_is_led_to_a_variant_without_weight(
        visitor in any::<u64>(),
        weights in proptest::collection::vec(0..3_u16, 2..8),
    ) {
        prop_assume!(weights.iter().any(|weight| *weight > 0));
        let names: Vec<String> = (0..weights.len()).map(|n| n.to_string()).collect();
        let all: Vec<_> = names.iter().map(String::as_str).zip(weights.iter().copied()).collect();
        let place = variant_of(&split(&all), VisitorOfLink(visitor)).unwrap();
        prop_assert!(weights[place] > 0);
    }
}

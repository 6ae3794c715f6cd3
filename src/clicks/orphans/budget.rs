//! How many orphan visits are recorded: so that whoever tries codes fills no disk, and one who does not leaves
//! room for others.

use std::collections::HashMap;
use std::net::IpAddr;

use chrono::{DateTime, Utc};

/// How many of one network's are recorded in a minute; of an IPv6 address the first 64 bits count.
const NETWORK_PER_MINUTE: u32 = 20;

/// Into how many minutes the visits of a day go at least: who comes from everywhere at once does not use up a whole
/// day's before somebody has looked.
const MINUTES_PER_DAY_MIN: u32 = 100;

/// Into how many networks the visits of a day go at least: one that comes all day, as a monitor does, leaves nearly all of
/// it to others.
const NETWORKS_PER_DAY_MIN: u32 = 20;

/// Counts what was recorded in this minute and on this day, both of UTC.
#[derive(Debug)]
pub(super) struct Budget {
    per_day: u32,
    per_minute: u32,
    network_per_day: u32,
    day: i64,
    of_day: u32,
    /// Those of this day that were admitted, so there are no more than its limit.
    networks_of_day: HashMap<u64, u32>,
    minute: i64,
    of_minute: u32,
    /// Those of this minute that were admitted, so there are no more than its limit.
    networks: HashMap<u64, u32>,
}

impl Budget {
    pub(super) fn new(per_day: u32) -> Self {
        let per_minute = (per_day / MINUTES_PER_DAY_MIN).max(NETWORK_PER_MINUTE);
        let network_per_day = (per_day / NETWORKS_PER_DAY_MIN).max(NETWORK_PER_MINUTE);
        Self {
            per_day,
            per_minute,
            network_per_day,
            day: i64::MIN,
            of_day: 0,
            networks_of_day: HashMap::new(),
            minute: i64::MIN,
            of_minute: 0,
            networks: HashMap::new(),
        }
    }

    /// Takes one, or says which limit has been reached.
    pub(super) fn admit(&mut self, address: IpAddr, at: DateTime<Utc>) -> Result<(), &'static str> {
        let (minute, day) = (at.timestamp().div_euclid(60), at.timestamp().div_euclid(86_400));
        if is_another(day, self.day) {
            (self.day, self.of_day) = (day, 0);
            self.networks_of_day = HashMap::new();
        }
        if is_another(minute, self.minute) {
            (self.minute, self.of_minute) = (minute, 0);
            self.networks.clear();
        }
        if self.of_day >= self.per_day {
            return Err("day");
        }
        if self.of_minute >= self.per_minute {
            return Err("minute");
        }
        let network = network(address);
        let admitted = |networks: &HashMap<u64, u32>| networks.get(&network).copied().unwrap_or(0);
        if admitted(&self.networks) >= NETWORK_PER_MINUTE
            || admitted(&self.networks_of_day) >= self.network_per_day
        {
            return Err("network");
        }
        *self.networks.entry(network).or_default() += 1;
        *self.networks_of_day.entry(network).or_default() += 1;
        self.of_minute += 1;
        self.of_day += 1;
        Ok(())
    }
}

/// Whether counting begins anew. A clock that is set back by a little does not give a minute or a day twice.
fn is_another(now: i64, counted: i64) -> bool {
    now > counted || now < counted.saturating_sub(1)
}

/// What counts as one: no two networks that are different are the same here.
fn network(address: IpAddr) -> u64 {
    match address.to_canonical() {
        // There is no IPv6 network of documents or of hosts that begins with 32 zeros.
        IpAddr::V4(address) => u64::from(u32::from(address)),
        IpAddr::V6(address) => u64::try_from(u128::from(address) >> 64).unwrap_or(u64::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn admitted(budget: &mut Budget, from: &str, when: &str, count: u32) -> u32 {
        let admit = |_: &u32| budget.admit(address(from), at(when)).is_ok();
        u32::try_from((0..count).filter(admit).count()).unwrap()
    }

    #[test]
    fn one_network_has_a_part_of_each_minute() {
        let mut budget = Budget::new(100_000);
        assert_eq!(admitted(&mut budget, "192.0.2.1", "2026-03-01T00:00:00Z", 50), 20);
        assert_eq!(admitted(&mut budget, "192.0.2.2", "2026-03-01T00:00:30Z", 50), 20);
        assert_eq!(admitted(&mut budget, "::ffff:192.0.2.1", "2026-03-01T00:00:59Z", 50), 0);
        assert_eq!(admitted(&mut budget, "2001:db8::1", "2026-03-01T00:00:59Z", 15), 15);
        assert_eq!(admitted(&mut budget, "2001:db8::2", "2026-03-01T00:00:59Z", 15), 5);
        assert_eq!(admitted(&mut budget, "192.0.2.1", "2026-03-01T00:01:00Z", 50), 20);
    }

    #[test]
    fn many_networks_share_a_minute_and_a_day() {
        let mut budget = Budget::new(5_000);
        let everybody = |budget: &mut Budget, when: &str| -> u32 {
            (0..200).map(|n| admitted(budget, &format!("198.51.100.{n}"), when, 3)).sum()
        };
        assert_eq!(everybody(&mut budget, "2026-03-01T00:00:00Z"), 50, "a hundredth of the day");
        let mut all = 50;
        for minute in 1..400 {
            all += everybody(
                &mut budget,
                &format!("2026-03-01T{:02}:{:02}:00Z", minute / 60, minute % 60),
            );
            assert!(budget.networks.len() <= 51);
        }
        assert_eq!(all, 5_000);
        assert_eq!(budget.admit(address("192.0.2.1"), at("2026-03-01T23:59:59Z")), Err("day"));
        assert_eq!(everybody(&mut budget, "2026-03-02T00:00:00Z"), 50, "another day");
    }

    /// A monitor that asks for the bare host every four seconds, and somebody who tries codes all the time.
    #[test]
    fn one_network_leaves_most_of_a_day_to_others() {
        for (per_day, most) in [(10_000, 500), (100, 20)] {
            let mut budget = Budget::new(per_day);
            let mut of_one = 0;
            for minute in 0..24 * 60 {
                let when = format!("2026-03-01T{:02}:{:02}:30Z", minute / 60, minute % 60);
                of_one += admitted(&mut budget, "2001:db8::1", &when, 15);
                if of_one == most {
                    break;
                }
            }
            assert_eq!(of_one, most);
            for minute in 0..60 {
                let when = format!("2026-03-01T23:{minute:02}:59Z");
                assert_eq!(admitted(&mut budget, "2001:db8::1", &when, 1), 0);
            }
            assert_eq!(admitted(&mut budget, "192.0.2.1", "2026-03-01T23:59:59Z", 50), 20);
            assert_eq!(admitted(&mut budget, "2001:db8::1", "2026-03-02T00:00:00Z", 50), 20);
        }
    }

    /// The clocks of machines are set back by milliseconds all the time, and threads come to a lock in any order.
    #[test]
    fn a_step_back_gives_no_minute_and_no_day_twice() {
        let mut budget = Budget::new(2_000);
        let (late, midnight) = ("2026-03-01T23:59:59Z", "2026-03-02T00:00:00Z");
        assert_eq!(admitted(&mut budget, "192.0.2.1", late, 50), 20);
        assert_eq!(admitted(&mut budget, "192.0.2.2", midnight, 50), 20);
        for n in 3..10 {
            let other = format!("192.0.2.{n}");
            assert_eq!(admitted(&mut budget, &other, late, 50), 0, "a minute has 20 in all");
            assert_eq!(admitted(&mut budget, &other, midnight, 50), 0);
        }
        assert_eq!(budget.of_day, 20);
        // One that was far ahead does not stop everything until then.
        assert_eq!(admitted(&mut budget, "192.0.2.1", "2026-02-01T00:00:00Z", 50), 20);
    }

    #[test]
    fn a_budget_of_nothing_records_nothing() {
        let mut budget = Budget::new(0);
        assert_eq!(budget.admit(address("192.0.2.1"), at("2026-03-01T00:00:00Z")), Err("day"));
    }
}

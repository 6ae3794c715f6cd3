//! Visits that are counted and not recorded: few numbers, however long nobody can be told.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use hoplog_events::link::Domain;
use hoplog_events::orphan::{OrphanKind, Unrecorded};

/// The most numbers that wait, and that one event tells: so it has room for its visits in every log.
pub(super) const COUNTS_MAX: usize = 500;

/// What is counted is told by the beginnings of these.
const QUARTER: TimeDelta = TimeDelta::minutes(15);

/// A quarter of an hour, why, and where.
type Key = (DateTime<Utc>, OrphanKind, Domain);

/// Numbers of visits.
#[derive(Debug, Default)]
pub(super) struct Counts(BTreeMap<Key, u64>);

impl Counts {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many visits there are in all.
    pub(super) fn visits(&self) -> u64 {
        self.0.values().sum()
    }

    /// Counts more visits of an instant.
    pub(super) fn add(&mut self, (at, kind, domain): Key, more: u64) {
        let micros = QUARTER.num_microseconds().unwrap_or(1);
        let since = at.timestamp_micros().div_euclid(micros) * micros;
        let since = DateTime::from_timestamp_micros(since).unwrap_or(at);
        *self.0.entry((since, kind, domain)).or_default() += more;
        if self.0.len() > COUNTS_MAX {
            self.merge_oldest();
        }
    }

    /// Counts what was counted elsewhere.
    pub(super) fn merge(&mut self, others: Self) {
        for (key, visits) in others.0 {
            self.add(key, visits);
        }
    }

    /// Takes what one event tells: the oldest.
    pub(super) fn take(&mut self) -> Self {
        let rest = self.0.keys().nth(COUNTS_MAX).cloned().map(|first| self.0.split_off(&first));
        Self(std::mem::replace(&mut self.0, rest.unwrap_or_default()))
    }

    /// As they are written.
    pub(super) fn told(&self) -> Vec<Unrecorded> {
        let told = |((since, kind, domain), visits): (&Key, &u64)| Unrecorded {
            kind: *kind,
            domain: domain.clone(),
            since: *since,
            visits: *visits,
        };
        self.0.iter().map(told).collect()
    }

    /// The visits of the oldest quarters are told with those of the next, until half as many numbers are left. The
    /// later quarter has their name, as read models may have forgotten the older one by then.
    fn merge_oldest(&mut self) {
        while self.0.len() > COUNTS_MAX / 2 {
            let Some(oldest) = self.0.keys().next().map(|(since, ..)| *since) else { return };
            let next = self.0.keys().map(|(since, ..)| *since).find(|since| *since > oldest);
            let Some(next) = next else { return };
            let is_old = |((since, ..), _): &(Key, u64)| *since == oldest;
            let (old, later): (BTreeMap<_, _>, _) =
                std::mem::take(&mut self.0).into_iter().partition(is_old);
            self.0 = later;
            for ((_, kind, domain), visits) in old {
                *self.0.entry((next, kind, domain)).or_default() += visits;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(quarter: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(quarter * 15 * 60 + 7, 0).unwrap()
    }

    /// A log that is away for weeks, and somebody who tries codes all the time.
    #[test]
    fn they_stay_few_and_none_is_lost() {
        let (mut counts, mut visits) = (Counts::default(), 0);
        for quarter in 0..4 * 24 * 60 {
            for kind in OrphanKind::ALL {
                counts.add((at(quarter), kind, Domain::service()), 3);
                visits += 3;
                assert!(counts.0.len() <= COUNTS_MAX);
            }
        }
        assert_eq!(counts.visits(), visits);
        let told = counts.take().told();
        assert!(counts.is_empty() && told.len() <= COUNTS_MAX);
        assert_eq!(told.iter().map(|count| count.visits).sum::<u64>(), visits);
        // The last six hours are told by their quarters.
        let of_last = told.iter().filter(|count| count.since > at(4 * 24 * 60 - 25));
        assert_eq!(of_last.count(), 24 * OrphanKind::ALL.len());
    }

    #[test]
    fn what_one_event_has_no_room_for_is_told_by_the_next() {
        let mut counts = Counts::default();
        for n in 0..COUNTS_MAX + 10 {
            let domain: Domain = format!("d{n}.example").parse().unwrap();
            counts.add((at(0), OrphanKind::BaseUrl, domain), 1);
        }
        assert_eq!(counts.take().told().len(), COUNTS_MAX);
        assert_eq!(counts.take().told().len(), 10);
        assert!(counts.is_empty());
    }
}

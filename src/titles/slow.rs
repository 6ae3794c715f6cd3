//! Hosts that took too long a moment ago: nobody waits for them again at once, whichever page or redirect names them.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How long such a host is left alone.
pub(super) const ALONE: Duration = Duration::from_mins(1);

/// The most that are remembered; about 100 bytes each.
const HOSTS_MAX: usize = 1_024;

/// Hosts, and when they took too long.
#[derive(Debug, Default)]
pub(super) struct SlowHosts(Mutex<HashMap<Box<str>, Instant>>);

impl SlowHosts {
    pub(super) fn has(&self, host: &str, now: Instant) -> bool {
        let hosts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        hosts.get(host).is_some_and(|since| now.duration_since(*since) < ALONE)
    }

    /// Remembers one. Where there are too many, those go that are remembered for the longest time.
    pub(super) fn add(&self, host: &str, now: Instant) {
        let mut hosts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        hosts.insert(host.into(), now);
        if hosts.len() > HOSTS_MAX {
            hosts.retain(|_, since| now.duration_since(*since) < ALONE);
        }
        if hosts.len() > HOSTS_MAX {
            let oldest = hosts.iter().min_by_key(|(_, since)| **since);
            let oldest = oldest.map(|(host, _)| host.clone());
            oldest.and_then(|host| hosts.remove(&host));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_left_alone_for_a_minute_and_not_all_are_remembered() {
        let hosts = SlowHosts::default();
        let mut now = Instant::now();
        hosts.add("a.example", now);
        assert!(hosts.has("a.example", now) && !hosts.has("b.example", now));
        now += ALONE;
        assert!(!hosts.has("a.example", now));
        for number in 0..HOSTS_MAX + 10 {
            now += Duration::from_millis(1);
            hosts.add(&number.to_string(), now);
        }
        assert_eq!(hosts.0.lock().unwrap().len(), HOSTS_MAX);
        assert!(hosts.has(&(HOSTS_MAX + 9).to_string(), now) && !hosts.has("0", now));
    }
}

//! Sees to it that salts are there before they are needed and gone when their day is over.
//!
//! Where several nodes write to one log they agree on each day's salt, so that a visitor who meets
//! two nodes is one visitor. They do so half a day ahead: a log that is away at midnight changes
//! nothing. Only a node that has no salt for today while the log is away makes one of its own.

use std::io;
use std::time::Duration;

use chrono::{DateTime, Days, NaiveDate, TimeDelta, Utc};
use hoplog_events::agreement::{Agreed, Agreements};
use hoplog_events::log::EventLog;

use super::{VisitorSalts, oldest};
use crate::clock::Clock;

/// How long before a day its salt is made.
const AHEAD: TimeDelta = TimeDelta::hours(12);

/// How often salts are looked after.
const INTERVAL: Duration = Duration::from_mins(1);

impl VisitorSalts {
    /// Looks after the salts for as long as it is polled.
    pub async fn look_after(&self, log: &dyn EventLog, clock: &Clock) {
        loop {
            tokio::time::sleep(INTERVAL).await;
            self.prepare(log, clock.now()).await;
        }
    }

    /// Gets the salts that will be needed and destroys those that are over. What does not succeed
    /// is tried again the next time.
    pub async fn prepare(&self, log: &dyn EventLog, now: DateTime<Utc>) {
        let shared = log.agreements();
        for day in [now.date_naive(), (now + AHEAD).date_naive()] {
            if !self.has(day) {
                self.get(day, shared).await;
            }
        }
        if let Err(error) = self.destroy_outdated(now) {
            tracing::warn!(%error, "outdated visitor salts can't be destroyed");
        }
        if let Some(shared) = shared {
            self.destroy_shared(shared, now).await;
        }
    }

    /// Also what this node's own visits have made it destroy in its file, or another node forgot.
    async fn destroy_shared(&self, shared: &dyn Agreements, now: DateTime<Utc>) {
        let over =
            [2, 1].into_iter().filter_map(|days| oldest(now).checked_sub_days(Days::new(days)));
        for day in over {
            if self.forgotten().is_some_and(|forgotten| forgotten >= day) {
                continue;
            }
            match shared.forget(&name_of(day)).await {
                Ok(()) => *self.forgotten() = Some(day),
                // The servers destroy it by its age.
                Err(error) => {
                    tracing::warn!(%day, %error, "an outdated visitor salt is still on the log's servers");
                }
            }
        }
    }

    async fn get(&self, day: NaiveDate, shared: Option<&dyn Agreements>) {
        let proposal = Agreed(rand::random());
        let agreed = match shared {
            None => Ok(proposal),
            Some(shared) => shared.agree(&name_of(day), proposal).await,
        };
        let kept = agreed.map_err(io::Error::other).and_then(|salt| self.adopt(day, salt.0));
        if let Err(error) = kept {
            tracing::warn!(%day, %error, "no visitor salt could be agreed on");
        }
    }
}

/// What the nodes call a day's salt.
fn name_of(day: NaiveDate) -> String {
    format!("salt-{day}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use hoplog_events::log::contract::nats_server::NatsServer;
    use hoplog_events::log::embedded::{EmbeddedLog, OpenOptions};
    use hoplog_events::log::jetstream::JetStreamLog;

    fn at(day: u32, hour: u32) -> DateTime<Utc> {
        NaiveDate::from_ymd_opt(2026, 1, day).unwrap().and_hms_opt(hour, 30, 0).unwrap().and_utc()
    }

    async fn log_on(server: &NatsServer) -> JetStreamLog {
        JetStreamLog::open(&server.url().parse().unwrap()).await.unwrap().0
    }

    fn hash(salts: &VisitorSalts, day: u32, hour: u32) -> u64 {
        salts.hash(at(day, hour), at(day, hour), None, "agent").unwrap().0
    }

    #[tokio::test]
    async fn a_visitor_of_two_nodes_is_one_visitor() {
        let (dir, server) = (tempfile::tempdir().unwrap(), NatsServer::start());
        let open = |name: &str| VisitorSalts::open(&dir.path().join(name)).unwrap();
        let (one, two, late) = (open("one"), open("two"), open("late"));
        let logs = [log_on(&server).await, log_on(&server).await];
        one.prepare(&logs[0], at(1, 14)).await;
        two.prepare(&logs[1], at(1, 14)).await;
        assert_eq!(hash(&one, 1, 15), hash(&two, 1, 15));
        assert_eq!(hash(&one, 2, 0), hash(&two, 2, 0), "tomorrow's salt is agreed on ahead");
        late.prepare(&logs[1], at(2, 0)).await;
        assert_eq!(hash(&late, 2, 1), hash(&one, 2, 1));
        // Once a day is over nobody gets its salt, the servers' administrator included.
        let first = hash(&one, 1, 23);
        // A visit has destroyed it in the node's own file already.
        hash(&one, 2, 2);
        one.prepare(&logs[0], at(2, 2)).await;
        let newcomer = open("newcomer");
        newcomer.prepare(&logs[1], at(1, 23)).await;
        assert_ne!(hash(&newcomer, 1, 23), first);
    }

    /// What was used today stays today's, also when the others have agreed on something else.
    #[tokio::test]
    async fn a_node_without_the_log_makes_a_salt_of_its_own_and_keeps_it() {
        let (dir, mut server) = (tempfile::tempdir().unwrap(), NatsServer::start());
        let salts = VisitorSalts::open(&dir.path().join("salts")).unwrap();
        let log = log_on(&server).await;
        server.kill();
        salts.prepare(&log, at(1, 1)).await;
        let own = hash(&salts, 1, 2);
        server.restart();
        let log = log_on(&server).await;
        salts.prepare(&log, at(1, 3)).await;
        assert_eq!(hash(&salts, 1, 4), own);
    }

    /// Without a single visit.
    #[tokio::test]
    async fn a_salt_is_destroyed_when_its_day_is_over_by_an_hour() {
        let dir = tempfile::tempdir().unwrap();
        let log = EmbeddedLog::open(&dir.path().join("log.db"), OpenOptions::default()).await;
        let (log, path) = (log.unwrap(), dir.path().join("salts"));
        let salts = VisitorSalts::open(&path).unwrap();
        let kept = || std::fs::read_to_string(&path).unwrap();
        salts.prepare(&log, at(1, 23)).await;
        assert!(kept().contains("2026-01-01") && kept().contains("2026-01-02"), "{}", kept());
        salts.prepare(&log, at(2, 0)).await;
        assert!(kept().contains("2026-01-01"), "clicks of the last minutes may still wait");
        salts.prepare(&log, at(2, 1)).await;
        assert!(!kept().contains("2026-01-01") && kept().contains("2026-01-02"), "{}", kept());
    }
}

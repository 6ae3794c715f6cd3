//! Who visited, without knowing who: a hash that means something for one day.
//!
//! A **unique visitor** is a distinct pair of address and user agent on one UTC day; of an IPv6
//! address the first 64 bits count, which is what one household gets. The hash is the first 64
//! bits of SHA-256 over the day's salt, the address and the user agent. A salt is random, made
//! before its day begins ([`keeper`]), and destroyed an hour after the day's end; from then on
//! nobody, the operator included, can tell whose hash it was or recognise a visitor again.
//! (Visits of a day that are recorded later than that share another salt.)
//!
//! Clicks that are imported from old logs get a salt per day that is derived from one secret, so
//! that importing again gives the same hashes. (Who has the old log knows the addresses anyway.)

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use hoplog_events::click::VisitorHash;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::data_dir::replace_file;

/// How long after its day a salt is kept, for clicks that were queued at midnight.
const GRACE: TimeDelta = TimeDelta::hours(1);

/// What counts of an IPv6 address: devices change the rest by the hour.
const NETWORK_BYTES: usize = 8;

/// Goes before a day's salt in the salt of visits that lead nowhere.
const IN_VAIN: &str = "visits that lead nowhere";

type Salt = [u8; 32];

mod keeper;

/// What is kept in the file.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Kept {
    /// The salts of days that are not over.
    days: BTreeMap<NaiveDate, Salt>,
    /// The secret behind the salts of imported clicks.
    import: Salt,
}

/// Makes visitor hashes and destroys what could undo them.
#[derive(Debug)]
pub struct VisitorSalts {
    path: PathBuf,
    kept: Mutex<Kept>,
    /// The last day whose salt no node can get any more.
    forgotten: Mutex<Option<NaiveDate>>,
}

impl VisitorSalts {
    /// Reads the salts of today from a file, or begins a new one.
    ///
    /// # Errors
    /// When the file can't be read or written.
    pub fn open(path: &Path) -> io::Result<Self> {
        let kept = match fs::read(path) {
            Ok(bytes) => serde_json::from_slice(&bytes)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Kept { import: rand::random(), ..Kept::default() }
            }
            Err(error) => return Err(error),
        };
        write(path, &kept)?;
        Ok(Self { path: path.to_owned(), kept: Mutex::new(kept), forgotten: Mutex::default() })
    }

    /// The hash of a visitor who comes at `at`; `now` decides which salts are over.
    ///
    /// # Errors
    /// When a new day's salt can't be kept: the visitor would be another one after a restart.
    pub fn hash(
        &self,
        at: DateTime<Utc>,
        now: DateTime<Utc>,
        address: Option<IpAddr>,
        user_agent: &str,
    ) -> io::Result<VisitorHash> {
        let salt = self.salt(at.date_naive(), now)?;
        Ok(visitor_hash(&salt, address, user_agent))
    }

    /// The hash of a visitor who comes in vain. Its salt is another one: what is told of both visits, by a click and by
    /// this, does not say that they are one person's.
    ///
    /// # Errors
    /// As [`Self::hash`].
    pub fn hash_in_vain(
        &self,
        at: DateTime<Utc>,
        now: DateTime<Utc>,
        address: IpAddr,
        user_agent: &str,
    ) -> io::Result<VisitorHash> {
        let salt = self.salt(at.date_naive(), now)?;
        let in_vain = Sha256::new().chain_update(IN_VAIN).chain_update(salt).finalize();
        Ok(visitor_hash(&in_vain.into(), Some(address), user_agent))
    }

    /// The hash of a visitor in an old log.
    #[must_use]
    pub fn hash_imported(
        &self,
        at: DateTime<Utc>,
        address: Option<IpAddr>,
        user_agent: &str,
    ) -> VisitorHash {
        let secret = self.kept().import;
        let day = Sha256::new().chain_update(secret).chain_update(at.date_naive().to_string());
        visitor_hash(&day.finalize().into(), address, user_agent)
    }

    /// Sees to it that the salt of the visits of a day is on the disk.
    ///
    /// # Errors
    /// When it can't be written; trying again later is fine.
    pub fn keep(&self, at: DateTime<Utc>, now: DateTime<Utc>) -> io::Result<()> {
        self.salt(at.date_naive(), now).map(drop)
    }

    fn salt(&self, day: NaiveDate, now: DateTime<Utc>) -> io::Result<Salt> {
        let mut kept = self.kept();
        // A visit that waited longer than that still needs a salt of its day.
        let oldest = oldest(now).min(day);
        let outdated = kept.days.first_key_value().is_some_and(|(day, _)| *day < oldest);
        if let (false, Some(salt)) = (outdated, kept.days.get(&day)) {
            return Ok(*salt);
        }
        let mut days = kept.days.clone();
        days.retain(|day, _| *day >= oldest);
        let salt = *days.entry(day).or_insert_with(rand::random);
        self.replace(&mut kept, days)?;
        Ok(salt)
    }

    fn has(&self, day: NaiveDate) -> bool {
        self.kept().days.contains_key(&day)
    }

    /// Takes a salt for a day that has none.
    fn adopt(&self, day: NaiveDate, salt: Salt) -> io::Result<()> {
        let mut kept = self.kept();
        let mut days = kept.days.clone();
        days.entry(day).or_insert(salt);
        self.replace(&mut kept, days)
    }

    /// Destroys the salts of days that are over.
    fn destroy_outdated(&self, now: DateTime<Utc>) -> io::Result<()> {
        let mut kept = self.kept();
        let mut days = kept.days.clone();
        days.retain(|day, _| *day >= oldest(now));
        if days.len() == kept.days.len() {
            return Ok(());
        }
        self.replace(&mut kept, days)
    }

    fn forgotten(&self) -> MutexGuard<'_, Option<NaiveDate>> {
        self.forgotten.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Only what is on the disk is used: a salt that is not would make other visitors of the same
    /// people after a restart.
    fn replace(&self, kept: &mut Kept, days: BTreeMap<NaiveDate, Salt>) -> io::Result<()> {
        let changed = Kept { days, import: kept.import };
        write(&self.path, &changed)?;
        *kept = changed;
        Ok(())
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The first day that is not over.
fn oldest(now: DateTime<Utc>) -> NaiveDate {
    (now - GRACE).date_naive()
}

fn write(path: &Path, kept: &Kept) -> io::Result<()> {
    replace_file(path, &serde_json::to_vec(kept)?)
}

fn visitor_hash(salt: &Salt, address: Option<IpAddr>, user_agent: &str) -> VisitorHash {
    let mut hash = Sha256::new().chain_update(salt);
    match address.map(|address| address.to_canonical()) {
        Some(IpAddr::V4(address)) => hash.update(address.octets()),
        Some(IpAddr::V6(address)) => hash.update(&address.octets()[..NETWORK_BYTES]),
        None => {}
    }
    // Addresses have two lengths; the separator keeps one from running into the user agent.
    hash.update([0]);
    hash.update(user_agent);
    let digest = hash.finalize();
    VisitorHash(digest.iter().take(8).fold(0, |number, byte| (number << 8) | u64::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(day: u32, hour: u32) -> DateTime<Utc> {
        NaiveDate::from_ymd_opt(2026, 1, day).unwrap().and_hms_opt(hour, 30, 0).unwrap().and_utc()
    }

    #[test]
    fn a_visitor_is_the_same_for_a_day_and_across_a_restart_and_nobody_afterwards() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("salts.json");
        let address = Some("203.0.113.9".parse().unwrap());
        let salts = VisitorSalts::open(&path).unwrap();
        let hash =
            |salts: &VisitorSalts, at, address, agent| salts.hash(at, at, address, agent).unwrap();
        let morning = hash(&salts, at(1, 8), address, "agent");
        assert_eq!(hash(&VisitorSalts::open(&path).unwrap(), at(1, 20), address, "agent"), morning);
        assert_ne!(hash(&salts, at(1, 8), address, "other"), morning);
        assert_ne!(hash(&salts, at(1, 8), None, "agent"), morning);
        assert_ne!(hash(&salts, at(2, 8), address, "agent"), morning);
    }

    /// Pitfall 13 in the field (privacy).
    #[test]
    fn who_comes_in_vain_is_another_visitor_for_the_same_day() {
        let dir = tempfile::tempdir().unwrap();
        let salts = VisitorSalts::open(&dir.path().join("salts.json")).unwrap();
        let address: IpAddr = "203.0.113.9".parse().unwrap();
        let in_vain = |when, agent| salts.hash_in_vain(when, when, address, agent).unwrap();
        assert_eq!(in_vain(at(1, 8), "agent"), in_vain(at(1, 20), "agent"));
        assert_ne!(in_vain(at(1, 8), "agent"), in_vain(at(2, 8), "agent"));
        assert_ne!(in_vain(at(1, 8), "agent"), in_vain(at(1, 8), "other"));
        let click = salts.hash(at(1, 8), at(1, 8), Some(address), "agent").unwrap();
        assert_ne!(in_vain(at(1, 8), "agent"), click);
    }

    /// Trap 15 (U25, R16).
    #[test]
    fn trap_15_a_visitor_is_an_ipv4_address_or_an_ipv6_network() {
        let dir = tempfile::tempdir().unwrap();
        let salts = VisitorSalts::open(&dir.path().join("salts.json")).unwrap();
        let hash = |address: &str| {
            let address = Some(address.parse().unwrap());
            let live = salts.hash(at(1, 8), at(1, 8), address, "agent").unwrap();
            (live, salts.hash_imported(at(1, 8), address, "agent"))
        };
        assert_eq!(hash("2001:db8:1:2::7"), hash("2001:db8:1:2:ffff::1"));
        assert_ne!(hash("2001:db8:1:2::7"), hash("2001:db8:1:3::7"));
        assert_ne!(hash("192.0.2.1"), hash("192.0.2.2"));
        assert_eq!(hash("192.0.2.1"), hash("::ffff:192.0.2.1"));
    }

    /// A full disk: a salt that could not be written is not used by the next visit either.
    #[test]
    fn a_salt_that_can_t_be_kept_is_no_salt() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("salts.json");
        let salts = VisitorSalts::open(&path).unwrap();
        let in_the_way = path.with_extension("new");
        fs::create_dir(&in_the_way).unwrap();
        for _ in 0..2 {
            salts.keep(at(1, 8), at(1, 8)).unwrap_err();
            salts.hash(at(1, 8), at(1, 8), None, "a").unwrap_err();
        }
        fs::remove_dir(&in_the_way).unwrap();
        let hash = salts.hash(at(1, 8), at(1, 8), None, "a").unwrap();
        let again = VisitorSalts::open(&path).unwrap().hash(at(1, 9), at(1, 9), None, "a").unwrap();
        assert_eq!(hash, again);
    }

    #[test]
    fn a_salt_is_destroyed_an_hour_after_its_day() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("salts.json");
        let salts = VisitorSalts::open(&path).unwrap();
        let first = salts.hash(at(1, 23), at(1, 23), None, "a").unwrap();
        assert_eq!(salts.hash(at(1, 23), at(2, 0), None, "a").unwrap(), first, "within the hour");
        salts.hash(at(2, 2), at(2, 2), None, "a").unwrap();
        let file = fs::read_to_string(&path).unwrap();
        assert!(!file.contains("2026-01-01") && file.contains("2026-01-02"), "{file}");
        assert_ne!(salts.hash(at(1, 23), at(2, 2), None, "a").unwrap(), first);
    }

    /// Clicks that a full disk held back for hours are not a visitor each.
    #[test]
    fn visits_that_are_recorded_late_are_told_apart_as_others_are() {
        let dir = tempfile::tempdir().unwrap();
        let salts = VisitorSalts::open(&dir.path().join("salts.json")).unwrap();
        let late = |agent| salts.hash(at(1, 23), at(2, 3), None, agent).unwrap();
        let visitors = [late("a"), late("a"), late("b")];
        assert_eq!(visitors[0], visitors[1]);
        assert_ne!(visitors[0], visitors[2]);
        salts.hash(at(2, 3), at(2, 3), None, "a").unwrap();
        let file = fs::read_to_string(dir.path().join("salts.json")).unwrap();
        assert!(!file.contains("2026-01-01"), "what is over is destroyed: {file}");
    }

    #[test]
    fn an_import_gives_the_same_visitors_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("salts.json");
        let hash = |day| VisitorSalts::open(&path).unwrap().hash_imported(at(day, 1), None, "a");
        assert_eq!(hash(1), hash(1));
        assert_ne!(hash(1), hash(2));
    }
}

//! Passwords of links, hashed and checked with argon2id: off the threads that answer, and a few at a time.
//!
//! One hash takes 19 MiB and about 15 ms of a core, which is the point of it. So whoever can ask for
//! many must not get many at once: visitors and owners have lanes of their own, each with a bound on how many
//! are worked on and how many wait, and bulk requests stand in the owners' lane with one password at a time.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread::available_parallelism;

use argon2::password_hash::phc;
use argon2::{Algorithm, Argon2, Params, PasswordHasher as _, PasswordVerifier as _, Version};
use hoplog_events::link::PasswordHash;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::domain::password::Password;

/// What OWASP asks of argon2id at least: memory in KiB, passes, lanes.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// A hash that would take more than this is none of ours, and is not computed.
const MEMORY_KIB_MAX: u32 = 64 * 1024;
const PASSES_MAX: u32 = 8;

/// Random bytes in a hash. It also keeps passes from being forged, see [`crate::http::visit`].
const SALT_BYTES: usize = 16;

/// Passwords of one lane that are worked on at the same time, at most: a quarter of the cores, one at least and no more
/// than this.
const AT_ONCE_MAX: usize = 8;

/// Passwords of one lane that are worked on or wait, at most. Further ones are refused at once.
const PLACES: usize = 64;

/// Who wants a password hashed or checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// Somebody who follows a link.
    Visitor,
    /// The owner of one link.
    Owner,
    /// The owner of many.
    Bulk,
}

/// Hashes and checks passwords.
#[derive(Debug)]
pub struct Passwords {
    visitors: Desk,
    owners: Desk,
    /// The one password of all bulk requests that may stand in the owners' lane.
    bulk: Semaphore,
}

/// Why a password was neither hashed nor checked.
#[derive(Debug, thiserror::Error)]
pub enum HashingError {
    /// Try again in a moment.
    #[error("too many passwords are being checked")]
    Busy,
    /// This is a mistake in the program, or on the log.
    #[error("a password can't be hashed or checked: {0}")]
    Broken(String),
}

/// How many are worked on, and how many may wait.
#[derive(Debug)]
struct Desk {
    turns: Arc<Semaphore>,
    places: Arc<Semaphore>,
}

impl Desk {
    fn new(at_once: usize) -> Self {
        Self {
            turns: Arc::new(Semaphore::new(at_once)),
            places: Arc::new(Semaphore::new(PLACES.max(at_once))),
        }
    }

    /// Does the work on a thread for such. Whoever hangs up while it is done leaves it to its end: the bound
    /// is one of memory.
    async fn done<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, HashingError> + Send + 'static,
    ) -> Result<T, HashingError> {
        let place = Arc::clone(&self.places).try_acquire_owned();
        let place = place.map_err(|_| HashingError::Busy)?;
        let turn = Arc::clone(&self.turns).acquire_owned().await;
        let turn = turn.map_err(|_| HashingError::Busy)?;
        let working = tokio::task::spawn_blocking(move || {
            let done = work();
            drop((turn, place));
            done
        });
        working.await.map_err(|error| HashingError::Broken(error.to_string()))?
    }
}

impl Default for Passwords {
    fn default() -> Self {
        let cores = available_parallelism().map_or(1, NonZeroUsize::get);
        Self::new((cores / 4).clamp(1, AT_ONCE_MAX))
    }
}

impl Passwords {
    fn new(at_once: usize) -> Self {
        Self { visitors: Desk::new(at_once), owners: Desk::new(at_once), bulk: Semaphore::new(1) }
    }

    /// The desk of a lane; with the turn of bulk requests, which is to be held.
    async fn desk(&self, lane: Lane) -> (&Desk, Option<SemaphorePermit<'_>>) {
        match lane {
            Lane::Visitor => (&self.visitors, None),
            Lane::Owner => (&self.owners, None),
            Lane::Bulk => (&self.owners, self.bulk.acquire().await.ok()),
        }
    }

    /// Hashes a password, with a salt that no other hash has.
    ///
    /// # Errors
    /// See [`HashingError`].
    pub async fn hash(&self, lane: Lane, password: Password) -> Result<PasswordHash, HashingError> {
        let (desk, _turn) = self.desk(lane).await;
        desk.done(move || hashed(&password)).await
    }

    /// Whether a password is the one that was hashed.
    ///
    /// # Errors
    /// See [`HashingError`].
    pub async fn is_right(
        &self,
        lane: Lane,
        password: Password,
        hash: PasswordHash,
    ) -> Result<bool, HashingError> {
        let (desk, _turn) = self.desk(lane).await;
        desk.done(move || is_hash_of(&password, &hash)).await
    }

    /// The hash that there is if it is one of this password, else a new one: who sets the password that is set
    /// changes nothing.
    ///
    /// # Errors
    /// See [`HashingError`].
    pub async fn kept_or_hashed(
        &self,
        lane: Lane,
        password: Password,
        before: Option<PasswordHash>,
    ) -> Result<PasswordHash, HashingError> {
        let (desk, _turn) = self.desk(lane).await;
        let work = move || match before {
            // One that can't be checked is replaced.
            Some(before) if matches!(is_hash_of(&password, &before), Ok(true)) => Ok(before),
            _ => hashed(&password),
        };
        desk.done(work).await
    }
}

fn broken(error: impl std::fmt::Display) -> HashingError {
    HashingError::Broken(error.to_string())
}

fn hashed(password: &Password) -> Result<PasswordHash, HashingError> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).map_err(broken)?;
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let salt: [u8; SALT_BYTES] = rand::random();
    let hash = argon2.hash_password_with_salt(password.reveal().as_bytes(), &salt);
    let hash: phc::PasswordHash = hash.map_err(broken)?;
    hash.to_string().parse().map_err(broken)
}

/// What the hash says it takes is what is computed: it comes from the log, where it was written by this or
/// imported by an operator.
fn is_hash_of(password: &Password, hash: &PasswordHash) -> Result<bool, HashingError> {
    let hash = phc::PasswordHash::new(hash.as_str()).map_err(broken)?;
    let params = Params::try_from(&hash).map_err(broken)?;
    if params.m_cost() > MEMORY_KIB_MAX || params.t_cost() > PASSES_MAX {
        return Err(broken("the hash takes too much"));
    }
    Ok(Argon2::default().verify_password(password.reveal().as_bytes(), &hash).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::future::join_all;

    fn password(text: &str) -> Password {
        text.parse().unwrap()
    }

    #[tokio::test]
    async fn a_hash_is_of_one_password_and_no_two_are_alike() {
        let passwords = Passwords::default();
        let hash = passwords.hash(Lane::Owner, password("sesame")).await.unwrap();
        assert!(hash.as_str().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", hash.as_str());
        let other = passwords.hash(Lane::Bulk, password("sesame")).await.unwrap();
        assert_ne!(hash, other);
        for (guess, is_right) in [("sesame", true), ("Sesame", false), ("sesame ", false)] {
            let told = passwords.is_right(Lane::Visitor, password(guess), hash.clone()).await;
            assert_eq!(told.unwrap(), is_right, "{guess}");
        }
        let kept = |text| passwords.kept_or_hashed(Lane::Owner, password(text), Some(hash.clone()));
        assert_eq!(kept("sesame").await.unwrap(), hash);
        assert_ne!(kept("other").await.unwrap(), hash);
        let broken = Some("$argon2id$nonsense".parse().unwrap());
        let kept = passwords.kept_or_hashed(Lane::Owner, password("sesame"), broken).await;
        assert!(kept.unwrap().as_str().starts_with("$argon2id$v=19$"));
    }

    #[tokio::test]
    async fn a_hash_that_takes_too_much_or_is_none_is_not_computed() {
        let passwords = Passwords::default();
        for text in [
            "$argon2id$v=19$m=4194304,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA$aGFzaGhhc2hoYXNoaGFzaA",
            "$argon2id$v=19$m=19456,t=4000,p=1$c2FsdHNhbHRzYWx0c2FsdA$aGFzaGhhc2hoYXNoaGFzaA",
            "$argon2id$nonsense",
        ] {
            let told = passwords.is_right(Lane::Visitor, password("a"), text.parse().unwrap());
            assert!(matches!(told.await, Err(HashingError::Broken(_))), "{text}");
        }
    }

    /// A flood of guesses takes bounded memory and time, and whoever owns a link does not wait behind it.
    #[tokio::test]
    async fn who_asks_for_too_much_is_refused_and_holds_up_nobody_else() {
        let passwords = Passwords::new(1);
        let hash = passwords.hash(Lane::Owner, password("a")).await.unwrap();
        let turns = Arc::clone(&passwords.visitors.turns).acquire_owned().await.unwrap();
        let guesses =
            (0..PLACES + 7).map(|_| passwords.is_right(Lane::Visitor, password("b"), hash.clone()));
        let owner = async {
            passwords.hash(Lane::Owner, password("c")).await.unwrap();
            drop(turns);
        };
        let (told, ()) = tokio::join!(join_all(guesses), owner);
        let refused = told.iter().filter(|one| matches!(one, Err(HashingError::Busy))).count();
        assert_eq!(refused, 7);
        assert!(told.iter().flatten().all(|is_right| !is_right));
    }

    /// Of a bulk request one password stands in the lane: the next owner waits for two at most.
    #[tokio::test]
    async fn a_bulk_request_takes_one_place_of_its_lane() {
        let passwords = Passwords::new(1);
        let turn = Arc::clone(&passwords.owners.turns).acquire_owned().await.unwrap();
        let bulk = join_all((0..8).map(|_| passwords.hash(Lane::Bulk, password("a"))));
        let look = async {
            tokio::task::yield_now().await;
            let taken = PLACES - passwords.owners.places.available_permits();
            drop(turn);
            taken
        };
        let (hashes, taken) = tokio::join!(bulk, look);
        assert_eq!((hashes.len(), taken), (8, 1));
        assert!(hashes.iter().all(Result::is_ok));
    }
}

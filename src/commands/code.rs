//! Codes that the service makes.
//!
//! `random` codes are claimed on the log like any other: the log decides whether a code is free,
//! so two nodes that draw the same one can't both have it. `snowflake` codes are 63-bit numbers
//! of time, worker and count, and claimed all the same.

use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, Utc};
use hoplog_events::link::ShortCode;
use rand::RngExt;
use sha2::{Digest, Sha256};

use super::worker::WorkerId;
use crate::config::Codes;
use crate::domain::alias::is_reserved;
use crate::domain::base62::{ALPHABET, encode};

/// Characters of a random code: 62^7 = 3.5 × 10^12 codes, so a guess hits one link in a million
/// when there are 3.5 million links.
const RANDOM_CODE_CHARS: usize = 7;

/// Characters of a code that an idempotency key seeds: 62^10, too many to meet by chance.
const SEEDED_CODE_CHARS: usize = 10;

/// How many codes are drawn until one is no reserved word; fewer than one in 10^9 is one.
const DRAWS_MAX: usize = 4;

/// 2025-01-01T00:00:00Z: the instant that snowflake milliseconds are counted from.
const EPOCH_MS: u64 = 1_735_689_600_000;

/// Bits below the milliseconds: 5 of the datacenter, 5 of the worker, 12 of the sequence.
const NODE_AND_SEQUENCE_BITS: u32 = 22;

/// Codes per millisecond and worker.
const SEQUENCE_MAX: u64 = (1 << 12) - 1;

/// Makes codes.
#[derive(Debug)]
pub enum CodeMaker {
    /// Nobody can guess the next.
    Random,
    /// Unique without asking, in order of time, guessable.
    Snowflake(Snowflake),
}

impl CodeMaker {
    /// A maker for the strategy that is set.
    #[must_use]
    pub fn new(codes: Codes, worker: WorkerId) -> Self {
        match codes {
            Codes::Random => CodeMaker::Random,
            Codes::Snowflake => CodeMaker::Snowflake(Snowflake::new(worker)),
        }
    }

    /// Goes on as another worker.
    pub fn become_worker(&self, worker: WorkerId) {
        if let CodeMaker::Snowflake(snowflake) = self {
            snowflake.worker.store(worker.0, Ordering::Relaxed);
        }
    }

    /// The next code; `None` never happens with the alphabet as it is.
    #[must_use]
    pub fn make(&self, now: DateTime<Utc>) -> Option<ShortCode> {
        first_free(|| match self {
            CodeMaker::Random => random(),
            CodeMaker::Snowflake(snowflake) => encode(snowflake.next(now)).parse().ok(),
        })
    }
}

/// The first code that is no word of the service: a link called `metrics` could not be reached.
fn first_free(draw: impl FnMut() -> Option<ShortCode>) -> Option<ShortCode> {
    std::iter::repeat_with(draw).take(DRAWS_MAX).flatten().find(|code| !is_reserved(code.as_str()))
}

fn random() -> Option<ShortCode> {
    let mut rng = rand::rng();
    // `random_range` draws without modulo bias, from a cryptographically secure generator.
    let code: String =
        (0..RANDOM_CODE_CHARS).map(|_| char::from(ALPHABET[rng.random_range(0..62)])).collect();
    code.parse().ok()
}

/// The code that a seed stands for: the same seed meets its own claim again.
#[must_use]
pub fn seeded(seed: &[u8]) -> Option<ShortCode> {
    let hash = Sha256::digest(seed);
    let number =
        hash.iter().take(16).fold(0_u128, |number, byte| (number << 8) | u128::from(*byte));
    let digit = |place: u32| {
        let digit = number / 62_u128.pow(place) % 62;
        char::from(ALPHABET[usize::try_from(digit).unwrap_or_default()])
    };
    (0..SEEDED_CODE_CHARS)
        .map(|place| digit(u32::try_from(place).unwrap_or_default()))
        .collect::<String>()
        .parse()
        .ok()
}

/// Time-ordered numbers: 41 bits of milliseconds, 10 of the node, 12 of a count.
#[derive(Debug)]
pub struct Snowflake {
    worker: AtomicU16,
    /// The last millisecond that was used and how many of its numbers are gone.
    last: Mutex<(u64, u64)>,
}

impl Snowflake {
    /// A maker that has made nothing yet.
    #[must_use]
    pub fn new(worker: WorkerId) -> Self {
        Self { worker: AtomicU16::new(worker.0), last: Mutex::new((0, SEQUENCE_MAX)) }
    }

    /// The next number: always greater than the one before. When the clock stands still or goes
    /// back, it borrows from the milliseconds to come instead of failing or repeating itself.
    pub fn next(&self, now: DateTime<Utc>) -> u64 {
        let now_ms = u64::try_from(now.timestamp_millis()).unwrap_or(0).saturating_sub(EPOCH_MS);
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let (last_ms, sequence) = *last;
        *last = if now_ms > last_ms {
            (now_ms, 0)
        } else if sequence < SEQUENCE_MAX {
            (last_ms, sequence + 1)
        } else {
            (last_ms + 1, 0)
        };
        let worker = u64::from(self.worker.load(Ordering::Relaxed));
        (last.0 << NODE_AND_SEQUENCE_BITS) | (worker << 12) | last.1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::alias::RESERVED;
    use proptest::prelude::*;
    use std::collections::HashSet;

    fn at_ms(ms: u64) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(i64::try_from(EPOCH_MS + ms).unwrap()).unwrap()
    }

    /// Trap 6 (U2, U7): 64-bit arithmetic, a clock that stands still or goes back.
    #[test]
    fn trap_6_numbers_grow_whatever_the_clock_does() {
        let snowflake = Snowflake::new(WorkerId(5));
        let mut last = 0;
        let border = 1_u64 << 32;
        let clock =
            [0, 0, 1_023, 1_024, border - 1, border, border + 1, 5, 0, border + 2, (1 << 41) - 100];
        for ms in clock {
            for _ in 0..10_000 {
                let next = snowflake.next(at_ms(ms));
                assert!(next > last, "{next} after {last} at {ms}");
                last = next;
            }
        }
        assert!(last < 1 << 63);
        assert_eq!((last >> 12) & 1_023, 5);
    }

    #[test]
    fn random_codes_have_seven_characters_of_the_alphabet_and_do_not_repeat() {
        let codes: HashSet<_> = (0..10_000).map(|_| random().unwrap()).collect();
        assert_eq!(codes.len(), 10_000);
        assert!(
            codes.iter().all(|code| code.as_str().len() == 7
                && code.as_str().bytes().all(|b| ALPHABET.contains(&b)))
        );
    }

    /// Trap 7 (U8): neighbours in time are no neighbours in name.
    #[test]
    fn trap_7_random_codes_use_every_character_everywhere() {
        let codes: Vec<_> = (0..20_000).map(|_| random().unwrap()).collect();
        for place in 0..7 {
            let seen: HashSet<u8> =
                codes.iter().map(|code| code.as_str().as_bytes()[place]).collect();
            assert_eq!(seen.len(), 62, "at place {place}");
        }
    }

    /// Trap 9 (U12, U13): what is drawn is held to the same words as what is chosen.
    #[test]
    fn trap_9_a_word_of_the_service_is_drawn_again() {
        let mut drawn = ["metrics", "OpenAPI", "aB3xY9z", "unused0"].into_iter();
        let code = first_free(|| drawn.next()?.parse().ok());
        assert_eq!(code, "aB3xY9z".parse().ok());
    }

    /// A seed has one code and can't be drawn again.
    #[test]
    fn trap_9_no_word_of_the_service_looks_like_a_seeded_code() {
        let like = |word: &str| word.len() == SEEDED_CODE_CHARS && !word.contains('-');
        assert!(!RESERVED.iter().any(|word| like(word)));
    }

    proptest! {
        #[test]
        fn a_seed_stands_for_one_code(one: [u8; 8], other: [u8; 8]) {
            prop_assert_eq!(seeded(&one), seeded(&one));
            prop_assert_eq!(seeded(&one) == seeded(&other), one == other);
        }
    }
}

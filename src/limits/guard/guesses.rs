//! Guesses at the passwords of links: charged before they are looked at, so that guesses at the same time are
//! no way around the limit, and given back if they are right.

use std::net::IpAddr;
use std::time::Duration;

use hyper::Method;

use super::{Limits, Refused};
use crate::limits::who::Asker;
use crate::ratelimit::{Outcome, Receipt};

/// When to come back where nobody says.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// A guess that may be looked at, and what it was charged. Dropped, it stays charged: whoever hangs up has guessed
/// all the same.
#[must_use = "a right password costs nothing"]
#[derive(Debug, Default)]
pub struct Guess {
    receipt: Option<Receipt>,
}

impl Limits {
    /// Whether somebody may try a password of a link.
    ///
    /// # Errors
    /// When too many before were wrong, or are still being looked at.
    pub async fn may_guess(
        &self,
        (method, address): (&Method, IpAddr),
        link: &str,
    ) -> Result<Guess, Refused> {
        let book = self.book.load_full();
        let asker = Asker { address, principal: None };
        let charges = book.rules.wrong_password((method, &asker), link)?;
        let Some(mut verdict) = self.decide_if_any(&book, charges).await? else {
            return Ok(Guess::default());
        };
        if !verdict.decision.is_allowed() {
            return Err(Refused::Until(verdict.decision.retry_after().unwrap_or(RETRY_AFTER)));
        }
        Ok(Guess { receipt: verdict.decision.take_receipt() })
    }

    /// The password is right, or could not be looked at: it costs nothing.
    pub fn forgive(&self, guess: Guess) {
        if let Some(receipt) = guess.receipt {
            self.limiter.refund_soon(receipt, Outcome::Void);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use super::*;
    use crate::limits::Rules;
    use crate::ratelimit::{Limiter, MonotonicClock};

    fn limits() -> Limits {
        let subjects = NonZeroUsize::new(1_000).unwrap();
        let limiter = Limiter::in_process(subjects, MonotonicClock::set_by_hand());
        Limits::new(Rules::builtin().unwrap(), limiter)
    }

    async fn guesses(limits: &Limits, address: &str, link: &str, count: usize) -> Vec<Guess> {
        let mut passed = Vec::new();
        for _ in 0..count {
            let guess = limits.may_guess((&Method::POST, address.parse().unwrap()), link).await;
            passed.extend(guess.ok());
        }
        passed
    }

    /// Fault 6 of passwords in the field: guessing is neither free nor cheaper in parallel.
    #[tokio::test]
    async fn guesses_are_charged_before_they_are_known_to_be_wrong() {
        let limits = limits();
        assert_eq!(guesses(&limits, "203.0.113.9", "default/a", 30).await.len(), 10);
        assert_eq!(guesses(&limits, "203.0.113.9", "default/b", 1).await.len(), 0);
        assert_eq!(guesses(&limits, "203.0.113.10", "default/a", 30).await.len(), 10);
    }

    #[tokio::test]
    async fn many_addresses_have_one_limit_for_a_link() {
        let limits = limits();
        let mut passed = 0;
        for host in 0..20 {
            let address = format!("203.0.113.{host}");
            passed += guesses(&limits, &address, "default/a", 10).await.len();
        }
        assert_eq!(passed, 100);
        assert_eq!(guesses(&limits, "203.0.113.200", "default/b", 1).await.len(), 1);
    }

    #[tokio::test]
    async fn a_right_password_costs_nothing() {
        let limits = limits();
        for _ in 0..300 {
            for guess in guesses(&limits, "203.0.113.9", "default/a", 1).await {
                limits.forgive(guess);
            }
        }
        assert_eq!(guesses(&limits, "203.0.113.9", "default/a", 30).await.len(), 10);
    }
}

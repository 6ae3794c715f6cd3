//! Codes that somebody looks for and that are not at hand: who guesses is charged before the look, for a
//! hit tells as much as a miss.

use std::net::IpAddr;
use std::sync::Arc;

use hyper::Method;

use super::{Book, Limits, Refused, passed};
use crate::limits::who::Asker;
use crate::ratelimit::{Charge, Decision, Outcome};

/// A look for a code, and what it was charged. Dropped, it stays charged: somebody who hangs up has looked
/// all the same, as what was found is at hand then.
#[must_use = "a code that is somebody's costs nothing"]
#[derive(Debug, Default)]
pub struct Look {
    charged: Option<Charged>,
}

/// What a look was charged, and the book that the charges are of: its meters know them also when other rules
/// are in place by then.
#[derive(Debug)]
struct Charged {
    book: Arc<Book>,
    charges: Vec<Charge>,
    decision: Decision,
}

impl Limits {
    /// Whether somebody may look for a code that is not at hand: as many at the same time as would be
    /// nobody's. This node alone decides, and no request waits for it.
    ///
    /// # Errors
    /// When too many that they looked for were nobody's, or are still looked for.
    pub fn may_look(&self, method: &Method, address: IpAddr) -> Result<Look, Refused> {
        let book = self.book.load();
        let charges = book.rules.unknown_code(method, &Asker { address, principal: None })?;
        if charges.is_empty() {
            return Ok(Look::default());
        }
        let decision = self.limiter.decide_here(&charges)?;
        if let Err(refused) = passed(&decision) {
            book.meters.decided(&charges, &decision);
            return Err(refused);
        }
        Ok(Look { charged: Some(Charged { book: Arc::clone(&book), charges, decision }) })
    }

    /// The code is somebody's: it costs nothing.
    pub fn found(&self, look: Look) {
        let receipt = look.charged.and_then(|mut charged| charged.decision.take_receipt());
        if let Some(receipt) = receipt {
            self.limiter.refund_soon(receipt, Outcome::Void);
        }
    }

    /// The code is nobody's. No more are told to be so by all nodes together than the limit says.
    ///
    /// # Errors
    /// When there were too many before.
    pub async fn found_nobody(&self, look: Look) -> Result<(), Refused> {
        let Some(Charged { book, charges, decision }) = look.charged else { return Ok(()) };
        if self.limiter.is_shared() {
            let verdict = self.decide_by(&book, charges).await?;
            return passed(&verdict.decision);
        }
        book.meters.decided(&charges, &decision);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use super::*;
    use crate::limits::Rules;
    use crate::ratelimit::{Limiter, MonotonicClock};

    const ADDRESS: &str = "203.0.113.9";

    fn limits() -> Limits {
        let subjects = NonZeroUsize::new(100).unwrap();
        let limiter = Limiter::in_process(subjects, MonotonicClock::set_by_hand());
        Limits::new(Rules::builtin().unwrap(), limiter)
    }

    fn looks(limits: &Limits, count: usize) -> Vec<Look> {
        let look = |_| limits.may_look(&Method::GET, ADDRESS.parse().unwrap());
        (0..count).map(look).filter_map(Result::ok).collect()
    }

    /// Trap 7 of the shortener (U26): guesses at the same time are no way around the limit.
    #[tokio::test]
    async fn trap_7_of_many_looks_at_once_no_more_begin_than_the_limit() {
        let limits = limits();
        let looks_at_once = looks(&limits, 200);
        assert_eq!(looks_at_once.len(), 60, "before any is over");
        for look in looks_at_once {
            assert_eq!(limits.found_nobody(look).await, Ok(()));
        }
        assert_eq!(looks(&limits, 200).len(), 0);
    }

    #[tokio::test]
    async fn a_look_that_finds_something_costs_nothing() {
        let limits = limits();
        for _ in 0..200 {
            let mut looks = looks(&limits, 60);
            assert_eq!(looks.len(), 60);
            looks.drain(..).for_each(|look| limits.found(look));
        }
    }

    /// Trap 7 of the shortener (U26): nor is hanging up.
    #[tokio::test]
    async fn trap_7_who_hangs_up_has_looked() {
        let limits = limits();
        drop(looks(&limits, 60));
        assert_eq!(looks(&limits, 1).len(), 0);
    }
}

//! The limits of this process: which rules hold now, and what they decide.

mod guesses;
mod looks;
mod reports;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use hyper::Method;
use smallvec::SmallVec;

use super::meters::Meters;
use super::rules::{ApiRequest, Rules};
use super::who::Asker;
use crate::ratelimit::{Charge, ChargeError, ChargeRef, Decision, Limiter};
pub use guesses::Guess;
pub use looks::Look;

/// What is limited, and what has been counted.
#[derive(Debug)]
pub struct Limits {
    book: ArcSwap<Book>,
    limiter: Arc<Limiter>,
}

/// Rules and their meters, put in place together.
#[derive(Debug)]
struct Book {
    rules: Rules,
    meters: Meters,
}

/// A visitor is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// Until so much later.
    Until(Duration),
    /// By a mistake in the program: what can't be charged does not pass.
    Uncharged,
}

/// Charges, and what was decided about them.
#[derive(Debug)]
pub struct Verdict {
    /// What was to be paid.
    pub charges: Vec<Charge>,
    /// Whether it was.
    pub decision: Decision,
}

impl Limits {
    /// Limits that count in `limiter`, which may share its counts with other nodes.
    #[must_use]
    pub fn new(rules: Rules, limiter: Limiter) -> Self {
        Self { book: ArcSwap::from_pointee(Book::new(rules)), limiter: Arc::new(limiter) }
    }

    /// Puts other rules in place. Policies that stay the same keep what they have counted.
    pub fn replace(&self, rules: Rules) {
        self.book.store(Arc::new(Book::new(rules)));
    }

    /// Looks something up in the rules that hold now.
    pub fn rules<T>(&self, look: impl FnOnce(&Rules) -> T) -> T {
        look(&self.book.load().rules)
    }

    /// What keeps the counts.
    #[must_use]
    pub fn limiter(&self) -> &Arc<Limiter> {
        &self.limiter
    }

    /// Whether the store that is shared with other nodes can't be asked right now; `None`: there is none.
    #[must_use]
    pub fn is_degraded(&self) -> Option<bool> {
        self.limiter.is_shared().then(|| self.limiter.is_degraded())
    }

    /// Whether somebody may follow a link. It is counted by this node alone and waits for nobody.
    ///
    /// # Errors
    /// When not.
    pub fn redirect(&self, method: &Method, address: IpAddr) -> Result<(), Refused> {
        let book = self.book.load();
        let asker = Asker { address, principal: None };
        let mut charges: SmallVec<[ChargeRef<'_>; 1]> = SmallVec::new();
        for charge in book.rules.redirect(method, &asker) {
            charges.push(charge?);
        }
        let decision = match charges.as_slice() {
            [] => return Ok(()),
            [charge] => self.limiter.decide_one_here(charge),
            charges => self.limiter.decide_here(charges)?,
        };
        book.meters.decided(&charges, &decision);
        passed(&decision)
    }

    /// What a request to the API costs.
    ///
    /// # Errors
    /// When it can't be charged.
    pub fn api(&self, request: &ApiRequest<'_>) -> Result<Vec<Charge>, ChargeError> {
        self.book.load().rules.api(request)
    }

    /// Charges for links that are made at once; `None`: they cost nothing.
    ///
    /// # Errors
    /// When there are more than could ever pass.
    pub async fn bulk(
        &self,
        asker: &Asker<'_>,
        links: u32,
    ) -> Result<Option<Verdict>, ChargeError> {
        let book = self.book.load_full();
        let charges = book.rules.bulk(asker, links)?;
        self.decide_if_any(&book, charges).await
    }

    /// Charges a key that does not work; `None`: it costs nothing.
    ///
    /// # Errors
    /// When it can't be charged.
    pub async fn auth_failed(
        &self,
        asked: (&Method, &Asker<'_>),
        prefix: &str,
    ) -> Result<Option<Verdict>, ChargeError> {
        let book = self.book.load_full();
        let charges = book.rules.auth_failure(asked, prefix)?;
        self.decide_if_any(&book, charges).await
    }

    /// Whether a key that works, but could be guessed, comes where too many did not work; nothing is
    /// taken.
    ///
    /// # Errors
    /// When it can't be charged.
    pub async fn auth_is_blocked(
        &self,
        asked: (&Method, &Asker<'_>),
        prefix: &str,
    ) -> Result<Option<Verdict>, ChargeError> {
        // One book throughout: a policy that is replaced meanwhile has its meters in this one only.
        let book = self.book.load_full();
        let charges = book.rules.auth_failure(asked, prefix)?;
        if charges.is_empty() {
            return Ok(None);
        }
        let decision = self.limiter.peek(&charges).await?;
        if decision.is_allowed() {
            return Ok(None);
        }
        book.meters.decided(&charges, &decision);
        Ok(Some(Verdict { charges, decision }))
    }

    async fn decide_if_any(
        &self,
        book: &Book,
        charges: Vec<Charge>,
    ) -> Result<Option<Verdict>, ChargeError> {
        if charges.is_empty() {
            return Ok(None);
        }
        self.decide_by(book, charges).await.map(Some)
    }

    /// Decides, wherever it is counted.
    ///
    /// # Errors
    /// When it can't be charged.
    pub async fn decide(&self, charges: Vec<Charge>) -> Result<Verdict, ChargeError> {
        let book = self.book.load_full();
        self.decide_by(&book, charges).await
    }

    /// Decides, and counts it in the book that the charges are of.
    async fn decide_by(&self, book: &Book, charges: Vec<Charge>) -> Result<Verdict, ChargeError> {
        let began = Instant::now();
        let decision = self.limiter.decide(&charges).await?;
        book.decided(&charges, &decision, began.elapsed());
        Ok(Verdict { charges, decision })
    }

    /// Counts what was decided.
    pub fn decided(&self, charges: &[Charge], decision: &Decision, took: Duration) {
        self.book.load().decided(charges, decision, took);
    }

    /// Sets the gauges: subjects held, and whether the shared store can't be asked.
    pub fn measure(&self) {
        let state = self.limiter.state();
        let gauge = |name: &'static str, value: usize| {
            metrics::gauge!(name).set(f64::from(u32::try_from(value).unwrap_or(u32::MAX)));
        };
        metrics::counter!("hoplog_ratelimit_store_refusals_total").absolute(state.store_refusals);
        gauge("hoplog_ratelimit_subjects", state.subjects);
        gauge("hoplog_ratelimit_denied_subjects", state.denied);
        gauge("hoplog_ratelimit_leases", state.leases);
        gauge("hoplog_ratelimit_degraded", usize::from(self.is_degraded().unwrap_or(false)));
    }
}

impl Book {
    fn new(rules: Rules) -> Self {
        Self { meters: Meters::new(&rules), rules }
    }

    fn decided(&self, charges: &[Charge], decision: &Decision, took: Duration) {
        self.meters.decided(charges, decision);
        self.meters.took(took);
    }
}

impl From<ChargeError> for Refused {
    fn from(error: ChargeError) -> Self {
        tracing::error!(%error, "a visitor can't be charged, and is refused");
        Self::Uncharged
    }
}

fn passed(decision: &Decision) -> Result<(), Refused> {
    decision.retry_after().map_or(Ok(()), |after| Err(Refused::Until(after)))
}

//! A circuit breaker: whether it is worth asking somebody who has not answered of late.
//!
//! ```text
//!            too many failures                     pause is over
//!   Closed ────────────────────► Open ──────────────────────────► HalfOpen
//!     ▲                           ▲          a probe fails            │
//!     │                           └───────────────────────────────────┤
//!     └────────────── enough probes in a row, one at a time ──────────┘
//! ```
//!
//! Every change of state begins a new generation, and every permit belongs to one: the answer to a
//! question that was asked in an older one changes nothing. No timer changes the state either: who
//! asks for a probe looks at the clock.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// So many failures in a row open it.
pub(crate) const FAILURES_IN_A_ROW_MAX: u32 = 3;

/// How many of the last calls are looked at.
const WINDOW: u32 = 32;

/// So many calls must have been made before more than three of five that failed, or were slow, open it.
const CALLS_MIN: u32 = 16;

/// So many probes in a row close it.
const PROBES: u32 = 2;

/// How things stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerState {
    /// Calls are made.
    Closed,
    /// One call at a time finds out whether it is over.
    HalfOpen,
    /// No calls are made.
    Open,
}

impl BreakerState {
    /// In one word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::HalfOpen => "half-open",
            Self::Open => "open",
        }
    }
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// With an answer, be it a refusal.
    Answered,
    /// With an answer that came too late to be of much use.
    Slow,
    /// Without one in time, or with word that there will be none.
    Failed,
    /// So that no other could be answered: the connection is gone.
    Lost,
}

#[derive(Debug)]
struct Inner {
    generation: u64,
    phase: Phase,
}

#[derive(Debug)]
enum Phase {
    /// The last calls, one bit each, the newest lowest; 1: it failed, or was slow.
    Closed {
        calls: u32,
        useless: u32,
        in_a_row: u32,
    },
    Open {
        until: Instant,
    },
    HalfOpen {
        probing: bool,
        passed: u32,
    },
}

const FRESH: Phase = Phase::Closed { calls: 0, useless: 0, in_a_row: 0 };

/// Whether to ask.
#[derive(Debug)]
pub(crate) struct Breaker {
    /// How long nothing is tried after it opened, at most: half of it at least, by chance, so that
    /// nodes do not come back together.
    pause: Duration,
    inner: Mutex<Inner>,
    /// To be read without the lock.
    state: AtomicU8,
}

impl Breaker {
    /// One that is open, and may be probed at once.
    pub(crate) fn open(pause: Duration, now: Instant) -> Self {
        let inner = Inner { generation: 0, phase: Phase::Open { until: now } };
        Self { pause, inner: Mutex::new(inner), state: AtomicU8::new(BreakerState::Open as u8) }
    }

    /// How things stand.
    pub(crate) fn state(&self) -> BreakerState {
        match self.state.load(Ordering::Acquire) {
            0 => BreakerState::Closed,
            1 => BreakerState::HalfOpen,
            _ => BreakerState::Open,
        }
    }

    /// To make a call; `None`: don't.
    pub(crate) fn permit(&self) -> Option<Permit<'_>> {
        if self.state() != BreakerState::Closed {
            return None;
        }
        let inner = self.inner();
        let is_closed = matches!(inner.phase, Phase::Closed { .. });
        is_closed.then(|| Permit::new(self, inner.generation))
    }

    /// To find out whether it is over; `None`: too early, or somebody is finding out.
    pub(crate) fn probe(&self, now: Instant) -> Option<Permit<'_>> {
        let mut inner = self.inner();
        match &mut inner.phase {
            Phase::Open { until } if *until <= now => {
                self.enter(&mut inner, Phase::HalfOpen { probing: true, passed: 0 });
            }
            Phase::HalfOpen { probing, .. } if !*probing => *probing = true,
            Phase::Closed { .. } | Phase::HalfOpen { .. } | Phase::Open { .. } => return None,
        }
        Some(Permit::new(self, inner.generation))
    }

    /// When the next probe may be made; `None`: now, or it is closed.
    pub(crate) fn opens_until(&self) -> Option<Instant> {
        match self.inner().phase {
            Phase::Open { until } => Some(until),
            Phase::Closed { .. } | Phase::HalfOpen { .. } => None,
        }
    }

    fn settle(&self, generation: u64, outcome: Outcome, now: Instant) {
        let mut inner = self.inner();
        if inner.generation != generation {
            return;
        }
        let next = match &mut inner.phase {
            Phase::Closed { calls, useless, in_a_row } => {
                let failed = matches!(outcome, Outcome::Failed | Outcome::Lost);
                *calls = (*calls + 1).min(WINDOW);
                *useless = *useless << 1 | u32::from(outcome != Outcome::Answered);
                *in_a_row = if failed { *in_a_row + 1 } else { 0 };
                let many = *calls >= CALLS_MIN && useless.count_ones() * 5 > *calls * 3;
                let trips = outcome == Outcome::Lost || *in_a_row >= FAILURES_IN_A_ROW_MAX || many;
                trips.then(|| self.opened(now))
            }
            Phase::HalfOpen { probing, passed } if outcome == Outcome::Answered => {
                *probing = false;
                *passed += 1;
                (*passed >= PROBES).then_some(FRESH)
            }
            Phase::HalfOpen { .. } => Some(self.opened(now)),
            Phase::Open { .. } => None,
        };
        if let Some(next) = next {
            self.enter(&mut inner, next);
        }
    }

    fn opened(&self, now: Instant) -> Phase {
        Phase::Open { until: now + self.pause.mul_f64(rand::random_range(0.5..1.0)) }
    }

    fn enter(&self, inner: &mut Inner, phase: Phase) {
        let state = match phase {
            Phase::Closed { .. } => BreakerState::Closed,
            Phase::HalfOpen { .. } => BreakerState::HalfOpen,
            Phase::Open { .. } => BreakerState::Open,
        };
        inner.generation += 1;
        inner.phase = phase;
        self.state.store(state as u8, Ordering::Release);
    }

    /// What a panic elsewhere left is still a state.
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call that may be made. One that is dropped without an outcome was given up by whoever made
/// it, which says nothing; of a probe it means that it failed.
#[derive(Debug)]
pub(crate) struct Permit<'a> {
    breaker: &'a Breaker,
    generation: u64,
    settled: bool,
}

impl<'a> Permit<'a> {
    fn new(breaker: &'a Breaker, generation: u64) -> Self {
        Self { breaker, generation, settled: false }
    }

    /// The call has ended. Changes nothing if the state has changed since it began.
    pub(crate) fn settle(mut self, outcome: Outcome) {
        self.settled = true;
        self.breaker.settle(self.generation, outcome, Instant::now());
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if !self.settled && self.breaker.state() == BreakerState::HalfOpen {
            self.breaker.settle(self.generation, Outcome::Failed, Instant::now());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use BreakerState::{Closed, HalfOpen, Open};

    const PAUSE: Duration = Duration::from_secs(10);

    fn closed() -> Breaker {
        let breaker = Breaker::open(PAUSE, Instant::now());
        for _ in 0..PROBES {
            breaker.probe(Instant::now()).unwrap().settle(Outcome::Answered);
        }
        assert_eq!(breaker.state(), Closed);
        breaker
    }

    fn call(breaker: &Breaker, outcome: Outcome) {
        breaker.permit().unwrap().settle(outcome);
    }

    fn over() -> Instant {
        Instant::now() + PAUSE
    }

    #[test]
    fn failures_in_a_row_open_it_and_single_ones_do_not() {
        let breaker = closed();
        for _ in 0..100 {
            call(&breaker, Outcome::Failed);
            call(&breaker, Outcome::Answered);
        }
        assert_eq!(breaker.state(), Closed, "half of the calls are answered");
        for _ in 0..FAILURES_IN_A_ROW_MAX {
            call(&breaker, Outcome::Failed);
        }
        assert_eq!(breaker.state(), Open);
        assert!(breaker.permit().is_none() && breaker.probe(Instant::now()).is_none());
    }

    #[test]
    fn a_lost_connection_or_more_failures_than_answers_open_it() {
        let breaker = closed();
        call(&breaker, Outcome::Lost);
        assert_eq!(breaker.state(), Open);
        let breaker = closed();
        for n in 0..CALLS_MIN {
            assert_eq!(breaker.state(), Closed, "{n}");
            call(&breaker, if n % 3 == 0 { Outcome::Answered } else { Outcome::Failed });
        }
        assert_eq!(breaker.state(), Open);
    }

    /// Trap 15: a server that answers everything, but too late for whoever asks, is not asked.
    #[test]
    fn slow_answers_open_it_unless_they_are_few() {
        let breaker = closed();
        for n in 0..10 * WINDOW {
            call(&breaker, if n % 2 == 0 { Outcome::Slow } else { Outcome::Answered });
        }
        assert_eq!(breaker.state(), Closed, "half of the answers are of use");
        let breaker = closed();
        for n in 0..CALLS_MIN {
            assert_eq!(breaker.state(), Closed, "{n}");
            call(&breaker, Outcome::Slow);
        }
        assert_eq!(breaker.state(), Open);
        breaker.probe(over()).unwrap().settle(Outcome::Slow);
        assert_eq!(breaker.state(), Open, "it is still slow");
    }

    /// Trap 9 (C18): half-open lets one through at a time.
    #[test]
    fn of_a_hundred_who_ask_in_half_open_one_is_let_through() {
        let breaker = closed();
        call(&breaker, Outcome::Lost);
        let probes: Vec<_> = (0..100).filter_map(|_| breaker.probe(over())).collect();
        assert_eq!((probes.len(), breaker.state()), (1, HalfOpen));
        assert!((0..100).all(|_| breaker.permit().is_none()), "callers wait for the probes");
        for probe in probes {
            probe.settle(Outcome::Answered);
        }
        assert_eq!(breaker.state(), HalfOpen, "one answer may be luck");
        breaker.probe(over()).unwrap().settle(Outcome::Answered);
        assert_eq!(breaker.state(), Closed);
    }

    #[test]
    fn a_probe_that_fails_or_is_given_up_opens_it_again() {
        let breaker = closed();
        call(&breaker, Outcome::Lost);
        breaker.probe(over()).unwrap().settle(Outcome::Failed);
        assert_eq!(breaker.state(), Open);
        drop(breaker.probe(over()).unwrap());
        assert_eq!(breaker.state(), Open);
        assert!(breaker.probe(Instant::now()).is_none(), "and the pause begins anew");
    }

    /// Trap 16 (C18): a late answer changes no newer state, and one failure too many starts no
    /// second pause.
    #[test]
    fn what_was_asked_in_an_older_state_changes_nothing() {
        let breaker = closed();
        let late: Vec<_> = (0..100).map(|_| breaker.permit().unwrap()).collect();
        call(&breaker, Outcome::Lost);
        let until = breaker.opens_until().unwrap();
        for (n, permit) in late.into_iter().enumerate() {
            permit.settle(if n % 2 == 0 { Outcome::Answered } else { Outcome::Lost });
        }
        assert_eq!((breaker.state(), breaker.opens_until()), (Open, Some(until)));

        let old_probe = breaker.probe(over()).unwrap();
        // It was given up for lost, and others have closed the breaker since.
        let mut inner = breaker.inner();
        breaker.enter(&mut inner, FRESH);
        drop(inner);
        old_probe.settle(Outcome::Failed);
        assert_eq!(breaker.state(), Closed);
    }
}

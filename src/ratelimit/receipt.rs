//! What is needed to give charges back.

use smallvec::SmallVec;

use super::arithmetic::Numbers;
use super::charge::Charge;
use super::policy::Refund;

/// How a request ended, for policies that count only some.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// As it was meant to.
    Success,
    /// Otherwise.
    Failure,
    /// It turned out to be nothing that the policies are for: what it was charged is given back under all that
    /// give back anything.
    Void,
}

/// What a request was charged. It can be given back once, as it is consumed by that.
#[derive(Debug)]
pub struct Receipt {
    pub(super) place: Place,
    /// Of the request: unique in this process.
    pub(super) request: u64,
    pub(super) taken: Vec<Taken>,
}

/// Who has charged it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Here,
    Store,
}

/// What was taken of one subject under one policy, and what that left behind in each tier.
#[derive(Debug, Clone)]
pub(super) struct Taken {
    pub(super) charge: Charge,
    pub(super) marks: SmallVec<[Numbers; 1]>,
}

impl Receipt {
    /// In a box, as most requests have none; `None`: nothing that was taken is ever given back.
    pub(super) fn of(place: Place, request: u64, taken: Vec<Taken>) -> Option<Box<Self>> {
        (!taken.is_empty()).then(|| Box::new(Self { place, request, taken }))
    }

    /// Only what is to be given back after such an end; `None`: nothing is.
    pub(super) fn due(mut self, outcome: Outcome) -> Option<Self> {
        let is_due = |refund| match outcome {
            Outcome::Success => refund == Refund::OnSuccess,
            Outcome::Failure => refund == Refund::OnFailure,
            Outcome::Void => refund != Refund::Never,
        };
        self.taken.retain(|taken| is_due(taken.charge.policy().refund()));
        (!self.taken.is_empty()).then_some(self)
    }
}

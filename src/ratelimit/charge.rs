//! What a request costs whom.

use std::sync::Arc;

use super::policy::{Policy, PolicyName};
use super::subject::Subject;

/// The most charges of a request.
pub const CHARGES_MAX: usize = 8;

/// What a request costs one subject under one policy.
#[derive(Debug, Clone)]
pub struct Charge {
    policy: Arc<Policy>,
    subject: Subject,
    cost: u32,
}

/// The request asks for what no limit can answer: correct the request, or whoever makes the charges.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChargeError {
    /// It costs nothing.
    #[error("a request costs at least 1 of the policy {policy}")]
    NoCost {
        /// Of this policy.
        policy: PolicyName,
    },
    /// It would never pass.
    #[error("{cost} is more than the policy {policy} ever allows at once: {capacity}")]
    AboveCapacity {
        /// Of this policy.
        policy: PolicyName,
        /// What it would cost.
        cost: u32,
        /// What the policy's smallest tier holds.
        capacity: u32,
    },
    /// Too many charges.
    #[error("a request has at most {CHARGES_MAX} charges")]
    TooMany,
    /// The same subject twice under the same policy.
    #[error("the policy {policy} would charge the same subject twice")]
    Twice {
        /// This policy.
        policy: PolicyName,
    },
}

impl Charge {
    /// A cost that can pass.
    ///
    /// # Errors
    /// When the cost is 0, or more than the policy ever allows at once.
    pub fn new(policy: Arc<Policy>, subject: Subject, cost: u32) -> Result<Self, ChargeError> {
        let capacity = policy.capacity();
        if cost == 0 {
            return Err(ChargeError::NoCost { policy: policy.name().clone() });
        }
        if cost > capacity {
            let policy = policy.name().clone();
            return Err(ChargeError::AboveCapacity { policy, cost, capacity });
        }
        Ok(Self { policy, subject, cost })
    }

    /// The policy.
    #[must_use]
    pub fn policy(&self) -> &Arc<Policy> {
        &self.policy
    }

    /// Who is charged.
    #[must_use]
    pub fn subject(&self) -> Subject {
        self.subject
    }

    /// How much, in units.
    #[must_use]
    pub fn cost(&self) -> u32 {
        self.cost
    }

    /// What it comes to under a policy that may hold less: never more than that can hold.
    pub(super) fn under(&self, policy: Arc<Policy>) -> Self {
        let cost = self.cost.min(policy.capacity());
        Self { policy, subject: self.subject, cost }
    }

    /// The same for so many units: what is taken ahead, or given back of it.
    pub(super) fn of(&self, cost: u32) -> Self {
        Self { cost, ..self.clone() }
    }

    /// What is counted: whoever has the same is counted together.
    pub(super) fn key(&self) -> Key {
        Key { version: self.policy.version(), subject: self.subject }
    }
}

/// A policy's version and a subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) version: u64,
    pub(super) subject: Subject,
}

/// Whether charges can be decided together.
pub(super) fn check(charges: &[Charge]) -> Result<(), ChargeError> {
    if charges.len() > CHARGES_MAX {
        return Err(ChargeError::TooMany);
    }
    for (n, charge) in charges.iter().enumerate() {
        let is_same = |other: &Charge| other.key() == charge.key();
        if charges[..n].iter().any(is_same) {
            return Err(ChargeError::Twice { policy: charge.policy.name().clone() });
        }
    }
    Ok(())
}

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

/// The same with a policy that is lent, for a decision that does not outlive it: making it and letting it go
/// changes nothing that threads share.
#[derive(Debug, Clone, Copy)]
pub struct ChargeRef<'a> {
    policy: &'a Arc<Policy>,
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
        ChargeRef::new(&policy, subject, cost)?;
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
        ChargeRef::from(self).key()
    }
}

impl<'a> ChargeRef<'a> {
    /// A cost that can pass.
    ///
    /// # Errors
    /// When the cost is 0, or more than the policy ever allows at once.
    #[inline]
    pub fn new(policy: &'a Arc<Policy>, subject: Subject, cost: u32) -> Result<Self, ChargeError> {
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
    pub fn policy(&self) -> &'a Arc<Policy> {
        self.policy
    }

    /// How much, in units.
    #[must_use]
    pub fn cost(&self) -> u32 {
        self.cost
    }

    /// One that may outlive the loan.
    #[must_use]
    pub fn to_charge(self) -> Charge {
        Charge { policy: Arc::clone(self.policy), subject: self.subject, cost: self.cost }
    }

    #[inline]
    pub(super) fn key(&self) -> Key {
        Key { what: self.policy.version() ^ self.subject.sort(), whom: self.subject.halves() }
    }
}

impl<'a> From<&'a Charge> for ChargeRef<'a> {
    #[inline]
    fn from(Charge { policy, subject, cost }: &'a Charge) -> Self {
        Self { policy, subject: *subject, cost: *cost }
    }
}

impl<'a> From<&ChargeRef<'a>> for ChargeRef<'a> {
    #[inline]
    fn from(charge: &ChargeRef<'a>) -> Self {
        *charge
    }
}

/// What is counted, small, as memory holds many: the policy's version, mixed with the sort of the subject,
/// and who of that sort it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Key {
    what: u64,
    whom: [u64; 2],
}

/// Whether charges can be decided together.
#[inline]
pub(super) fn check<'a, C>(charges: &'a [C]) -> Result<(), ChargeError>
where
    &'a C: Into<ChargeRef<'a>>,
{
    if charges.len() > CHARGES_MAX {
        return Err(ChargeError::TooMany);
    }
    for (n, charge) in charges.iter().enumerate().skip(1) {
        let charge: ChargeRef<'_> = charge.into();
        let is_same = |other: &'a C| other.into().key() == charge.key();
        if charges[..n].iter().any(is_same) {
            return Err(ChargeError::Twice { policy: charge.policy.name().clone() });
        }
    }
    Ok(())
}

//! A policy: a name, tiers that hold together, and what happens at the edges.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::tier::Tier;

/// The most tiers of a policy.
pub const TIERS_MAX: usize = 8;

/// The longest name of a policy, in bytes.
const NAME_BYTES_MAX: usize = 64;

/// The name of a policy: 1 to 64 of `a-z`, `0-9` and `-`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PolicyName(Arc<str>);

impl PolicyName {
    /// As it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PolicyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for PolicyName {
    type Err = PolicyError;

    fn from_str(text: &str) -> Result<Self, PolicyError> {
        let is_fine = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let fits = (1..=NAME_BYTES_MAX).contains(&text.len()) && text.bytes().all(is_fine);
        fits.then(|| Self(text.into())).ok_or(PolicyError::Name)
    }
}

/// Correct the policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// The name.
    #[error("the name of a policy has 1 to 64 characters of a-z, 0-9 and -")]
    Name,
    /// None, or too many tiers.
    #[error("a policy has 1 to {TIERS_MAX} tiers")]
    Tiers,
}

/// What happens while the shared store can't be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Outage {
    /// All pass, uncounted.
    Open,
    /// None pass.
    Closed,
    /// This node admits its share of the limit.
    #[default]
    Local,
}

/// Whether what was taken is given back when it is known how the request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Refund {
    /// Every request counts.
    #[default]
    Never,
    /// Only failed requests count.
    OnSuccess,
    /// Only successful requests count.
    OnFailure,
    /// All count that were what the policy is for: what turns out to be something else does not.
    IfVoid,
}

/// A name, tiers that hold together, and what happens at the edges. Share it in an `Arc`.
#[derive(Debug, Clone)]
pub struct Policy {
    name: PolicyName,
    tiers: Box<[Tier]>,
    outage: Outage,
    refund: Refund,
    shadow: bool,
    version: u64,
    /// What the smallest tier holds.
    capacity: u32,
    has_log: bool,
}

impl Policy {
    /// A policy that refuses, counts every request, and falls back on the node's share.
    ///
    /// # Errors
    /// When it has no tiers, or too many.
    pub fn new(name: PolicyName, tiers: Vec<Tier>) -> Result<Self, PolicyError> {
        if !(1..=TIERS_MAX).contains(&tiers.len()) {
            return Err(PolicyError::Tiers);
        }
        let version = version(&name, &tiers, NonZeroU32::MIN);
        let (outage, refund) = (Outage::default(), Refund::default());
        let (capacity, has_log) = (capacity(&tiers), tiers.iter().any(Tier::is_log));
        let (tiers, shadow) = (tiers.into(), false);
        Ok(Self { name, tiers, outage, refund, shadow, version, capacity, has_log })
    }

    /// With another behaviour while the shared store can't be asked.
    #[must_use]
    pub fn with_outage(self, outage: Outage) -> Self {
        Self { outage, ..self }
    }

    /// With another rule for refunds.
    #[must_use]
    pub fn with_refund(self, refund: Refund) -> Self {
        Self { refund, ..self }
    }

    /// One that counts and reports, but never refuses.
    #[must_use]
    pub fn with_shadow(self, shadow: bool) -> Self {
        Self { shadow, ..self }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &PolicyName {
        &self.name
    }

    /// Its tiers, at least one.
    #[must_use]
    pub fn tiers(&self) -> &[Tier] {
        &self.tiers
    }

    /// What happens while the shared store can't be asked.
    #[must_use]
    pub fn outage(&self) -> Outage {
        self.outage
    }

    /// Whether something is given back.
    #[must_use]
    pub fn refund(&self) -> Refund {
        self.refund
    }

    /// Whether it only counts and reports.
    #[must_use]
    pub fn is_shadow(&self) -> bool {
        self.shadow
    }

    /// Of its name and tiers. It is a part of every key, so that no policy reads what another, or
    /// itself with other tiers, has counted; a policy that stays the same keeps its counts.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The most that a request may cost: what its smallest tier can hold.
    #[must_use]
    pub fn capacity(&self) -> u32 {
        self.capacity
    }

    /// Whether its requests need names: what they took is taken out again by name.
    pub(super) fn names_requests(&self) -> bool {
        self.gives_back() || self.has_log
    }

    /// Whether anything is given back after some end of a request.
    pub(super) fn gives_back(&self) -> bool {
        self.refund != Refund::Never
    }

    /// Whether a tier keeps an entry for every unit.
    pub(super) fn has_log(&self) -> bool {
        self.has_log
    }

    /// What one of so many nodes may admit alone. It has a version of its own.
    pub(super) fn share(&self, nodes: NonZeroU32) -> Self {
        let tiers: Vec<Tier> = self.tiers.iter().map(|tier| tier.share(nodes)).collect();
        // Also alone: what is counted here during an outage is not what `decide_here` counts.
        let version = version(&self.name, &self.tiers, nodes.saturating_add(1));
        let capacity = capacity(&tiers);
        Self { tiers: tiers.into(), version, capacity, ..self.clone() }
    }
}

fn capacity(tiers: &[Tier]) -> u32 {
    tiers.iter().map(Tier::capacity).min().unwrap_or(0)
}

fn version(name: &PolicyName, tiers: &[Tier], share: NonZeroU32) -> u64 {
    let mut hash = Sha256::new();
    hash.update(share.get().to_be_bytes());
    for tier in tiers {
        let window = tier.window().as_secs();
        hash.update([tier.algorithm() as u8]);
        hash.update(
            [u64::from(tier.limit()), window, u64::from(tier.capacity())]
                .map(u64::to_be_bytes)
                .concat(),
        );
    }
    hash.update(name.as_str());
    let digest: [u8; 32] = hash.finalize().into();
    digest.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::tier::Algorithm;
    use super::*;

    fn policy(name: &str, limit: u32) -> Policy {
        let tier = Tier::new(Algorithm::Gcra, limit, Duration::from_mins(1), None).unwrap();
        Policy::new(name.parse().unwrap(), vec![tier]).unwrap()
    }

    #[test]
    fn a_policy_has_a_plain_name_and_some_tiers() {
        for wrong in ["", "A", "a b", "a\"", "ä", &"a".repeat(65)] {
            assert_eq!(wrong.parse::<PolicyName>(), Err(PolicyError::Name), "{wrong}");
        }
        let name: PolicyName = "links-per-minute".parse().unwrap();
        assert_eq!(Policy::new(name.clone(), Vec::new()).unwrap_err(), PolicyError::Tiers);
        let tiers = vec![policy("a", 1).tiers()[0]; 9];
        assert_eq!(Policy::new(name, tiers).unwrap_err(), PolicyError::Tiers);
    }

    #[test]
    fn the_version_changes_with_what_is_counted_and_with_nothing_else() {
        let version = policy("a", 7).version();
        let other = policy("a", 7).with_shadow(true).with_outage(Outage::Open);
        assert_eq!(other.with_refund(Refund::OnFailure).version(), version);
        assert_ne!(policy("a", 8).version(), version);
        assert_ne!(policy("b", 7).version(), version);
        let share = policy("a", 7).share(NonZeroU32::MIN);
        assert_ne!(share.version(), version, "an outage is counted apart");
        let share = policy("a", 7).share(NonZeroU32::new(2).unwrap());
        assert_eq!(share.tiers()[0].limit(), 3);
        let share = policy("a", 7).share(NonZeroU32::new(20).unwrap());
        assert_eq!(share.tiers()[0].limit(), 1, "at least one");
    }
}

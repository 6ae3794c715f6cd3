//! What became of a link: the word for it, the same in rules, read models and answers.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What became of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LinkState {
    /// It redirects, unless its expiry instant has passed and nobody noticed yet.
    Active,
    /// It redirects no more, until it is enabled.
    Disabled,
    /// Its expiry instant has passed.
    Expired,
    /// It leads nowhere until it is released: the extras say why, and what it is then.
    Quarantined,
    /// It is gone.
    Deleted,
}

/// A text that names no state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a state: expected active, disabled, expired, quarantined or deleted")]
pub struct UnknownState;

impl LinkState {
    /// Every state.
    pub const ALL: [LinkState; 5] =
        [Self::Active, Self::Disabled, Self::Expired, Self::Quarantined, Self::Deleted];

    /// The name in tables and answers.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Disabled => "disabled",
            Self::Expired => "expired",
            Self::Quarantined => "quarantined",
            Self::Deleted => "deleted",
        }
    }
}

impl FromStr for LinkState {
    type Err = UnknownState;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|state| state.name() == text).ok_or(UnknownState)
    }
}

//! A policy file as people write it: TOML, with the place of every word, so that a mistake is named
//! with its line.

use std::ops::Range;

use serde::Deserialize;
use toml::{Spanned, Value};

/// A policy file that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct PolicyFileError {
    /// Where, counted from 1.
    pub line: usize,
    /// What is wrong there, and what is allowed; one line.
    pub reason: String,
}

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PolicyFile {
    /// Whether the policies that are built in hold as well.
    #[serde(default = "yes")]
    pub(super) builtin: bool,
    #[serde(default)]
    pub(super) policies: Vec<Spanned<Written>>,
}

fn yes() -> bool {
    true
}

/// A settings file, of which only the part about limits is read.
#[derive(Debug, Deserialize)]
struct SettingsFile {
    rate_limits: PolicyFile,
}

/// One policy.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Written {
    pub(super) name: Spanned<String>,
    #[serde(rename = "match")]
    pub(super) matches: Spanned<Matches>,
    #[serde(default)]
    pub(super) except: Except,
    pub(super) by: Spanned<String>,
    pub(super) tiers: Spanned<Vec<Spanned<WrittenTier>>>,
    pub(super) cost: Option<Spanned<Value>>,
    pub(super) outage: Option<Spanned<String>>,
    pub(super) refund: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) shadow: bool,
}

/// What is limited.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Matches {
    pub(super) routes: Vec<Spanned<String>>,
    pub(super) methods: Vec<Spanned<String>>,
    pub(super) addresses: Vec<Spanned<String>>,
    pub(super) keys: Vec<Spanned<String>>,
    pub(super) owners: Vec<Spanned<String>>,
    pub(super) scopes: Vec<Spanned<String>>,
    pub(super) new_for: Option<Spanned<String>>,
}

/// Who is not limited.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Except {
    pub(super) methods: Vec<Spanned<String>>,
    pub(super) addresses: Vec<Spanned<String>>,
    pub(super) keys: Vec<Spanned<String>>,
    pub(super) owners: Vec<Spanned<String>>,
    pub(super) scopes: Vec<Spanned<String>>,
}

/// One tier.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenTier {
    pub(super) limit: Spanned<i64>,
    pub(super) per: Spanned<String>,
    pub(super) algorithm: Option<Spanned<String>>,
    pub(super) burst: Option<Spanned<i64>>,
}

/// The text of a file, to find the line of a place in it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Text<'a>(pub(super) &'a str);

impl Text<'_> {
    /// A mistake at a place.
    pub(super) fn wrong(self, at: Range<usize>, reason: impl Into<String>) -> PolicyFileError {
        let before = self.0.get(..at.start).unwrap_or(self.0);
        let line = 1 + before.matches('\n').count();
        PolicyFileError { line, reason: reason.into() }
    }

    /// Reads a file of policies.
    pub(super) fn read(self) -> Result<PolicyFile, PolicyFileError> {
        toml::from_str(self.0).map_err(|error| self.unreadable(&error))
    }

    /// Reads the part about limits of a settings file.
    pub(super) fn read_settings(self) -> Result<PolicyFile, PolicyFileError> {
        let read: Result<SettingsFile, _> = toml::from_str(self.0);
        read.map(|file| file.rate_limits).map_err(|error| self.unreadable(&error))
    }

    fn unreadable(self, error: &toml::de::Error) -> PolicyFileError {
        let reason: Vec<&str> = error.message().lines().map(str::trim).collect();
        self.wrong(error.span().unwrap_or_default(), reason.join(" "))
    }
}

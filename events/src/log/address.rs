//! What the addresses of all logs have in common: `scheme://host?name=value&…`.

use std::time::Duration;

/// A URL that can't be used. Says which part, and what is allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name} is {value:?}; allowed: {allowed}")]
pub struct OptionsError {
    /// The part.
    pub name: String,
    /// What was written.
    pub value: String,
    /// What may be written.
    pub allowed: &'static str,
}

/// What [`duration`] reads.
pub(super) const DURATIONS: &str = "a whole number with s, m, h or d, such as 365d";

/// A length of time as addresses have it.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let unit = match text.chars().next_back()? {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return None,
    };
    let count: u32 = text[..text.len() - 1].parse().ok().filter(|count| *count > 0)?;
    Some(Duration::from_secs(u64::from(count) * unit))
}

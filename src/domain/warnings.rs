//! What an owner should know about a destination that is allowed all the same.

use std::fmt;

use hoplog_events::link::Destination;
use unicode_security::{MixedScript, RestrictionLevel, RestrictionLevelDetection};

/// Something to know about a destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Warning {
    /// The host mixes alphabets or imitates Latin letters (Unicode TR 39).
    HomographHost {
        /// The host as a browser may show it.
        unicode: String,
    },
}

impl Warning {
    /// What programs may rely on.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Warning::HomographHost { .. } => "homograph_host",
        }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Warning::HomographHost { unicode } => {
                write!(f, "the host may be shown as {unicode}, which looks like another name")
            }
        }
    }
}

/// What there is to know about a destination.
#[must_use]
pub fn warnings(url: &Destination) -> Vec<Warning> {
    // Only a host with a punycode label can deceive; everything else is plain ASCII.
    if !url.as_str().contains("xn--") {
        return Vec::new();
    }
    let host = url.to_url().and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default();
    let (unicode, _) = idna::domain_to_unicode(&host);
    if unicode.split('.').any(deceives) {
        vec![Warning::HomographHost { unicode }]
    } else {
        Vec::new()
    }
}

/// A label that mixes scripts, or is written wholly in letters that look Latin but are not.
fn deceives(label: &str) -> bool {
    if label.is_ascii() {
        return false;
    }
    let mixed = !label.is_single_script()
        && label.detect_restriction_level() > RestrictionLevel::HighlyRestrictive;
    let skeleton: String = unicode_security::confusable_detection::skeleton(label).collect();
    mixed || skeleton.is_ascii()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(url: &str) -> Vec<&'static str> {
        warnings(&url.parse().unwrap()).iter().map(Warning::code).collect()
    }

    /// Trap 8 (U15).
    #[test]
    fn trap_8_homographs_are_shown_as_such() {
        assert_eq!(codes("https://аpple.com/"), ["homograph_host"], "Cyrillic а");
        assert_eq!(codes("https://аррӏе.com/"), ["homograph_host"], "all Cyrillic");
        for honest in
            ["https://example.com/", "https://пример.рф/", "https://例え.jp/", "https://bücher.de/"]
        {
            assert!(codes(honest).is_empty(), "{honest}");
        }
    }
}

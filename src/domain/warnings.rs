//! What an owner should know about a link that is allowed all the same.

use std::fmt;

use super::link::destinations;
use hoplog_events::link::{Destination, Extras, RedirectStatus};
use unicode_security::{MixedScript, RestrictionLevel, RestrictionLevelDetection};

/// Something to know about a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Warning {
    /// The host mixes alphabets or imitates Latin letters (Unicode TR 39).
    HomographHost {
        /// The host as a browser may show it.
        unicode: String,
    },
    /// Browsers keep the redirect for good.
    PermanentRedirect {
        /// The status.
        status: u16,
    },
}

impl Warning {
    /// What programs may rely on.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Warning::HomographHost { .. } => "homograph_host",
            Warning::PermanentRedirect { .. } => "permanent_redirect",
        }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Warning::HomographHost { unicode } => {
                write!(f, "the host may be shown as {unicode}, which looks like another name")
            }
            Warning::PermanentRedirect { status } => write!(
                f,
                "browsers keep a {status} for good: they may never ask again, so later edits, an end \
                 and clicks can be missed"
            ),
        }
    }
}

/// What there is to know about a link to `url`, and to the destinations that its extras have.
#[must_use]
pub fn warnings(url: &Destination, extras: &Extras, redirect: RedirectStatus) -> Vec<Warning> {
    let mut warnings: Vec<_> = destinations(url, extras).filter_map(homograph).collect();
    if matches!(redirect, RedirectStatus::MovedPermanently | RedirectStatus::PermanentRedirect) {
        warnings.push(Warning::PermanentRedirect { status: redirect.into() });
    }
    warnings
}

fn homograph(url: &Destination) -> Option<Warning> {
    // Only a host with a punycode label can deceive; everything else is plain ASCII.
    if !url.as_str().contains("xn--") {
        return None;
    }
    let HostName { unicode, imitates, .. } = HostName::of(url);
    unicode.filter(|_| imitates).map(|unicode| Warning::HomographHost { unicode })
}

/// What the host of a destination is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostName {
    /// As names are asked for: in punycode.
    pub ascii: String,
    /// As browsers may show it; `None`: the same.
    pub unicode: Option<String>,
    /// Whether it mixes alphabets or imitates Latin letters (Unicode TR 39).
    pub imitates: bool,
}

impl HostName {
    /// That of a destination.
    #[must_use]
    pub fn of(url: &Destination) -> Self {
        let host = url.to_url().and_then(|url| url.host_str().map(str::to_owned));
        let ascii = host.unwrap_or_default();
        let (unicode, _) = idna::domain_to_unicode(&ascii);
        let imitates = unicode.split('.').any(deceives);
        Self { unicode: (unicode != ascii).then_some(unicode), ascii, imitates }
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
        warnings(&url.parse().unwrap(), &Extras::default(), RedirectStatus::Found)
            .iter()
            .map(Warning::code)
            .collect()
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

    #[test]
    fn every_destination_is_looked_at_and_what_is_kept_for_good_is_told() {
        let good = "https://example.com/".parse().unwrap();
        let bad = "https://аpple.com/";
        let extras = Extras { expired_url: bad.parse().ok(), ..Extras::default() };
        let codes = |redirect| -> Vec<_> {
            warnings(&good, &extras, redirect).iter().map(Warning::code).collect()
        };
        assert_eq!(codes(RedirectStatus::TemporaryRedirect), ["homograph_host"]);
        for permanent in [RedirectStatus::MovedPermanently, RedirectStatus::PermanentRedirect] {
            assert_eq!(codes(permanent), ["homograph_host", "permanent_redirect"]);
        }
        let rules = format!(r#"[{{"when":{{"visitor":"bot"}},"url":"{bad}"}}]"#);
        let rules = serde_json::from_str(&rules).unwrap();
        let of_rule =
            warnings(&good, &Extras { rules, ..Extras::default() }, RedirectStatus::Found);
        assert_eq!(of_rule.len(), 1, "trap 19");
        let split =
            format!(r#"[{{"name":"a","weight":1}},{{"name":"b","weight":1,"url":"{bad}"}}]"#);
        let split = serde_json::from_str(&split).unwrap();
        let of_variant =
            warnings(&good, &Extras { split, ..Extras::default() }, RedirectStatus::Found);
        assert_eq!(of_variant.len(), 1, "trap 19");
    }
}

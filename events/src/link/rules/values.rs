//! What conditions compare visitors with.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Host;

/// The most characters of a name or a word.
const WORD_CHARS_MAX: usize = 128;

/// The most characters of a parameter's name or value.
const PARAMETER_CHARS_MAX: usize = 256;

/// The most characters of the name of a rule or a variant.
const NAME_CHARS_MAX: usize = 64;

/// Why a text is no value of a condition. Each says what to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// Write the code of a country.
    #[error("must be two letters of ISO 3166, such as DE")]
    Country,
    /// Write a language.
    #[error("must be a language range of RFC 4647, such as de, pt-BR or *")]
    Language,
    /// Write a host, or all below one.
    #[error(
        "must be a host such as example.com, all below one such as *.example.com, or empty for visits without a referrer"
    )]
    Host,
    /// Write a word.
    #[error("must have 1 to {WORD_CHARS_MAX} characters, none of them a control character")]
    Word,
    /// Write a name.
    #[error("must have 1 to {NAME_CHARS_MAX} characters, none of them a control character")]
    Name,
    /// Shorten it.
    #[error("must have {PARAMETER_CHARS_MAX} characters at most, none of them a control character")]
    Parameter,
    /// Write a kind of device.
    #[error("must be desktop, mobile, tablet, bot or other")]
    Device,
    /// Write a kind of visitor.
    #[error("must be human or bot")]
    Visitor,
}

/// A checked text: read with `as_str`, made with `parse`.
macro_rules! value {
    ($(#[$doc:meta])* $name:ident, $check:ident) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
        )]
        #[serde(try_from = "String", into = "String")]
        #[schemars(with = "String")]
        pub struct $name(Box<str>);

        impl $name {
            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = ValueError;

            fn from_str(text: &str) -> Result<Self, ValueError> {
                $check(text).map(Self)
            }
        }

        impl TryFrom<String> for $name {
            type Error = ValueError;

            fn try_from(text: String) -> Result<Self, ValueError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> String {
                value.0.into()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

value! {
    /// The code of a country (ISO 3166), in upper case.
    Country, country
}
value! {
    /// A language range (RFC 4647), in lower case: `de` stands for `de-AT`, too; `*` for any language.
    LanguageRange, language
}
value! {
    /// The host that visitors come from, in punycode; `*.example.com`: any below that; empty: those who come from nowhere.
    HostPattern, host
}
value! {
    /// The name of a place, a browser or a system.
    Word, word
}
value! {
    /// The name of a rule or a variant, by which clicks tell where visitors were led.
    ServedName, name
}
value! {
    /// The name or the value of a parameter, as it is when it is decoded.
    ParameterText, parameter
}

fn country(text: &str) -> Result<Box<str>, ValueError> {
    let is_code = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_alphabetic());
    if is_code { Ok(text.to_ascii_uppercase().into()) } else { Err(ValueError::Country) }
}

/// `language-range = (1*8ALPHA *("-" 1*8alphanum)) / "*"`
fn language(text: &str) -> Result<Box<str>, ValueError> {
    let is_subtag = |part: &str| {
        (1..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
    };
    let primary = text.split('-').next().unwrap_or_default();
    let is_range = text.split('-').all(is_subtag)
        && primary.bytes().all(|byte| byte.is_ascii_alphabetic())
        && text.len() <= WORD_CHARS_MAX;
    if is_range || text == "*" {
        Ok(text.to_ascii_lowercase().into())
    } else {
        Err(ValueError::Language)
    }
}

fn host(text: &str) -> Result<Box<str>, ValueError> {
    if text.is_empty() {
        return Ok(text.into());
    }
    let (below, host) = text.strip_prefix("*.").map_or(("", text), |host| ("*.", host));
    match Host::parse(host.strip_suffix('.').unwrap_or(host)) {
        Ok(Host::Domain(host)) if !host.contains('*') => Ok(format!("{below}{host}").into()),
        Ok(host @ (Host::Ipv4(_) | Host::Ipv6(_))) if below.is_empty() => {
            Ok(host.to_string().into())
        }
        _ => Err(ValueError::Host),
    }
}

fn word(text: &str) -> Result<Box<str>, ValueError> {
    if is_line(text, WORD_CHARS_MAX) { Ok(text.into()) } else { Err(ValueError::Word) }
}

fn name(text: &str) -> Result<Box<str>, ValueError> {
    if is_line(text, NAME_CHARS_MAX) { Ok(text.into()) } else { Err(ValueError::Name) }
}

fn is_line(text: &str, chars_max: usize) -> bool {
    !text.trim().is_empty() && is_short(text, chars_max)
}

fn is_short(text: &str, chars_max: usize) -> bool {
    text.chars().nth(chars_max).is_none() && !text.chars().any(char::is_control)
}

/// A parameter may have an empty value, and nearly an empty name.
fn parameter(text: &str) -> Result<Box<str>, ValueError> {
    if is_short(text, PARAMETER_CHARS_MAX) { Ok(text.into()) } else { Err(ValueError::Parameter) }
}

/// A kind of device, as statistics name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Device {
    /// A computer on a desk or a lap.
    Desktop,
    /// A telephone.
    Mobile,
    /// A tablet.
    Tablet,
    /// No device of a person's.
    Bot,
    /// Anything else.
    Other,
}

impl Device {
    /// Every kind there is.
    const ALL: [Self; 5] = [Self::Desktop, Self::Mobile, Self::Tablet, Self::Bot, Self::Other];

    /// The name, as statistics have it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Desktop => "desktop",
            Self::Mobile => "mobile",
            Self::Tablet => "tablet",
            Self::Bot => "bot",
            Self::Other => "other",
        }
    }
}

impl FromStr for Device {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        Self::ALL.into_iter().find(|device| device.name() == text).ok_or(ValueError::Device)
    }
}

/// A person, or what is none: bots, previews, prefetches and `HEAD` requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum VisitorKind {
    /// A person, as far as one can tell.
    Human,
    /// Anything else.
    Bot,
}

impl FromStr for VisitorKind {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        match text {
            "human" => Ok(Self::Human),
            "bot" => Ok(Self::Bot),
            _ => Err(ValueError::Visitor),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spelled<T: FromStr + ToString>(text: &str) -> Option<String> {
        text.parse::<T>().ok().map(|value| value.to_string())
    }

    #[test]
    fn values_are_kept_in_one_spelling() {
        assert_eq!(spelled::<Country>("de").as_deref(), Some("DE"));
        assert_eq!(spelled::<LanguageRange>("pt-BR").as_deref(), Some("pt-br"));
        assert_eq!(spelled::<LanguageRange>("*").as_deref(), Some("*"));
        assert_eq!(spelled::<HostPattern>("*.BÜCHER.de").as_deref(), Some("*.xn--bcher-kva.de"));
        assert_eq!(spelled::<HostPattern>("192.0.2.1").as_deref(), Some("192.0.2.1"));
        assert_eq!(spelled::<HostPattern>("").as_deref(), Some(""));
        assert_eq!(spelled::<Word>("Zürich").as_deref(), Some("Zürich"));
    }

    #[test]
    fn what_can_match_nothing_is_refused() {
        for bad in ["", "D", "DEU", "4A", "Ö1"] {
            assert_eq!(spelled::<Country>(bad), None, "{bad}");
        }
        for bad in ["", "de_AT", "de-", "-de", "123", "abcdefghi", "de-*", "de;q=1", "é"] {
            assert_eq!(spelled::<LanguageRange>(bad), None, "{bad}");
        }
        for bad in
            ["*", "*.", "a.*.b", "https://e.com", "e.com/a", "*.192.0.2.1", "a b", "*.*.e.com"]
        {
            assert_eq!(spelled::<HostPattern>(bad), None, "{bad}");
        }
        for bad in ["", " ", "a\nb"] {
            assert_eq!(spelled::<Word>(bad), None, "{bad:?}");
            assert_eq!(spelled::<ServedName>(bad), None, "{bad:?}");
        }
        assert_eq!(spelled::<ParameterText>("").as_deref(), Some(""));
        assert_eq!(spelled::<ParameterText>(&"x".repeat(257)), None);
        assert!("phone".parse::<Device>().is_err() && "people".parse::<VisitorKind>().is_err());
    }
}

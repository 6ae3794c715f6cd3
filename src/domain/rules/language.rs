//! The language that a visitor likes best (RFC 9110, 12.5.4), and whether it is one that a rule names (RFC 4647).

use hoplog_events::link::LanguageRange;

/// How many ranges of a header are looked at.
const RANGES_MAX: usize = 32;

/// The language that a visitor likes best.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preferred<'a> {
    /// This one.
    Tag(&'a str),
    /// Any (`*`) but those that the header names otherwise, and that are liked less, or not at all.
    Any(&'a str, u16),
}

/// The one with the highest quality, the first of several; `None`: the visitor takes what comes.
#[must_use]
pub fn preferred(header: &str) -> Option<Preferred<'_>> {
    let mut best: Option<(&str, u16)> = None;
    for (range, quality) in ranges(header) {
        if quality > best.map_or(0, |(_, best)| best) {
            best = Some((range, quality));
        }
    }
    best.map(
        |(range, quality)| {
            if range == "*" { Preferred::Any(header, quality) } else { Preferred::Tag(range) }
        },
    )
}

impl Preferred<'_> {
    /// Basic filtering (RFC 4647, 3.3.1): a range stands for itself and for what is behind it and a hyphen.
    #[must_use]
    pub fn is_in(self, range: &LanguageRange) -> bool {
        match self {
            Self::Tag(tag) => is_in(tag, range.as_str()),
            Self::Any(header, best) => {
                let mut less =
                    ranges(header).filter(|(named, liked)| *named != "*" && *liked < best);
                range.as_str() == "*" || !less.any(|(named, _)| is_in(range.as_str(), named))
            }
        }
    }
}

fn is_in(tag: &str, range: &str) -> bool {
    let begins = tag.get(..range.len()).is_some_and(|start| start.eq_ignore_ascii_case(range));
    range == "*" || (begins && matches!(tag.as_bytes().get(range.len()), None | Some(b'-')))
}

/// The ranges of a header with their qualities in thousandths; what is none is left out.
fn ranges(header: &str) -> impl Iterator<Item = (&str, u16)> {
    header.split(',').take(RANGES_MAX).filter_map(|part| {
        let mut parts = part.split(';').map(str::trim);
        let range = parts.next().filter(|range| is_range(range))?;
        let quality = match parts.next() {
            None => 1_000,
            Some(weight) => weight
                .strip_prefix("q=")
                .or_else(|| weight.strip_prefix("Q="))
                .and_then(|weight| thousandths(weight.trim()))?,
        };
        Some((range, quality))
    })
}

fn is_range(text: &str) -> bool {
    let is_tag = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    text == "*" || (is_tag && text.starts_with(|first: char| first.is_ascii_alphabetic()))
}

/// A quality: `0` to `1`, with three digits behind the point at most.
fn thousandths(text: &str) -> Option<u16> {
    let (whole, digits) = text.split_once('.').unwrap_or((text, ""));
    let are_digits = digits.len() <= 3 && digits.bytes().all(|byte| byte.is_ascii_digit());
    if !are_digits || !matches!(whole, "0" | "1") {
        return None;
    }
    let behind = digits.bytes().chain([b'0'; 3]).take(3);
    let behind = behind.fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0'));
    let quality = if whole == "1" { 1_000 + behind } else { behind };
    (quality <= 1_000).then_some(quality)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn likes(header: &str, range: &str, expected: bool) {
        let preferred = preferred(header);
        let is_in = preferred.is_some_and(|it| it.is_in(&range.parse().unwrap()));
        assert_eq!(is_in, expected, "{header:?} {range}");
    }

    #[test]
    fn the_language_with_the_highest_quality_counts_and_the_first_of_several() {
        for (header, best) in [
            ("de", Some("de")),
            ("en-GB, en;q=0.9", Some("en-GB")),
            ("en;q=0.5, fr;q=0.9", Some("fr")),
            ("fr ; q=0.9 , en", Some("en")),
            ("de;q=0.001", Some("de")),
            ("de;q=0", None),
            ("de;q=1.001, fr;q=0.2", Some("fr")),
            ("de;q=0.1234, fr;q=0.1", Some("fr")),
            ("de;q=-1, fr;q=x, en;q=0.3", Some("en")),
            ("de;Q=0.2, en;q=1.000", Some("en")),
            (";q=1, ,<b>", None),
            ("", None),
        ] {
            assert_eq!(preferred(header), best.map(Preferred::Tag), "{header:?}");
        }
    }

    #[test]
    fn a_range_stands_for_what_is_behind_it() {
        for (header, range, expected) in [
            ("de-AT", "de", true),
            ("de-AT", "de-at", true),
            ("DE-at-1996", "de-AT", true),
            ("de", "de-AT", false),
            ("den", "de", false),
            ("de-AT", "*", true),
            ("en, de;q=0.9", "de", false),
            ("", "*", false),
            ("de;q=0", "*", false),
        ] {
            likes(header, range, expected);
        }
    }

    /// `*` is every language that the header does not like less.
    #[test]
    fn whoever_takes_any_language_takes_each_but_those_that_are_liked_less() {
        for (header, range, expected) in [
            ("*", "de", true),
            ("*, de;q=0", "de", false),
            ("*, de;q=0", "de-at", false),
            ("*, de;q=0", "fr", true),
            ("fr;q=0.5, *", "fr", false),
            ("fr, *;q=0.5", "fr", true),
            ("fr, *;q=0.5", "de", false),
            ("*;q=0", "de", false),
            ("*", "*", true),
            ("*, de", "de", true),
            ("*;q=0.5, de;q=0.5", "de", true),
        ] {
            likes(header, range, expected);
        }
    }
}

//! Where a visitor came from.

use std::borrow::Cow;

/// The longest referrer and the longest value of any other dimension, in characters.
pub(crate) const VALUE_CHARS_MAX: usize = 512;

/// The referring host in lower case without port; empty for none. Something that is no URL is
/// taken as it stands up to its first `/`.
#[must_use]
pub fn host(referrer: &str) -> Cow<'_, str> {
    let rest = referrer.split_once("://").map_or(referrer, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#', '\\']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    let port = host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit()));
    let host = cut(port.map_or(host, |(host, _)| host));
    if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(host.to_ascii_lowercase())
    } else {
        Cow::Borrowed(host)
    }
}

/// The first [`VALUE_CHARS_MAX`] characters.
pub(crate) fn cut(text: &str) -> &str {
    if text.len() <= VALUE_CHARS_MAX {
        return text;
    }
    text.char_indices().nth(VALUE_CHARS_MAX).map_or(text, |(end, _)| &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_host_is_found() {
        let cases = [
            ("", ""),
            ("https://News.Example.com:8443/a?b#c", "news.example.com"),
            ("https://user@example.com/", "example.com"),
            ("android-app://com.example.app/", "com.example.app"),
            ("https://[2001:db8::1]:80/", "[2001:db8::1]"),
            ("https://example.com?x=1", "example.com"),
            ("-", "-"),
            ("://", ""),
        ];
        for (referrer, expected) in cases {
            assert_eq!(host(referrer), expected, "{referrer}");
        }
    }

    proptest! {
        #[test]
        fn any_text_has_a_host_of_bounded_length(text in "\\PC{0,2000}") {
            prop_assert!(host(&text).chars().count() <= VALUE_CHARS_MAX);
            prop_assert!(cut(&text).chars().count() <= VALUE_CHARS_MAX);
        }
    }
}

//! One line of an access log in the combined format of Apache and nginx:
//!
//! ```text
//! address ident user [17/May/2015:10:05:03 +0000] "GET /path HTTP/1.1" 200 5 "referrer" "agent"
//! ```
//!
//! Tolerant where real files are sloppy: a last field without its closing quote (a line that was
//! cut off), fields behind the agent, referrer and agent missing altogether (the common format).

use std::borrow::Cow;
use std::net::IpAddr;

use chrono::{DateTime, FixedOffset};

/// How the time is written.
const TIME_FORMAT: &str = "%d/%b/%Y:%H:%M:%S %z";

/// One request, as the log has it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line<'a> {
    /// Who asked; `None` where the log has a host name.
    pub(super) address: Option<IpAddr>,
    /// When, to the second.
    pub(super) at: DateTime<FixedOffset>,
    /// GET, HEAD, POST, …
    pub(super) method: Cow<'a, str>,
    /// Path and query.
    pub(super) target: Cow<'a, str>,
    /// Where from.
    pub(super) referrer: Option<Cow<'a, str>>,
    /// With which program.
    pub(super) user_agent: Option<Cow<'a, str>>,
}

/// Why a line is none of the combined format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum LineError {
    /// Use the standard time format.
    #[error("has no time such as [17/May/2015:10:05:03 +0000]")]
    Time,
    /// Nothing to do: no HTTP request was made.
    #[error("has no request such as \"GET /path HTTP/1.1\"")]
    Request,
}

impl<'a> Line<'a> {
    /// Reads a line (without its end).
    pub(super) fn parse(line: &'a str) -> Result<Self, LineError> {
        let (before, rest) = line.split_once('[').ok_or(LineError::Time)?;
        let address = before.split_ascii_whitespace().next().and_then(|word| word.parse().ok());
        let (time, rest) = rest.split_once(']').ok_or(LineError::Time)?;
        let at = DateTime::parse_from_str(time, TIME_FORMAT).map_err(|_| LineError::Time)?;
        let (request, rest) = quoted(rest).ok_or(LineError::Request)?;
        let (method, target) = request_line(request)?;
        let (referrer, rest) = quoted(rest).unzip();
        let (user_agent, _) = rest.and_then(quoted).unzip();
        Ok(Self {
            address,
            at,
            method: unescaped(method),
            target: unescaped(target),
            referrer: referrer.and_then(present),
            user_agent: user_agent.and_then(present),
        })
    }
}

/// `GET /path HTTP/1.1`, or `GET /path` as HTTP/0.9 has it.
fn request_line(request: &str) -> Result<(&str, &str), LineError> {
    let (method, rest) = request.split_once(' ').ok_or(LineError::Request)?;
    let target = rest.rsplit_once(" HTTP/").map_or(rest, |(target, _)| target);
    let method_is_word = !method.is_empty() && method.bytes().all(|b| b.is_ascii_alphabetic());
    if method_is_word && target.starts_with('/') {
        Ok((method, target))
    } else {
        Err(LineError::Request)
    }
}

/// The next text in quotes, still escaped, and what follows it. A quote that is never closed ends
/// with the line.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let (_, text) = text.split_once('"')?;
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return Some((text.get(..at)?, text.get(at + 1..)?)),
            _ => {}
        }
    }
    Some((text, ""))
}

/// `-` and nothing both mean that the request did not say.
fn present(text: &str) -> Option<Cow<'_, str>> {
    (!matches!(text, "" | "-")).then(|| unescaped(text))
}

/// Undoes `\"` and `\\`. Other escapes (`\xe4`, bytes in an unknown encoding) stay as the log has
/// them: to guess would lose what they were.
fn unescaped(text: &str) -> Cow<'_, str> {
    if !text.contains(r#"\""#) && !text.contains(r"\\") {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, chars.peek()) {
            ('\\', Some(&next @ ('"' | '\\'))) => {
                plain.push(next);
                chars.next();
            }
            _ => plain.push(c),
        }
    }
    Cow::Owned(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FULL: &str = r#"83.149.9.216 - ann [17/May/2015:10:05:03 +0530] "GET /a?b=c HTTP/1.1" 200 203023 "http://r.com/x" "Mozilla/5.0 (X11)""#;

    #[test]
    fn a_line_has_its_fields() {
        let line = Line::parse(FULL).unwrap();
        assert_eq!(line.address, Some(IpAddr::from([83, 149, 9, 216])));
        assert_eq!(line.at.to_rfc3339(), "2015-05-17T10:05:03+05:30");
        assert_eq!((&*line.method, &*line.target), ("GET", "/a?b=c"));
        assert_eq!(line.referrer.as_deref(), Some("http://r.com/x"));
        assert_eq!(line.user_agent.as_deref(), Some("Mozilla/5.0 (X11)"));
    }

    #[test]
    fn sloppy_lines_are_read_as_far_as_they_go() {
        let with = |tail: &str| {
            let head = r#"::1 - - [17/May/2015:10:05:03 +0000] "HEAD / HTTP/1.0" 200 -"#;
            let line = format!("{head}{tail}");
            let line = Line::parse(&line).unwrap();
            [line.referrer, line.user_agent].map(|field| field.map(Cow::into_owned))
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(with(""), [None, None]);
        assert_eq!(with(r#" "-" "-""#), [None, None]);
        assert_eq!(with(r#" "-" "Bot/1 (+http://b"#), [None, some("Bot/1 (+http://b")]);
        assert_eq!(with(r#" "a\"b" "c\\" "extra""#), [some("a\"b"), some("c\\")]);
        assert_eq!(with(r#" "http://\xe4/" "A""#), [some(r"http://\xe4/"), some("A")]);
    }

    #[test]
    fn a_host_name_is_no_address() {
        let line = FULL.replace("83.149.9.216", "host.example");
        assert_eq!(Line::parse(&line).unwrap().address, None);
    }

    #[test]
    fn what_is_no_request_is_refused_with_the_reason() {
        for (line, error) in [
            ("", LineError::Time),
            ("host.example - - [x]", LineError::Time),
            ("1.2.3.4 - - 17/May/2015", LineError::Time),
            (r#"1.2.3.4 - - [17/May/2015] "GET / HTTP/1.1""#, LineError::Time),
            (r#"1.2.3.4 - - [31/Feb/2015:10:05:03 +0000] "GET / HTTP/1.1""#, LineError::Time),
            (r#"1.2.3.4 - - [17/May/2015:10:05:03 +0000] "\x16\x03" 400 0"#, LineError::Request),
            (r#"1.2.3.4 - - [17/May/2015:10:05:03 +0000] "-" 408 0"#, LineError::Request),
            (
                r#"1.2.3.4 - - [17/May/2015:10:05:03 +0000] "CONNECT a:1 HTTP/1.1""#,
                LineError::Request,
            ),
        ] {
            assert_eq!(Line::parse(line), Err(error), "{line}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,200}", cut in 0..FULL.len()) {
            let _ = Line::parse(&text);
            let _ = Line::parse(&FULL[..cut]);
            let _ = Line::parse(&format!("{}{text}", &FULL[..cut]));
        }

        #[test]
        fn fields_survive_quoting(referrer in "[a-z\"\\\\ ]{1,20}", agent in "[A-Z\"\\\\ /]{2,20}") {
            let quote = |text: &str| text.replace('\\', r"\\").replace('"', r#"\""#);
            let head = r#"1.2.3.4 - - [17/May/2015:10:05:03 +0000] "GET / HTTP/1.1" 200 1"#;
            let text = format!("{head} \"{}\" \"{}\"", quote(&referrer), quote(&agent));
            let line = Line::parse(&text).unwrap();
            prop_assert_eq!(line.referrer.as_deref(), Some(&*referrer));
            prop_assert_eq!(line.user_agent.as_deref(), Some(&*agent));
        }
    }
}

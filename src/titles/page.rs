//! Finds the title of a page in its bytes, as they come. Each byte is looked at a bounded number of times, whatever pieces a server
//! sends: this is no parser of HTML, but what scripts, styles, comments and attributes say is none of its title.
//!
//! All encodings that pages are written in have the letters of tags as ASCII has them, but UTF-16, whose pages have no
//! title here.

use std::ops::Range;

/// The longest that has to be there to know what a tag is: `<noscript` and what ends the name.
const TAG_BYTES_MAX: usize = 10;

/// What came of looking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Look {
    /// The title may come.
    More,
    /// It is here.
    Title(Range<usize>),
    /// It can't come any more.
    None,
}

/// Where the looking is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Between tags.
    Between,
    /// In a tag, or in a value in it (with this quotation mark); behind it comes something.
    Tag { quote: Option<u8>, then: Then },
    /// In what ends with this.
    Until(&'static [u8]),
    /// In the title, which began there.
    Title(usize),
}

/// What comes behind a tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    Anything,
    Raw(&'static [u8]),
    Title,
}

/// A page, as far as it has come.
#[derive(Debug)]
pub(super) struct Page {
    bytes: Vec<u8>,
    /// Everything before was looked at.
    at: usize,
    state: State,
}

impl Default for Page {
    fn default() -> Self {
        Self { bytes: Vec::new(), at: 0, state: State::Between }
    }
}

impl Page {
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Takes what has come, and looks at it.
    pub(super) fn add(&mut self, bytes: &[u8]) -> Look {
        self.bytes.extend_from_slice(bytes);
        loop {
            let before = (self.at, self.state);
            let look = match self.state {
                State::Between => self.between(),
                State::Tag { quote, then } => self.tag(quote, then),
                State::Until(end) => self.until(end),
                State::Title(from) => self.title(from),
            };
            if look != Look::More || before == (self.at, self.state) {
                return look;
            }
        }
    }

    fn between(&mut self) -> Look {
        let rest = &self.bytes[self.at..];
        let Some(tag) = rest.iter().position(|byte| *byte == b'<') else {
            self.at = self.bytes.len();
            return Look::More;
        };
        self.at += tag;
        let rest = &self.bytes[self.at..];
        if rest.len() < TAG_BYTES_MAX {
            return Look::More;
        }
        let is = |name: &[u8]| is_tag(rest, name);
        if rest.starts_with(b"<!--") {
            self.at += b"<!--".len();
            self.state = State::Until(b"-->");
        } else if is(b"body") {
            return Look::None;
        } else if rest[1].is_ascii_alphabetic() || matches!(rest[1], b'/' | b'!' | b'?') {
            let raw: [(&[u8], &[u8]); 3] =
                [(b"script", b"</script"), (b"style", b"</style"), (b"noscript", b"</noscript")];
            let raw = raw.into_iter().find(|(name, _)| is(name)).map(|(_, end)| Then::Raw(end));
            let then = if is(b"title") { Then::Title } else { raw.unwrap_or(Then::Anything) };
            self.at += 1;
            self.state = State::Tag { quote: None, then };
        } else {
            self.at += 1;
        }
        Look::More
    }

    fn tag(&mut self, mut quote: Option<u8>, then: Then) -> Look {
        while let Some(byte) = self.bytes.get(self.at).copied() {
            self.at += 1;
            match (quote, byte) {
                (Some(open), byte) if byte == open => quote = None,
                (None, b'"' | b'\'') => quote = Some(byte),
                (None, b'>') => {
                    self.state = match then {
                        Then::Anything => State::Between,
                        Then::Raw(end) => State::Until(end),
                        Then::Title => State::Title(self.at),
                    };
                    return Look::More;
                }
                _ => {}
            }
        }
        self.state = State::Tag { quote, then };
        Look::More
    }

    fn until(&mut self, end: &'static [u8]) -> Look {
        if self.find(end).is_some() {
            self.state = State::Between;
        }
        Look::More
    }

    fn title(&mut self, from: usize) -> Look {
        match self.find(b"</title") {
            Some(end) => Look::Title(from..end),
            None => Look::More,
        }
    }

    /// Goes on to the end of the first such text, in upper or lower case, and gives where it begins; else to where it may begin.
    fn find(&mut self, text: &[u8]) -> Option<usize> {
        let found = self.bytes[self.at..]
            .windows(text.len())
            .position(|window| window.eq_ignore_ascii_case(text))
            .map(|found| self.at + found);
        let looked_at = self.bytes.len().saturating_sub(text.len() - 1);
        self.at = found.map_or(looked_at.max(self.at), |found| found + text.len());
        found
    }
}

/// Whether a text begins with the tag of this name.
fn is_tag(text: &[u8], name: &[u8]) -> bool {
    let end = 1 + name.len();
    text.get(1..end).is_some_and(|begin| begin.eq_ignore_ascii_case(name))
        && text
            .get(end)
            .is_some_and(|next| next.is_ascii_whitespace() || matches!(next, b'>' | b'/'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The title that is found in pieces of so many bytes; `None`: there is none.
    fn title(html: &str, piece: usize) -> Option<String> {
        let mut page = Page::default();
        for piece in html.as_bytes().chunks(piece) {
            match page.add(piece) {
                Look::More => {}
                Look::None => return None,
                Look::Title(range) => {
                    return Some(String::from_utf8_lossy(&page.bytes()[range]).into_owned());
                }
            }
        }
        None
    }

    #[test]
    fn a_title_is_found_however_a_page_comes() {
        for (html, expected) in [
            ("<title>a</title>..........", Some("a")),
            ("<!doctype html><html><head>\n<TITLE data-x='>'>A b\nc</TiTle>", Some("A b\nc")),
            ("<!-- <title>no</title> --><title>yes</title>", Some("yes")),
            ("<script>'<title>no</title>'</script><title>yes</title>", Some("yes")),
            ("<style>/*<title>no</title>*/</style ><title>yes</title>", Some("yes")),
            ("<noscript><title>no</title></noscript><title>yes</title>", Some("yes")),
            ("<meta content=\"<title>no</title>\"><title>yes</title>", Some("yes")),
            ("<titles>no</titles><title>yes</title>", Some("yes")),
            ("1 < 2 <title>a <b> c</title>", Some("a <b> c")),
            ("<title></title>.........", Some("")),
            ("<head></head><body><svg><title>no</title></svg>", None),
            ("<title>never closed ................", None),
            ("<!-- never closed <title>no</title>", None),
            ("no page at all", None),
            ("", None),
        ] {
            for piece in [1, 2, 3, 7, 1_000] {
                assert_eq!(title(html, piece).as_deref(), expected, "{html} by {piece}");
            }
        }
    }

    proptest! {
        /// Whatever comes in whatever pieces: there is an end to it, and it is the same.
        #[test]
        fn pieces_make_no_difference(parts in proptest::collection::vec(prop_oneof![
            Just("<title>"), Just("</title>"), Just("<!--"), Just("-->"), Just("<script>"), Just("</script>"),
            Just("<"), Just(">"), Just("\""), Just("<meta a='"), Just("x"), Just("<body>"), Just(" ")], 0..40),
            piece in 1..9_usize) {
            let html = parts.concat() + "              ";
            prop_assert_eq!(title(&html, piece), title(&html, html.len()));
        }
    }
}

//! Finds the title of a page in its bytes, as they come. Each byte is looked at a bounded number of times, whatever pieces a server
//! sends: this is no parser of HTML, but what scripts, styles, comments and attributes say is none of its title.
//!
//! All encodings that pages are written in have the letters of tags as ASCII has them, but UTF-16, whose pages have no
//! title here.

use std::ops::Range;

/// The longest that has to be there to know what a tag is: `<noscript` and what ends the name.
const TAG_BYTES_MAX: usize = 10;

/// What has no tags inside, or titles of its own; and what ends it.
const RAW: [(&[u8], &[u8]); 7] = [
    (b"script", b"</script"),
    (b"style", b"</style"),
    (b"noscript", b"</noscript"),
    (b"svg", b"</svg"),
    (b"template", b"</template"),
    (b"textarea", b"</textarea"),
    (b"iframe", b"</iframe"),
];

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
    /// In a tag, or in a value in it (with this quotation mark); behind it comes something. `last`: what was there before, but
    /// white space: only behind `=` a quotation mark begins a value.
    Tag { quote: Option<u8>, last: u8, then: Then },
    /// In what ends with this tag.
    Until(&'static [u8]),
    /// In a comment, which began there.
    Comment(usize),
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
                State::Tag { quote, last, then } => self.tag((quote, last), then),
                State::Until(end) => self.until(end),
                State::Comment(from) => self.comment(from),
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
            self.state = State::Comment(self.at);
        } else if is(b"body") {
            return Look::None;
        } else if rest[1].is_ascii_alphabetic() || matches!(rest[1], b'/' | b'!' | b'?') {
            let raw = RAW.into_iter().find(|(name, _)| is(name)).map(|(_, end)| Then::Raw(end));
            let then = if is(b"title") { Then::Title } else { raw.unwrap_or(Then::Anything) };
            self.at += 1;
            self.state = State::Tag { quote: None, last: b'<', then };
        } else {
            self.at += 1;
        }
        Look::More
    }

    fn tag(&mut self, (mut quote, mut last): (Option<u8>, u8), then: Then) -> Look {
        while let Some(byte) = self.bytes.get(self.at).copied() {
            self.at += 1;
            match (quote, byte) {
                (Some(open), byte) if byte == open => quote = None,
                (None, b'"' | b'\'') if last == b'=' => quote = Some(byte),
                (None, b'>') => {
                    self.state = match then {
                        // Of those only pictures may be closed where they begin.
                        Then::Raw(b"</svg") if last == b'/' => State::Between,
                        Then::Anything => State::Between,
                        Then::Raw(end) => State::Until(end),
                        Then::Title => State::Title(self.at),
                    };
                    return Look::More;
                }
                _ => {}
            }
            if !byte.is_ascii_whitespace() {
                last = byte;
            }
        }
        self.state = State::Tag { quote, last, then };
        Look::More
    }

    fn until(&mut self, end: &'static [u8]) -> Look {
        if self.find(end).is_some() {
            self.state = State::Between;
        }
        Look::More
    }

    /// To the end of a comment: `-->` or `--!>`; also `<!-->` and `<!--->` are whole ones.
    fn comment(&mut self, from: usize) -> Look {
        while let Some(close) = self.bytes[self.at..].iter().position(|byte| *byte == b'>') {
            let close = self.at + close;
            self.at = close + 1;
            let (all, within) = (&self.bytes[from - 2..close], &self.bytes[from..close]);
            if all.ends_with(b"--") || within.ends_with(b"--!") {
                self.state = State::Between;
                return Look::More;
            }
        }
        self.at = self.bytes.len();
        Look::More
    }

    fn title(&mut self, from: usize) -> Look {
        match self.find(b"</title") {
            Some(end) => Look::Title(from..end),
            None => Look::More,
        }
    }

    /// Goes on to the end of the first such tag's name, in upper or lower case, and gives where it begins; else to where it may
    /// begin.
    fn find(&mut self, text: &[u8]) -> Option<usize> {
        let is_it = |window: &[u8]| {
            window[..text.len()].eq_ignore_ascii_case(text) && ends_name(window[text.len()])
        };
        let found = self.bytes[self.at..]
            .windows(text.len() + 1)
            .position(is_it)
            .map(|found| self.at + found);
        let looked_at = self.bytes.len().saturating_sub(text.len());
        self.at = found.map_or(looked_at.max(self.at), |found| found + text.len());
        found
    }
}

/// Whether a text begins with the tag of this name.
fn is_tag(text: &[u8], name: &[u8]) -> bool {
    let end = 1 + name.len();
    text.get(1..end).is_some_and(|begin| begin.eq_ignore_ascii_case(name))
        && text.get(end).copied().is_some_and(ends_name)
}

fn ends_name(byte: u8) -> bool {
    byte.is_ascii_whitespace() || matches!(byte, b'>' | b'/')
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
            ("<meta content=\"a\"\"><title>yes</title>", Some("yes")),
            ("<a title=don't><title>yes</title>", Some("yes")),
            ("<a title = 'a>b'><title>yes</title>", Some("yes")),
            ("<h1>x</h1><svg><title>no</title></svg><title>yes</title>", Some("yes")),
            ("<svg/><title>yes</title>", Some("yes")),
            ("<svg a='/'><title>no</title></svg>......", None),
            ("<template><title>no</title></template>......", None),
            ("<textarea><title>no</title></textarea>......", None),
            ("<iframe><title>no</title></iframe>......", None),
            ("<!--><title>yes</title> -->", Some("yes")),
            ("<!---><title>yes</title> -->", Some("yes")),
            ("<!-- a --!><title>yes</title> -->", Some("yes")),
            ("<!--!><title>no</title> --><title>yes</title>", Some("yes")),
            ("<script></scriptx><title>no</title></script><title>yes</title>", Some("yes")),
            ("<title>a</titles>b</title>", Some("a</titles>b")),
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

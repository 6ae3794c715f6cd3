//! From the bytes of a title to a line of text.

use std::ops::Range;

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};
use hoplog_events::link::Title;

/// How much of a page is looked at for what it says of its encoding.
const META_BYTES_MAX: usize = 1_024;

/// The most characters of a title.
const TITLE_CHARS_MAX: usize = 255;

/// The most marks on one character.
const MARKS_MAX: usize = 4;

/// The longest reference to a character.
const REFERENCE_BYTES_MAX: usize = 12;

/// The characters of Latin-1 from 160 on, by their names in HTML.
const LATIN_1: [&str; 96] = [
    "nbsp", "iexcl", "cent", "pound", "curren", "yen", "brvbar", "sect", "uml", "copy", "ordf",
    "laquo", "not", "shy", "reg", "macr", "deg", "plusmn", "sup2", "sup3", "acute", "micro",
    "para", "middot", "cedil", "sup1", "ordm", "raquo", "frac14", "frac12", "frac34", "iquest",
    "Agrave", "Aacute", "Acirc", "Atilde", "Auml", "Aring", "AElig", "Ccedil", "Egrave", "Eacute",
    "Ecirc", "Euml", "Igrave", "Iacute", "Icirc", "Iuml", "ETH", "Ntilde", "Ograve", "Oacute",
    "Ocirc", "Otilde", "Ouml", "times", "Oslash", "Ugrave", "Uacute", "Ucirc", "Uuml", "Yacute",
    "THORN", "szlig", "agrave", "aacute", "acirc", "atilde", "auml", "aring", "aelig", "ccedil",
    "egrave", "eacute", "ecirc", "euml", "igrave", "iacute", "icirc", "iuml", "eth", "ntilde",
    "ograve", "oacute", "ocirc", "otilde", "ouml", "divide", "oslash", "ugrave", "uacute", "ucirc",
    "uuml", "yacute", "thorn", "yuml",
];

/// Others that titles have.
const NAMED: [(&str, char); 18] = [
    ("amp", '&'),
    ("lt", '<'),
    ("gt", '>'),
    ("quot", '"'),
    ("apos", '\''),
    ("ndash", '–'),
    ("mdash", '—'),
    ("hellip", '…'),
    ("lsquo", '‘'),
    ("rsquo", '’'),
    ("sbquo", '‚'),
    ("ldquo", '“'),
    ("rdquo", '”'),
    ("bdquo", '„'),
    ("bull", '•'),
    ("euro", '€'),
    ("trade", '™'),
    ("rarr", '→'),
];

/// A part of a page as text: in the encoding that its first bytes mark, else the one that the answer names, else the page;
/// else UTF-8 where it is that, as most are, and else what old pages are written in.
pub(super) fn decode(part: Range<usize>, page: &[u8], named: Option<&str>) -> String {
    let bytes = page.get(part).unwrap_or_default();
    let marked = Encoding::for_bom(page).map(|(encoding, _)| encoding);
    let named = || named.and_then(|label| Encoding::for_label(label.as_bytes()));
    let encoding = marked.or_else(named).or_else(|| said_by(page));
    let encoding = encoding
        .unwrap_or_else(|| if std::str::from_utf8(bytes).is_ok() { UTF_8 } else { WINDOWS_1252 });
    // Tags were read as they are written otherwise: so it says something that is not so.
    let is_wide = [UTF_16BE, UTF_16LE].contains(&encoding);
    let encoding = if is_wide { UTF_8 } else { encoding };
    encoding.decode_without_bom_handling(bytes).0.into_owned()
}

/// What the first part of a page says of its encoding.
fn said_by(page: &[u8]) -> Option<&'static Encoding> {
    const NAME: &[u8] = b"charset";
    let begin = &page[..page.len().min(META_BYTES_MAX)];
    let at = begin.windows(NAME.len()).position(|window| window.eq_ignore_ascii_case(NAME))?;
    let rest = begin[at + NAME.len()..].trim_ascii_start().strip_prefix(b"=")?.trim_ascii_start();
    let rest = rest.strip_prefix(b"\"").or_else(|| rest.strip_prefix(b"'")).unwrap_or(rest);
    let is_of_label = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:+".contains(byte);
    let end = rest.iter().position(|byte| !is_of_label(byte)).unwrap_or(rest.len());
    Encoding::for_label(&rest[..end])
}

/// One line that says what is in it: references to characters are those, white space is one space, and there is nothing that
/// is not seen or turns the text around. `None`: nothing is left.
pub(super) fn one_line(text: &str) -> Option<Title> {
    let text = with_characters(text);
    let shown = text.split_whitespace().map(|word| word.chars().filter(|c| !is_hidden(*c)));
    let words: Vec<String> =
        shown.map(Iterator::collect).filter(|word: &String| !word.is_empty()).collect();
    let mut marks = 0;
    let few_marks = words
        .join(" ")
        .chars()
        .filter(|c| {
            marks = if is_mark(*c) { marks + 1 } else { 0 };
            marks <= MARKS_MAX
        })
        .collect::<String>();
    let line: String = few_marks.chars().take(TITLE_CHARS_MAX).collect();
    if line.chars().all(shows_nothing) {
        return None;
    }
    line.trim_end().parse().ok()
}

/// Marks above and below other characters, which have no bound of their own.
fn is_mark(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}' | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}' | '\u{20d0}'..='\u{20ff}'
        | '\u{fe20}'..='\u{fe2f}')
}

/// What is seen by what is beside it only, or not at all: joiners, fillers, variations, tags, the empty pattern of Braille.
fn shows_nothing(c: char) -> bool {
    c.is_whitespace()
        || is_mark(c)
        || matches!(c, '\u{200c}' | '\u{200d}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{ffa0}' | '\u{e0000}'..='\u{e0fff}')
}

/// Control characters, and those that reorder text or take no place. Joiners stay: scripts and pictures need them.
#[must_use]
pub fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
}

/// A text with characters in the place of references to them. What is no reference stays.
fn with_characters(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let end = rest.bytes().take(REFERENCE_BYTES_MAX).position(|byte| byte == b';');
        let character = end.and_then(|end| character(&rest[1..end]));
        if let (Some(end), Some(character)) = (end, character) {
            out.push(character);
            rest = &rest[end + 1..];
        } else {
            out.push('&');
            rest = &rest[1..];
        }
    }
    out.push_str(rest);
    out
}

/// The character that a reference means.
fn character(name: &str) -> Option<char> {
    let Some(number) = name.strip_prefix('#') else {
        let named = NAMED.iter().find(|(known, _)| *known == name).map(|(_, character)| *character);
        let latin = || LATIN_1.iter().zip('\u{a0}'..).find(|(known, _)| **known == name);
        return named.or_else(|| latin().map(|(_, character)| character));
    };
    let hexadecimal = number.strip_prefix(['x', 'X']);
    let number = match hexadecimal {
        Some(digits) => u32::from_str_radix(digits, 16),
        None => number.parse(),
    };
    match number.ok()? {
        // As those who write them mean it: a byte of what old pages are written in.
        number @ 0x80..=0x9f => {
            let byte = [u8::try_from(number).ok()?];
            WINDOWS_1252.decode_without_bom_handling(&byte).0.chars().next()
        }
        number => char::from_u32(number),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn line(text: &str) -> Option<String> {
        one_line(text).map(String::from)
    }

    #[test]
    fn a_title_is_one_line_of_what_is_seen() {
        for (text, expected) in [
            ("  A \n\t title\u{a0} here ", "A title here"),
            ("Tom &amp; Jerry &#8211; &#x201C;x&#X201d; &#151;", "Tom & Jerry – “x” —"),
            ("B&uuml;cher &Eacute;t&eacute; &szlig; &yuml; &nbsp;x", "Bücher Été ß ÿ x"),
            (
                "&lt;b&gt; &amp;lt; &unknown; & &; &#; &#x; &#xd800; &#99999999;",
                "<b> &lt; &unknown; & &; &#; &#x; &#xd800; &#99999999;",
            ),
            ("a\u{202e}b\u{2066}c\u{200b}d\u{feff}e\u{0}f", "abcdef"),
            ("a&#8238;b&#10;c&#0;d", "ab cd"),
            ("می\u{200c}خواهم 👩\u{200d}💻", "می\u{200c}خواهم 👩\u{200d}💻"),
        ] {
            assert_eq!(line(text).as_deref(), Some(expected), "{text:?}");
        }
        for nothing in [
            "",
            " \n ",
            "\u{200b}",
            "&#0;",
            "&nbsp;",
            "\u{200d}",
            "\u{200c} \u{200d}",
            "\u{3164}",
            "\u{115f}\u{1160}",
            "\u{2800}",
            "\u{e0041}",
            "\u{301}",
        ] {
            assert_eq!(line(nothing), None, "{nothing:?}");
        }
        assert_eq!(line(&format!("Z{}", "\u{301}".repeat(50))).unwrap().chars().count(), 5);
        let long = line(&"é ".repeat(1_000)).unwrap();
        assert!(long.chars().count() <= TITLE_CHARS_MAX && !long.ends_with(' '));
    }

    #[test]
    fn a_title_is_read_in_the_encoding_of_its_page() {
        let all = |page: &[u8], named| decode(0..page.len(), page, named);
        assert_eq!(all("Grüße".as_bytes(), None), "Grüße");
        assert_eq!(all(b"Gr\xfc\xdfe", None), "Grüße", "old pages say nothing");
        assert_eq!(all(b"Gr\xfc\xdfe", Some("iso-8859-1")), "Grüße");
        assert_eq!(all(b"\xcf\xf0\xe8\xe2\xe5\xf2", Some("windows-1251")), "Привет");
        assert_eq!(all(b"\x93\xfa\x96\x7b", Some("Shift_JIS")), "日本");
        assert_eq!(all("Grüße".as_bytes(), Some("no-such-thing")), "Grüße");
        assert_eq!(all("Grüße".as_bytes(), Some("utf-16")), "Grüße", "it can't be");
        let said = b"<meta charset='windows-1251'>\xcf\xf0";
        assert_eq!(decode(29..31, said, None), "Пр");
        assert_eq!(decode(29..31, said, Some("iso-8859-1")), "Ïð", "the answer knows better");
        let said = b"<meta http-equiv=content-type content=\"text/html; charset=koi8-r\">\xf0";
        assert_eq!(decode(said.len() - 1..said.len(), said, None), "П");
        let marked = "\u{feff}é".as_bytes();
        assert_eq!(decode(3..5, marked, Some("windows-1251")), "é");
    }

    proptest! {
        #[test]
        fn any_text_becomes_a_line_or_nothing(text in "\\PC{0,40}", parts in proptest::collection::vec(
            prop_oneof![Just("&"), Just("#"), Just(";"), Just("x41"), Just("amp"), Just("é"), Just("\u{202e}")], 0..20)) {
            for text in [text, parts.concat()] {
                if let Some(line) = line(&text) {
                    prop_assert!(!line.chars().any(is_hidden), "{:?}", line);
                }
            }
        }
    }
}

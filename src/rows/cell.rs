//! Cells of CSV files. A program that opens such a file takes a cell that begins like a formula for one, and runs
//! it: what visitors send (a referrer, a user agent) would be run on the desk of whoever looks at statistics. Some
//! programs split at `;` or tabs as well, and end a row at a line end whatever is quoted; so a text may begin a cell
//! behind each of these. Where one would be run, an apostrophe stands before it. What begins with an apostrophe is text
//! to every spreadsheet, but one that opens a file shows the apostrophe.
//!
//! The apostrophes are taken away again by [`plain`]: for every text, `plain(neutral(text))` is the text.

use std::borrow::Cow;

/// What a formula begins with, in some spreadsheet; the wide forms where the keyboard has those.
const FORMULA: [char; 8] = ['=', '+', '-', '@', '＝', '＋', '－', '＠'];

/// Behind these a program that does not split at commas only begins another cell.
const SPLITS: [char; 4] = [';', '\t', '\r', '\n'];

/// Marks what is text.
const MARK: char = '\'';

/// Between the tags of a cell.
const BETWEEN: char = ';';

/// A text as a cell that is shown, not run.
#[must_use]
pub fn neutral(text: &str) -> Cow<'_, str> {
    let inside = behind_splits(text);
    if is_marked(text) { format!("{MARK}{inside}").into() } else { inside }
}

/// The text that a cell stands for. White space around it is none of the text, unless an apostrophe says so.
#[must_use]
pub fn plain(cell: &str) -> Cow<'_, str> {
    let text = cell.strip_prefix(MARK).filter(|text| is_marked(text));
    without_marks(text.unwrap_or_else(|| cell.trim()))
}

/// Whether a text would be run, or would lose its white space.
fn is_marked(text: &str) -> bool {
    text.trim_start_matches(is_skipped).starts_with(is_run) || text.trim().len() != text.len()
}

/// What a program may drop before it looks for a formula. Quotes, because half of a cell that was quoted is not.
fn is_skipped(c: char) -> bool {
    c.is_whitespace() || c == '"'
}

/// What is marked: a formula, and what a mark could be taken for.
fn is_run(c: char) -> bool {
    c == MARK || FORMULA.contains(&c)
}

/// A text with a mark behind each split that a formula or a mark follows.
fn behind_splits(text: &str) -> Cow<'_, str> {
    if !text.contains(SPLITS) {
        return text.into();
    }
    // From its end, so that what follows is known.
    let (mut marked, mut runs) = (Vec::new(), false);
    for c in text.chars().rev() {
        if runs && SPLITS.contains(&c) {
            marked.push(MARK);
        }
        marked.push(c);
        runs = if is_skipped(c) { runs } else { is_run(c) };
    }
    marked.into_iter().rev().collect::<String>().into()
}

/// The way back.
fn without_marks(text: &str) -> Cow<'_, str> {
    if !text.contains(SPLITS) {
        return text.into();
    }
    // `ran`: the same as `runs`, one character further behind.
    let (mut plain, mut runs, mut ran) = (Vec::new(), false, false);
    for c in text.chars().rev() {
        if ran && SPLITS.contains(&c) && plain.last() == Some(&MARK) {
            plain.pop();
        }
        plain.push(c);
        ran = runs;
        runs = if is_skipped(c) { runs } else { is_run(c) };
    }
    plain.into_iter().rev().collect::<String>().into()
}

/// Tags as one cell.
#[must_use]
pub fn of_tags<'a>(tags: impl Iterator<Item = &'a str>) -> String {
    let mut cell = String::new();
    for tag in tags {
        if !cell.is_empty() {
            cell.push(BETWEEN);
        }
        let spaces = tag.trim().len() != tag.len();
        for c in tag.chars() {
            if matches!(c, BETWEEN | ',' | '\\') || spaces && c.is_whitespace() {
                cell.push('\\');
            }
            cell.push(c);
        }
    }
    cell
}

/// The tags of a cell: separated by `;` or `,`, without the white space around them. A backslash before one of these
/// makes it part of the tag.
#[must_use]
pub fn tags(cell: &str) -> Vec<String> {
    let (mut tags, mut tag, mut kept) = (Vec::new(), String::new(), 0);
    let mut chars = cell.chars().peekable();
    while let Some(c) = chars.next() {
        let next = chars.peek().copied();
        let escapes = |c: char| matches!(c, BETWEEN | ',' | '\\') || c.is_whitespace();
        match c {
            BETWEEN | ',' => {
                tag.truncate(kept);
                tags.push(std::mem::take(&mut tag));
                kept = 0;
            }
            '\\' if next.is_some_and(escapes) => {
                tag.extend(chars.next());
                kept = tag.len();
            }
            c if c.is_whitespace() && tag.is_empty() => {}
            c => {
                tag.push(c);
                if !c.is_whitespace() {
                    kept = tag.len();
                }
            }
        }
    }
    tag.truncate(kept);
    tags.push(tag);
    tags.retain(|tag| !tag.is_empty());
    tags
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Fault 14 in the field: a spreadsheet runs what a visitor sent.
    #[test]
    fn fault_14_a_cell_that_would_be_run_is_shown() {
        for text in ["=1+1", "+1", "-1", "@SUM(1)", " =1", "=cmd|' /C calc'!A0", "＝1"] {
            assert_eq!(neutral(text), format!("'{text}"));
        }
        for text in ["", "a=1", "https://e.com/?a=-1", "1+1", "it's"] {
            assert_eq!(neutral(text), text);
        }
    }

    /// Fault 14 in the field: `;` ends a cell in half of the world, and tabs and line ends do in places.
    #[test]
    fn fault_14_no_half_of_a_cell_is_run() {
        for (text, cell) in [
            ("x;=cmd|' /C calc'!A0", "x;'=cmd|' /C calc'!A0"),
            ("a\t=1", "a\t'=1"),
            ("a\n +1\r\n-1", "a\n' +1\r'\n'-1"),
            ("a;\"=1", "a;'\"=1"),
            ("a;'=1", "a;''=1"),
            ("\t=1", "'\t'=1"),
            ("\r=1", "'\r'=1"),
            ("\n=1", "'\n'=1"),
            ("a;b", "a;b"),
            ("a;1=1", "a;1=1"),
        ] {
            assert_eq!((&*neutral(text), &*plain(cell)), (cell, text));
        }
    }

    #[test]
    fn cells_of_other_programs_are_read_as_they_stand() {
        for (cell, text) in
            [(" a ", "a"), ("'a", "'a"), ("'", "'"), ("'=1", "=1"), ("''a", "'a"), ("", "")]
        {
            assert_eq!(plain(cell), text);
        }
        assert_eq!(tags("a; b,c,;"), ["a", "b", "c"]);
        assert_eq!(tags(r"a\b; x y "), [r"a\b", "x y"]);
        assert!(tags(" ; ,").is_empty());
    }

    fn texts() -> impl Strategy<Value = String> {
        prop_oneof![
            "\\PC{0,20}",
            "['=+\\-@＝\t\r\n\\\\;, \"ab]{0,12}",
            proptest::collection::vec(any::<char>(), 0..6)
                .prop_map(|chars| chars.into_iter().collect()),
        ]
    }

    proptest! {
        #[test]
        fn a_text_is_the_same_behind_a_cell(text in texts()) {
            let cell = neutral(&text);
            prop_assert_eq!(plain(&cell), &*text);
            for part in cell.split(SPLITS).chain([&*cell]) {
                prop_assert!(!part.trim_start_matches(is_skipped).starts_with(FORMULA), "{cell:?}");
            }
            prop_assert!(!cell.starts_with(|c: char| c.is_whitespace()));
        }

        #[test]
        fn tags_are_the_same_behind_a_cell(tags_ in proptest::collection::vec(texts(), 0..5)) {
            let tags_: Vec<String> = tags_.into_iter().filter(|tag| !tag.is_empty()).collect();
            let cell = of_tags(tags_.iter().map(String::as_str));
            let cell = neutral(&cell).into_owned();
            prop_assert_eq!(tags(&plain(&cell)), tags_);
        }
    }
}

//! What people call a link: owner, title, tags, note, external id.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Why a text can't be a label. Each says what to change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LabelError {
    /// Give at least one character that is not white space.
    #[error("must not be empty")]
    Empty,
    /// Shorten it.
    #[error("is longer than {max} characters")]
    TooLong {
        /// The most that is allowed.
        max: usize,
    },
    /// Leave the character out.
    #[error("contains {0:?}, which is not allowed here")]
    Character(char),
    /// Give fewer tags.
    #[error("has more than {max} tags")]
    TooMany {
        /// The most that is allowed.
        max: usize,
    },
}

/// Checks length and characters, once, for every label.
fn check(text: &str, chars_max: usize, allowed: fn(char) -> bool) -> Result<Box<str>, LabelError> {
    if text.trim().is_empty() {
        return Err(LabelError::Empty);
    }
    if text.chars().count() > chars_max {
        return Err(LabelError::TooLong { max: chars_max });
    }
    match text.chars().find(|c| !allowed(*c)) {
        Some(other) => Err(LabelError::Character(other)),
        None => Ok(text.into()),
    }
}

fn one_line(c: char) -> bool {
    !c.is_control()
}

fn many_lines(c: char) -> bool {
    !c.is_control() || matches!(c, '\n' | '\t')
}

fn identifier(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '@' | ':')
}

/// A checked text: a private string, read with `as_str`, made with `parse`.
macro_rules! label {
    ($(#[$doc:meta])* $name:ident, $max:literal, $allowed:ident) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
        )]
        #[serde(try_from = "String", into = "String")]
        #[schemars(with = "String", extend("minLength" = 1, "maxLength" = $max))]
        pub struct $name(Box<str>);

        impl $name {
            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = LabelError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                check(text, $max, $allowed).map(Self)
            }
        }

        impl TryFrom<String> for $name {
            type Error = LabelError;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(label: $name) -> String {
                label.0.into()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

label! {
    /// Who a link belongs to: 1 to 64 letters, digits and `_-.@:`.
    OwnerId, 64, identifier
}
label! {
    /// A link's name for people: one line of at most 255 characters.
    Title, 255, one_line
}
label! {
    /// One label to find links by: one line of at most 50 characters.
    Tag, 50, one_line
}
label! {
    /// Free text for the owner: at most 2,000 characters.
    Note, 2_000, many_lines
}
label! {
    /// What is shown below a link's title elsewhere: one line of at most 500 characters.
    Description, 500, one_line
}
label! {
    /// A link's name in the owner's own system: one line of at most 255 characters.
    ExternalId, 255, one_line
}

label! {
    /// Why something is done about a link: one line of at most 500 characters.
    Reason, 500, one_line
}
label! {
    /// What somebody says about a link: at most 2,000 characters.
    Statement, 2_000, many_lines
}

/// The most tags a link can have.
pub const TAGS_MAX: usize = 20;

/// A link's tags: sorted, each once, at most [`TAGS_MAX`].
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "Vec<Tag>", into = "Vec<Tag>")]
#[schemars(with = "Vec<Tag>")]
pub struct Tags(Vec<Tag>);

impl Tags {
    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The same with one tag called otherwise, or joined to another one; `None`: that changes nothing.
    #[must_use]
    pub fn renamed(&self, from: &Tag, to: &Tag) -> Option<Self> {
        if from == to || !self.0.contains(from) {
            return None;
        }
        let others = self.0.iter().filter(|tag| *tag != from && *tag != to);
        let mut tags: Vec<Tag> = others.chain([to]).cloned().collect();
        tags.sort();
        Some(Self(tags))
    }

    /// The tags in order.
    pub fn iter(&self) -> impl Iterator<Item = &Tag> {
        self.0.iter()
    }
}

impl TryFrom<Vec<Tag>> for Tags {
    type Error = LabelError;

    fn try_from(mut tags: Vec<Tag>) -> Result<Self, Self::Error> {
        tags.sort();
        tags.dedup();
        if tags.len() > TAGS_MAX {
            Err(LabelError::TooMany { max: TAGS_MAX })
        } else {
            Ok(Self(tags))
        }
    }
}

impl From<Tags> for Vec<Tag> {
    fn from(tags: Tags) -> Vec<Tag> {
        tags.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_neither_blank_nor_too_long_nor_broken_by_control_characters() {
        assert_eq!(" ".parse::<Title>(), Err(LabelError::Empty));
        assert_eq!("a\nb".parse::<Title>(), Err(LabelError::Character('\n')));
        assert!("a\nb".parse::<Note>().is_ok());
        assert_eq!("é".repeat(51).parse::<Tag>(), Err(LabelError::TooLong { max: 50 }));
        assert!("é".repeat(50).parse::<Tag>().is_ok(), "characters are counted, not bytes");
        assert_eq!("a b".parse::<OwnerId>(), Err(LabelError::Character(' ')));
    }

    #[test]
    fn tags_are_a_set_in_order() {
        let tags = |texts: &[&str]| {
            Tags::try_from(texts.iter().map(|t| t.parse().unwrap()).collect::<Vec<Tag>>())
        };
        assert_eq!(tags(&["b", "a", "b"]), tags(&["a", "b"]));
        let many: Vec<String> = (0..21).map(|n| n.to_string()).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(tags(&many), Err(LabelError::TooMany { max: 20 }));
    }

    #[test]
    fn a_tag_that_is_renamed_stays_in_order_and_joins_the_one_that_is_there() {
        let tag = |text: &str| text.parse::<Tag>().unwrap();
        let tags =
            |texts: &[&str]| Tags::try_from(texts.iter().map(|t| tag(t)).collect::<Vec<_>>());
        let some = tags(&["a", "b", "c"]).unwrap();
        let renamed = |from: &str, to: &str| some.renamed(&tag(from), &tag(to));
        assert_eq!(renamed("a", "z"), tags(&["b", "c", "z"]).ok());
        assert_eq!(renamed("c", "a"), tags(&["a", "b"]).ok());
        assert_eq!([renamed("x", "a"), renamed("a", "a")], [None, None]);
    }
}

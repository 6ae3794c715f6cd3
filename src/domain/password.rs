//! The password that visitors of a link have to know, in clear: from a request to its hash, and nowhere else.

use std::fmt;
use std::str::FromStr;

/// The longest password, in characters.
pub const PASSWORD_CHARS_MAX: usize = 128;

/// A password. It shows itself in no log line.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(Box<str>);

/// Why a text is no password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// Choose a shorter one, or one at all.
    #[error("must have 1 to {PASSWORD_CHARS_MAX} characters")]
    Length,
    /// Leave out what no form can send: line breaks, tabs and the like.
    #[error("must not contain control characters")]
    Control,
}

impl Password {
    /// The password itself.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

impl FromStr for Password {
    type Err = PasswordError;

    fn from_str(text: &str) -> Result<Self, PasswordError> {
        if text.is_empty() || text.chars().nth(PASSWORD_CHARS_MAX).is_some() {
            return Err(PasswordError::Length);
        }
        if text.chars().any(char::is_control) {
            return Err(PasswordError::Control);
        }
        Ok(Self(text.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_bounded_and_shows_itself_to_nobody() {
        let longest = "é".repeat(PASSWORD_CHARS_MAX);
        for text in ["a", " with spaces ", longest.as_str()] {
            let password: Password = text.parse().unwrap();
            assert_eq!(password.reveal(), text);
            assert_eq!(format!("{password:?}"), "Password(…)");
        }
        assert_eq!("".parse::<Password>(), Err(PasswordError::Length));
        assert_eq!((longest + "x").parse::<Password>(), Err(PasswordError::Length));
        assert_eq!("a\r\nb".parse::<Password>(), Err(PasswordError::Control));
    }
}

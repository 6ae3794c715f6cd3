//! How a link stood where it was exported: what an import must not lose, although no request for a link has it.

use serde_json::{Map, Value};

use super::cell;

/// Whether and how a link was open.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Whether it asked for a password.
    pub is_protected: bool,
    /// The state, in small letters; empty: nothing was said.
    pub state: String,
    /// How many clicks it had left, if that was said.
    pub clicks_left: Option<u64>,
}

impl Standing {
    /// Of the cells of a row, each with its column.
    #[must_use]
    pub fn of_cells<'a>(cells: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        let mut standing = Self::default();
        for (column, cell) in cells {
            standing.say(column, &cell::plain(cell));
        }
        standing
    }

    /// Of an answer of the API.
    #[must_use]
    pub fn of_answer(answer: &Map<String, Value>) -> Self {
        let mut standing = Self::default();
        for (name, value) in answer {
            match value {
                Value::Null => {}
                Value::String(text) => standing.say(name, text),
                other => standing.say(name, &other.to_string()),
            }
        }
        standing
    }

    fn say(&mut self, name: &str, text: &str) {
        let text = text.trim().to_ascii_lowercase();
        match name {
            // Whatever says neither: a link that may be protected is.
            "hasPassword" => self.is_protected = !matches!(&*text, "" | "false"),
            "state" => self.state = text,
            "clicksLeft" => self.clicks_left = text.parse().ok(),
            _ => {}
        }
    }

    /// Whether it was open, or would have been in time.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(&*self.state, "" | "active" | "scheduled")
    }

    /// Whether it had all the clicks that it may have.
    #[must_use]
    pub fn is_used_up(&self) -> bool {
        self.clicks_left == Some(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(column: &str, cell: &str) -> Standing {
        Standing::of_cells([("url", "https://e.com/"), (column, cell)].into_iter())
    }

    /// Fault 6 of passwords in the field: what is not clearly open is not opened. Spreadsheets save `TRUE`.
    #[test]
    fn fault_6_a_link_is_protected_unless_it_says_no() {
        for cell in ["true", "TRUE", "True", " true ", "1", "yes", "WAHR"] {
            assert!(of("hasPassword", cell).is_protected, "{cell}");
        }
        for cell in ["", "false", "FALSE", " False "] {
            assert!(!of("hasPassword", cell).is_protected, "{cell}");
        }
    }

    #[test]
    fn a_link_stands_as_its_export_says() {
        assert!(of("state", "Active").is_open() && of("title", "x").is_open());
        assert!(!of("state", "DISABLED").is_open() && !of("state", "deleted").is_open());
        assert!(of("clicksLeft", "0").is_used_up() && !of("clicksLeft", "").is_used_up());
        let answer =
            json!({"hasPassword": true, "state": "scheduled", "clicksLeft": 3, "url": null});
        let expected =
            Standing { is_protected: true, state: "scheduled".to_owned(), clicks_left: Some(3) };
        assert_eq!(Standing::of_answer(answer.as_object().unwrap()), expected);
    }
}

//! The orders of lists, and places in them.

use super::LinkSort;
use crate::cursor::{QueryError, decode};
use crate::database::Value;

/// How one order is written.
#[derive(Debug)]
pub(super) struct Order {
    /// In cursors.
    pub(super) name: &'static str,
    pub(super) sort: LinkSort,
    /// What is sorted by, before the link.
    pub(super) column: &'static str,
    pub(super) descending: bool,
    pub(super) numeric: bool,
}

/// The last row of the page before.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) value: Value,
    pub(super) link: String,
}

impl LinkSort {
    pub(super) fn order(self) -> Order {
        let (name, column, descending, numeric) = match self {
            Self::NewestFirst => ("newest", "l.created_at", true, true),
            Self::OldestFirst => ("oldest", "l.created_at", false, true),
            Self::Code => ("code", "l.code", false, false),
            Self::MostClicked => ("clicks", "coalesce(t.humans + t.bots, 0)", true, true),
        };
        Order { name, sort: self, column, descending, numeric }
    }
}

impl Order {
    /// What a cursor says.
    pub(super) fn place(&self, cursor: &str) -> Result<Place, QueryError> {
        let [value, link] = decode::<2>(self.name, cursor)?;
        let value = if self.numeric {
            Value::from(value.parse::<i64>().map_err(|_| QueryError::Cursor)?)
        } else {
            Value::from(value)
        };
        Ok(Place { value, link })
    }

    /// Whether links are in the order of their creation, or its reverse.
    pub(super) fn is_by_creation(&self) -> bool {
        matches!(self.sort, LinkSort::NewestFirst | LinkSort::OldestFirst)
    }

    pub(super) fn direction(&self) -> &'static str {
        if self.descending { "desc" } else { "asc" }
    }

    /// How what comes later compares with a place.
    pub(super) fn further(&self) -> &'static str {
        if self.descending { "<" } else { ">" }
    }
}

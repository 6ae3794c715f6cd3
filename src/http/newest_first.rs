//! Lists that are in memory, the newest first, page by page.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use hoplog_projections::cursor::cut;
use uuid::Uuid;

/// Where something stands in such a list; also where a page ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    created_at_us: i64,
    id: Uuid,
}

impl Place {
    pub(super) fn new(created_at: DateTime<Utc>, id: Uuid) -> Self {
        Self { created_at_us: created_at.timestamp_micros(), id }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.created_at_us, self.id)
    }
}

impl FromStr for Place {
    type Err = ();

    fn from_str(token: &str) -> Result<Self, ()> {
        let (created_at_us, id) = token.split_once('.').ok_or(())?;
        let created_at_us = created_at_us.parse().map_err(|_| ())?;
        Ok(Self { created_at_us, id: Uuid::try_parse(id).map_err(|_| ())? })
    }
}

/// Cuts a list to the page behind a place; the cursor of the next page, if there is one.
pub(super) fn page<T>(
    all: &mut Vec<T>,
    after: Option<Place>,
    limit: usize,
    place: impl Fn(&T) -> Place,
) -> Option<String> {
    all.retain(|one| after.is_none_or(|after| place(one) < after));
    cut(all, limit).map(|last| place(last).to_string())
}

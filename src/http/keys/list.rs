//! `GET /api/v1/keys`: the keys there are, page by page.

use std::fmt;
use std::str::FromStr;

use axum::Json;
use axum::extract::{RawQuery, State};
use hoplog_events::account::ApiKeyId;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::KeyAnswer;
use crate::accounts::KeyRecord;
use crate::app::AppState;
use crate::http::auth::Administrator;
use crate::http::fields::Parameters;
use crate::http::problem::Problem;

/// Keys on a page when the request does not say.
const PAGE_KEYS: usize = 50;

/// Keys on a page at most.
const PAGE_KEYS_MAX: usize = 500;

/// One page of keys.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeyList {
    /// The keys, the newest first.
    pub data: Vec<KeyAnswer>,
    /// Give it as `cursor` for the next page; `null` on the last.
    pub next_cursor: Option<String>,
}

/// Where a key stands among all; also where a page ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    created_at_us: i64,
    id: ApiKeyId,
}

impl Place {
    fn of(key: &KeyRecord) -> Self {
        Self { created_at_us: key.created_at.timestamp_micros(), id: key.created.id }
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
        Ok(Self { created_at_us, id: ApiKeyId(Uuid::try_parse(id).map_err(|_| ())?) })
    }
}

/// All API keys, without the keys themselves.
#[utoipa::path(
    get, path = "/api/v1/keys", tag = "keys",
    params(
        ("limit" = Option<usize>, Query, description = "1 to 500 (default 50)"),
        ("cursor" = Option<String>, Query, description = "nextCursor of the page before"),
    ),
    responses((status = 200, description = "a page", body = KeyList)),
)]
pub async fn list_keys(
    State(app): State<AppState>,
    _: Administrator,
    RawQuery(query): RawQuery,
) -> Result<Json<KeyList>, Problem> {
    let mut query = Parameters::new(query.as_deref());
    let after = query.cursor();
    let limit = query.limit(PAGE_KEYS, PAGE_KEYS_MAX);
    query.finish()?;
    Ok(Json(page(app.keys.list(), after, limit)))
}

/// A page of keys that are in order, the newest first.
fn page(mut keys: Vec<KeyRecord>, after: Option<Place>, limit: usize) -> KeyList {
    keys.retain(|key| after.is_none_or(|after| Place::of(key) < after));
    let more = keys.len() > limit;
    keys.truncate(limit);
    let last = keys.last().filter(|_| more).map(|key| Place::of(key).to_string());
    KeyList { data: keys.into_iter().map(Into::into).collect(), next_cursor: last }
}

//! `GET /api/v1/keys`: the keys there are, page by page.

use axum::Json;
use axum::extract::{RawQuery, State};
use serde::Serialize;
use utoipa::ToSchema;

use super::KeyAnswer;
use crate::accounts::KeyRecord;
use crate::app::AppState;
use crate::http::auth::Administrator;
use crate::http::fields::Parameters;
use crate::http::newest_first::{self, Place};
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
    let mut keys = app.keys.list();
    let place = |key: &KeyRecord| Place::new(key.created_at, key.created.id.0);
    let next_cursor = newest_first::page(&mut keys, after, limit, place);
    Ok(Json(KeyList { data: keys.into_iter().map(Into::into).collect(), next_cursor }))
}

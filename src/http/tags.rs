//! `/api/v1/tags`: the tags of one's links.

use axum::Json;
use axum::extract::{RawQuery, State};
use hoplog_projections::link_directory::{self, TagQuery};
use serde::Serialize;
use utoipa::ToSchema;

use super::auth::LinksReader;
use super::fields::Parameters;
use super::headers::AtLeast;
use super::problem::Problem;
use crate::app::AppState;

pub mod rename;

/// Tags on a page when the request does not say.
const PAGE_TAGS: usize = 50;

/// Tags on a page at most.
const PAGE_TAGS_MAX: usize = 500;

/// One page of tags.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TagList {
    /// The tags, in the order of their bytes.
    pub data: Vec<TagAnswer>,
    /// Give it as `cursor` for the next page; `null` on the last.
    pub next_cursor: Option<String>,
}

/// A tag.
#[derive(Debug, Serialize, ToSchema)]
pub struct TagAnswer {
    /// What it is called.
    #[schema(example = "spring")]
    pub tag: String,
    /// How many links have it: also archived ones, but none that was deleted.
    pub links: u64,
}

/// The tags of your links; of every owner's with the scope admin.
#[utoipa::path(
    get, path = "/api/v1/tags", tag = "tags",
    params(
        ("prefix" = Option<String>, Query, description = "only tags that begin with this text, as it is"),
        ("limit" = Option<usize>, Query, description = "1 to 500 (default 50)"),
        ("cursor" = Option<String>, Query, description = "nextCursor of the page before"),
        AtLeast,
    ),
    responses(
        (status = 200, description = "a page", body = TagList),
        (status = 400, body = Problem, content_type = "application/problem+json", description = "some parameters are wrong"),
    ),
)]
pub async fn list_tags(
    State(app): State<AppState>,
    LinksReader(principal): LinksReader,
    RawQuery(query): RawQuery,
    AtLeast(position): AtLeast,
) -> Result<Json<TagList>, Problem> {
    let mut query = Parameters::new(query.as_deref());
    let (prefix, cursor) = (query.optional("prefix"), query.raw("cursor"));
    let limit = query.limit(PAGE_TAGS, PAGE_TAGS_MAX);
    query.finish()?;
    app.wait_for(link_directory::NAME, position).await?;
    let query = TagQuery { owner: principal.only_owner(), prefix, cursor, limit };
    let page = app.read_models.link_directory().tags(&query).await?;
    let answer = |(tag, links): (_, u64)| TagAnswer { tag: String::from(tag), links };
    let data = page.tags.into_iter().map(answer).collect();
    Ok(Json(TagList { data, next_cursor: page.next_cursor }))
}

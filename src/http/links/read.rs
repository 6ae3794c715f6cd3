//! `GET /api/v1/links` and `GET /api/v1/links/{code}`.

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use hoplog_events::link::{Destination, LinkState, Tag};
use hoplog_projections::cursor::QueryError;
use hoplog_projections::link_directory::{
    self, Archived, LinkFilter, LinkQuery, LinkSort, Validity,
};
use serde::Serialize;
use utoipa::ToSchema;

use super::answer::{LinkAnswer, SCHEDULED, respond};
use super::place::Places;
use super::request::Rfc3339;
use crate::app::{App, AppState};
use crate::domain::link::Link;
use crate::http::auth::LinksReader;
use crate::http::export::{Asked, PAGE_ROWS, Page};
use crate::http::fields::Parameters;
use crate::http::headers::AtLeast;
use crate::http::origin::Origin;
use crate::http::path::LinkAt;
use crate::http::problem::Problem;
use crate::queries::get_link::not_deleted;
use crate::queries::link_as_of::link_as_of;
use crate::rows::{self, Form};

/// Links on a page when the request does not say.
const PAGE_LINKS: usize = 50;

/// Links on a page at most.
const PAGE_LINKS_MAX: usize = 500;

/// The longest text to search for, in characters.
const SEARCH_CHARS_MAX: usize = 200;

/// One page of links.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LinkList {
    /// The links.
    pub data: Vec<LinkAnswer>,
    /// Give it as `cursor` for the next page; `null` on the last.
    pub next_cursor: Option<String>,
}

/// One link, as it is or as it was.
#[utoipa::path(
    get, path = "/api/v1/links/{code}", tag = "links",
    params(
        LinkAt,
        ("asOf" = Option<String>, Query, description = "as it was at this instant (RFC 3339), from its own events; without clicks"),
        AtLeast,
    ),
    responses(
        (status = 200, description = "the link", body = LinkAnswer),
        (status = 400, body = Problem, content_type = "application/problem+json", description = "some parameters are wrong"),
        (status = 404, body = Problem, content_type = "application/problem+json", description = "no such link of yours"),
        (status = 410, body = Problem, content_type = "application/problem+json", description = "it was deleted"),
    ),
)]
pub async fn show_link(
    State(app): State<AppState>,
    LinksReader(principal): LinksReader,
    LinkAt(key): LinkAt,
    RawQuery(query): RawQuery,
    AtLeast(position): AtLeast,
    origin: Origin,
) -> Result<Response, Problem> {
    if let Some(at) = instant_of(query.as_deref(), app.clock.now())? {
        let link = link_as_of(app.log.as_ref(), &key, at, &principal.requester()).await?;
        let answer = LinkAnswer::as_of(not_deleted(link)?, &origin, at);
        return Ok(respond(StatusCode::OK, answer, None));
    }
    app.wait_for(link_directory::NAME, position).await?;
    let link = not_deleted(app.find_link(&key, &principal.requester()).await?)?;
    let totals = app.totals_at(&key, position).await?;
    let answer = LinkAnswer::new(link, totals, &origin, app.clock.now());
    Ok(respond(StatusCode::OK, answer, None))
}

/// When a link is asked for as it was.
fn instant_of(query: Option<&str>, now: DateTime<Utc>) -> Result<Option<DateTime<Utc>>, Problem> {
    let mut query = Parameters::of_link(query);
    let at = query.optional("asOf").map(|Rfc3339(instant)| instant);
    if at.is_some_and(|at| at > now) {
        query.wrong("asOf", "in_the_future", "must not lie in the future");
    }
    query.finish().map(|()| at)
}

/// Your links; every owner's with the scope admin.
///
/// With `Accept: text/csv` or `application/x-ndjson` all of them, as a file that is written while it is read.
#[utoipa::path(
    get, path = "/api/v1/links", tag = "links",
    params(
        ("tag" = Option<String>, Query, description = "only links with this tag"),
        ("domain" = Option<String>, Query, description = "only links on this domain; default: on every one"),
        ("state" = Option<String>, Query, description = "active, scheduled (not valid yet), disabled, expired or deleted; default: all but deleted"),
        ("archived" = Option<String>, Query, description = "exclude (default), include or only"),
        ("externalId" = Option<String>, Query, description = "only links with this name in your own system"),
        ("q" = Option<String>, Query, description = "only links with this text in code, URL or title"),
        ("url" = Option<String>, Query, description = "only links to exactly this URL"),
        ("createdAfter" = Option<String>, Query, description = "created at this instant or later"),
        ("createdBefore" = Option<String>, Query, description = "created before this instant"),
        ("sort" = Option<String>, Query, description = "-createdAt (default), createdAt, code or -clicks (an order that moves while clicks come in: no link comes twice, one that overtakes the cursor is left out)"),
        ("limit" = Option<usize>, Query, description = "1 to 500 (default 50)"),
        ("cursor" = Option<String>, Query, description = "nextCursor of the page before"),
        AtLeast,
    ),
    responses(
        (status = 200, description = "a page, or a file of all", content(
            (LinkList = "application/json"),
            (String = "text/csv"),
            (String = "application/x-ndjson"),
        )),
        (status = 400, body = Problem, content_type = "application/problem+json", description = "some parameters are wrong"),
    ),
)]
pub async fn list_links(
    State(app): State<AppState>,
    LinksReader(principal): LinksReader,
    RawQuery(query): RawQuery,
    AtLeast(position): AtLeast,
    (origin, places): (Origin, Places),
    asked: Asked,
) -> Result<Response, Problem> {
    let (mut query, form) = link_query(query.as_deref(), app.clock.now(), &asked, &places)?;
    query.filter.owner = principal.only_owner();
    app.wait_for(link_directory::NAME, position).await?;
    let Some(form) = form else {
        return Ok(Json(page_of_links(&app, &origin, &query).await?).into_response());
    };
    let reader = AppState::clone(&app);
    let page = move |cursor| {
        let (app, origin) = (AppState::clone(&reader), origin.clone());
        let query = LinkQuery { cursor, limit: PAGE_ROWS, ..query.clone() };
        async move {
            let LinkList { data, next_cursor } = page_of_links(&app, &origin, &query).await?;
            Ok(Page::of(&data, next_cursor))
        }
    };
    asked.answer(app, principal, ("links", rows::link::table(form), form), page).await
}

async fn page_of_links(
    app: &App,
    origin: &Origin,
    query: &LinkQuery,
) -> Result<LinkList, QueryError> {
    let page = app.read_models.link_directory().list(query).await?;
    let now = app.clock.now();
    let answer = |(row, totals)| LinkAnswer::new(Link::from(row), totals, origin, now);
    let data = page.links.into_iter().map(answer).collect();
    Ok(LinkList { data, next_cursor: page.next_cursor })
}

/// What is asked for, and the form of the file if it is to be one.
fn link_query(
    query: Option<&str>,
    now: DateTime<Utc>,
    asked: &Asked,
    places: &Places,
) -> Result<(LinkQuery, Option<Form>), Problem> {
    let sorts = [
        ("-createdAt", LinkSort::NewestFirst),
        ("createdAt", LinkSort::OldestFirst),
        ("code", LinkSort::Code),
        ("-clicks", LinkSort::MostClicked),
    ];
    let mut query = Parameters::new(query);
    let form = asked.form(&mut query);
    let text = query.raw("q").filter(|text| !text.is_empty());
    if text.as_ref().is_some_and(|text| text.chars().count() > SEARCH_CHARS_MAX) {
        query.wrong("q", "invalid", format!("must have at most {SEARCH_CHARS_MAX} characters"));
    }
    let (state, validity) = listed_state(&mut query, now);
    let archived =
        [("exclude", Archived::Exclude), ("include", Archived::Include), ("only", Archived::Only)];
    let filter = LinkFilter {
        owner: None,
        domain: places.take_filter(&mut query),
        tag: query.optional::<Tag>("tag"),
        state,
        validity,
        archived: query.choice("archived", &archived, Archived::Exclude),
        external_id: query.optional("externalId"),
        text,
        url: query.optional::<Destination>("url"),
        created_after: query.optional("createdAfter").map(|Rfc3339(instant)| instant),
        created_before: query.optional("createdBefore").map(|Rfc3339(instant)| instant),
    };
    let sort = query.choice("sort", &sorts, LinkSort::NewestFirst);
    let cursor = query.raw("cursor");
    let limit = query.limit(PAGE_LINKS, PAGE_LINKS_MAX);
    if form.is_some() && matches!(sort, LinkSort::MostClicked) {
        query.wrong("sort", "conflict", "an order that moves leaves links out of a file");
    }
    query.finish()?;
    Ok((LinkQuery { filter, sort, cursor, limit }, form))
}

/// The states that answers tell: a link whose time has not come is active on the log.
fn listed_state(
    query: &mut Parameters,
    now: DateTime<Utc>,
) -> (Option<LinkState>, Option<Validity>) {
    let Some(given) = query.raw("state") else { return (None, None) };
    let state = if given == SCHEDULED { Some(LinkState::Active) } else { given.parse().ok() };
    match state {
        Some(LinkState::Active) if given == SCHEDULED => (state, Some(Validity::ToCome(now))),
        Some(LinkState::Active) => (state, Some(Validity::Begun(now))),
        Some(_) => (state, None),
        None => {
            let detail =
                "must be one of active, scheduled, disabled, expired, quarantined, deleted";
            query.wrong("state", "invalid", detail);
            (None, None)
        }
    }
}

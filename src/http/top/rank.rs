//! `GET /api/v1/links/{code}/rank`: where one link stands.

use axum::Json;
use axum::extract::{RawQuery, State};
use serde::Serialize;
use utoipa::ToSchema;

use super::parameters::{Asked, RankingParameters};
use super::{RankedLinkAnswer, RankingAnswer, links};
use crate::app::AppState;
use crate::app::rankings::RankingQuery;
use crate::http::auth::StatsReader;
use crate::http::fields::Parameters;
use crate::http::headers::AtLeast;
use crate::http::origin::Origin;
use crate::http::path::LinkAt;
use crate::http::problem::Problem;

/// Neighbours on each side when the request does not say.
const NEIGHBOURS: usize = 2;

/// Neighbours on each side at most.
const NEIGHBOURS_MAX: usize = 10;

/// Where a link stands.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RankAnswer {
    /// From 1; `null`: the link has no clicks that count, or its rank is behind 100,000.
    pub rank: Option<u64>,
    /// Its clicks that count; `null` in a trend.
    pub clicks: Option<u64>,
    /// Its clicks that count in a trend, each the less the longer ago.
    pub score: Option<f64>,
    /// Those that are ranked next above it, the highest first.
    pub above: Vec<RankedLinkAnswer>,
    /// Those that are ranked next below it, the highest first.
    pub below: Vec<RankedLinkAnswer>,
    /// What was ranked.
    #[serde(flatten)]
    pub ranking: RankingAnswer,
}

/// Where a link stands among all your links, and its neighbours; among every owner's with the scope
/// admin.
#[utoipa::path(
    get, path = "/api/v1/links/{code}/rank", tag = "statistics",
    params(
        LinkAt,
        RankingParameters,
        ("neighbours" = Option<usize>, Query, description = "how many on each side, 0 to 10 (default 2)"),
        AtLeast,
    ),
    responses(
        (status = 200, description = "the place", body = RankAnswer),
        (status = 400, body = Problem, content_type = "application/problem+json", description = "some parameters are wrong"),
        (status = 404, body = Problem, content_type = "application/problem+json", description = "no such link of yours"),
    ),
)]
pub async fn link_rank(
    State(app): State<AppState>,
    StatsReader(principal): StatsReader,
    LinkAt(key): LinkAt,
    RawQuery(query): RawQuery,
    AtLeast(position): AtLeast,
    origin: Origin,
) -> Result<Json<RankAnswer>, Problem> {
    let mut query = Parameters::of_link(query.as_deref());
    let asked = Asked::take(&mut query, app.clock.now());
    let neighbours = neighbours(&mut query);
    query.finish()?;
    let requester = principal.requester();
    app.find_link(&key, &requester).await?;
    let among = asked.among(principal.only_owner());
    let ranking = RankingQuery { ranking: asked.ranking.clone(), among, position };
    let found = app.link_rank(&ranking, &key, neighbours).await?;
    let (clicks, score) = asked.numbers(found.as_ref().map_or(0, |found| found.own.score));
    let rank = found.as_ref().and_then(|found| found.own.rank);
    let (above, below) = found.map(|found| (found.above, found.below)).unwrap_or_default();
    let above = links(&app, &asked, above, (&requester, &origin)).await?;
    let below = links(&app, &asked, below, (&requester, &origin)).await?;
    Ok(Json(RankAnswer { rank, clicks, score, above, below, ranking: asked.shown }))
}

fn neighbours(query: &mut Parameters) -> usize {
    let Some(given) = query.raw("neighbours") else { return NEIGHBOURS };
    given.parse().ok().filter(|given| *given <= NEIGHBOURS_MAX).unwrap_or_else(|| {
        let detail = format!("must be a whole number from 0 to {NEIGHBOURS_MAX}");
        query.wrong("neighbours", "invalid", detail);
        NEIGHBOURS
    })
}

//! `GET /api/v1/top` and `…/rank`: which links are clicked most.

use axum::Json;
use axum::extract::{RawQuery, State};
use chrono::NaiveDate;
use hoplog_events::link::LinkKey;
use hoplog_projections::top_links::Ranked;
use serde::Serialize;
use utoipa::ToSchema;

use super::auth::StatsReader;
use super::fields::Parameters;
use super::headers::AtLeast;
use super::links::answer::LinkAnswer;
use super::origin::Origin;
use super::problem::Problem;
use crate::app::rankings::RankingQuery;
use crate::app::{App, AppState};
use crate::domain::link::Requester;

mod parameters;
pub mod rank;

use parameters::{Asked, RankingParameters};

/// Links in the answer when the request does not say.
const LINKS: usize = 10;

/// Links in the answer at most.
const LINKS_MAX: usize = 100;

/// The links that are clicked most.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TopAnswer {
    /// The links, the first one first.
    pub data: Vec<RankedLinkAnswer>,
    /// What was ranked.
    #[serde(flatten)]
    pub ranking: RankingAnswer,
}

/// What was ranked: clicks of people; bots never count.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RankingAnswer {
    /// clicks or trending.
    #[schema(example = "clicks")]
    pub by: &'static str,
    /// The first day whose clicks count, in UTC; `null`: all clicks, or a trend.
    pub from: Option<NaiveDate>,
    /// The last day, likewise.
    pub to: Option<NaiveDate>,
    /// After how long a click counts half, in a trend: 1h, 24h or 7d.
    pub half_life: Option<&'static str>,
}

/// A link in its place.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RankedLinkAnswer {
    /// From 1. Of equal links the one that came first is ranked higher. `null`: behind 100,000.
    pub rank: Option<u64>,
    /// The clicks that count; `null` in a trend.
    pub clicks: Option<u64>,
    /// The clicks that count in a trend, each the less the longer ago: one of this moment is 1.
    pub score: Option<f64>,
    /// The link, deleted or not; `null`: it can't be read.
    pub link: Option<LinkAnswer>,
    /// The code of a link that can't be read: its log has an event that this version does not understand.
    pub unreadable: Option<String>,
}

/// The links that are clicked most by people: ever, in a period, or lately.
///
/// Yours; every owner's with the scope admin. Of two links with the same number the one whose first
/// counted click came first is ranked higher.
#[utoipa::path(
    get, path = "/api/v1/top", tag = "statistics",
    params(
        RankingParameters,
        ("limit" = Option<usize>, Query, description = "1 to 100 (default 10)"),
        AtLeast,
    ),
    responses(
        (status = 200, description = "the links", body = TopAnswer),
        (status = 400, body = Problem, content_type = "application/problem+json", description = "some parameters are wrong"),
    ),
)]
pub async fn top_links(
    State(app): State<AppState>,
    StatsReader(principal): StatsReader,
    RawQuery(query): RawQuery,
    AtLeast(position): AtLeast,
    origin: Origin,
) -> Result<Json<TopAnswer>, Problem> {
    let mut query = Parameters::new(query.as_deref());
    let asked = Asked::take(&mut query, app.clock.now());
    let limit = query.limit(LINKS, LINKS_MAX);
    query.finish()?;
    let among = asked.among(principal.only_owner());
    let ranking = RankingQuery { ranking: asked.ranking.clone(), among, position };
    let top = app.top_links(&ranking, limit).await?;
    let data = links(&app, &asked, top, (&principal.requester(), &origin)).await?;
    Ok(Json(TopAnswer { data, ranking: asked.shown }))
}

/// Ranked links as they are answered.
async fn links(
    app: &App,
    asked: &Asked,
    ranked: Vec<Ranked>,
    (requester, origin): (&Requester, &Origin),
) -> Result<Vec<RankedLinkAnswer>, Problem> {
    let keys: Vec<LinkKey> = ranked.iter().map(|ranked| ranked.link.clone()).collect();
    let mut described = app.describe_links(&keys, requester).await?;
    let now = app.clock.now();
    let one = |ranked: Ranked| {
        let found = described.remove(&ranked.link)?;
        let (clicks, score) = asked.numbers(ranked.score);
        let unreadable = found.is_none().then(|| ranked.link.code.to_string());
        let link = found.map(|(link, totals)| LinkAnswer::new(link, totals, origin, now));
        Some(RankedLinkAnswer { rank: ranked.rank, clicks, score, link, unreadable })
    };
    Ok(ranked.into_iter().filter_map(one).collect())
}

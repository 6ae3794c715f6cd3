//! `…/stats`: analytics of one link, or of all links of an owner.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{RawQuery, State};
use chrono::{DateTime, Utc};
use hoplog_events::position::Position;
use hoplog_projections::click_statistics::{self, Scope, Slice, Statistics, StatisticsQuery};
use hoplog_projections::clicks;
use hoplog_projections::dimension::Dimension;
use hoplog_projections::link_directory;
use serde::Serialize;
use utoipa::ToSchema;

use super::auth::StatsReader;
use super::fields::Parameters;
use super::headers::AtLeast;
use super::links::answer::{instant, optional_instant};
use super::links::place::Places;
use super::path::LinkAt;
use super::problem::Problem;
use crate::app::{App, AppState};

mod parameters;
mod selection;
pub mod split;

pub use parameters::{StatisticsParameters, bots, orphan_query};
use parameters::{name_of, statistics_query};
pub use selection::SelectionParameters;
use selection::selected;

/// The numbers about some clicks. Visitors are estimated (standard error 0.81 %); one visitor is
/// one address (of IPv6: one /64 network) and user agent on one UTC day.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct StatisticsAnswer {
    /// All clicks in the range that the filters admit.
    pub total_clicks: u64,
    /// About how many visitors they came from.
    pub unique_visitors: u64,
    /// From here on clicks were counted: `from`, or the quarter of an hour of the first click.
    #[serde(serialize_with = "optional_instant")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub from: Option<DateTime<Utc>>,
    /// And before this. `null` where no end was given and there are no clicks.
    #[serde(serialize_with = "optional_instant")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub to: Option<DateTime<Utc>>,
    /// How long the intervals of `series` are: hour, day, week or month.
    pub interval: &'static str,
    /// Interval by interval.
    pub series: Vec<PointAnswer>,
    /// `human`, `bot`, `preview`, `prefetch`, `head`.
    pub classes: Vec<SliceAnswer>,
    /// ISO 3166 codes; empty: unknown.
    pub countries: Vec<SliceAnswer>,
    /// Where the operator's database knows them.
    pub regions: Vec<SliceAnswer>,
    /// Where the operator's database knows them.
    pub cities: Vec<SliceAnswer>,
    /// desktop, mobile, tablet, bot, other.
    pub devices: Vec<SliceAnswer>,
    /// Browsers.
    pub browsers: Vec<SliceAnswer>,
    /// Operating systems.
    pub systems: Vec<SliceAnswer>,
    /// Referring hosts; empty: direct.
    pub referrers: Vec<SliceAnswer>,
    /// Whole referrers; empty: direct.
    pub referrer_urls: Vec<SliceAnswer>,
    /// First preferred languages; empty: unknown.
    pub languages: Vec<SliceAnswer>,
    /// Campaign parameters.
    pub utm: UtmAnswer,
    /// Variants of splits, by their names: only clicks that were led to one.
    pub variants: Vec<SliceAnswer>,
    /// Rules, by their names or numbers: only clicks that one led, and none that asks for addresses.
    pub rules: Vec<SliceAnswer>,
}

/// Campaign parameters: only clicks that have them.
#[derive(Debug, Serialize, ToSchema)]
pub struct UtmAnswer {
    /// `utm_source`
    pub source: Vec<SliceAnswer>,
    /// `utm_medium`
    pub medium: Vec<SliceAnswer>,
    /// `utm_campaign`
    pub campaign: Vec<SliceAnswer>,
    /// `utm_term`
    pub term: Vec<SliceAnswer>,
    /// `utm_content`
    pub content: Vec<SliceAnswer>,
}

/// One interval.
#[derive(Debug, Serialize, ToSchema)]
pub struct PointAnswer {
    /// Where it begins.
    #[serde(serialize_with = "instant")]
    #[schema(value_type = String, format = DateTime)]
    pub start: DateTime<Utc>,
    /// The clicks in it.
    pub clicks: u64,
    /// About how many visitors they came from.
    pub visitors: u64,
}

/// One value of a dimension.
#[derive(Debug, Serialize, ToSchema)]
pub struct SliceAnswer {
    /// The value.
    pub value: String,
    /// The clicks with it.
    pub clicks: u64,
    /// About how many visitors they came from.
    pub visitors: u64,
}

/// Statistics of one link.
///
/// A parameter that is called like a dimension filters: `country=IN,DE` admits either,
/// `browser=-Firefox` all others. Range (by whole quarters of an hour) and filters hold for every
/// number of the answer.
#[utoipa::path(
    get, path = "/api/v1/links/{code}/stats", tag = "statistics",
    params(
        LinkAt,
        StatisticsParameters,
        AtLeast,
    ),
    responses(
        (status = 200, description = "the numbers", body = StatisticsAnswer),
        (status = 400, body = Problem, content_type = "application/problem+json", description = "some parameters are wrong"),
        (status = 404, body = Problem, content_type = "application/problem+json", description = "no such link of yours"),
    ),
)]
pub async fn link_statistics(
    State(app): State<AppState>,
    StatsReader(principal): StatsReader,
    LinkAt(key): LinkAt,
    RawQuery(query): RawQuery,
    AtLeast(position): AtLeast,
) -> Result<Json<StatisticsAnswer>, Problem> {
    let query = Parameters::of_link(query.as_deref());
    let query = statistics_query(query, Scope::Link(key.clone()))?;
    app.find_link(&key, &principal.requester()).await?;
    answer(&app, &query, position).await
}

/// Statistics of all your links together; of every owner's with the scope admin.
///
/// With `tag` those of the links that have the tag now, with `domain` those of the links of a domain, with both those of
/// the links that are meant by both.
#[utoipa::path(
    get, path = "/api/v1/stats", tag = "statistics",
    params(
        SelectionParameters,
        StatisticsParameters,
        AtLeast,
    ),
    responses(
        (status = 200, description = "the numbers", body = StatisticsAnswer),
        (status = 400, body = Problem, content_type = "application/problem+json", description = "some parameters are wrong"),
    ),
)]
pub async fn all_statistics(
    State(app): State<AppState>,
    StatsReader(principal): StatsReader,
    places: Places,
    RawQuery(query): RawQuery,
    AtLeast(position): AtLeast,
) -> Result<Json<StatisticsAnswer>, Problem> {
    let mut query = Parameters::new(query.as_deref());
    let scope = selected(&mut query, principal.only_owner(), &places);
    let query = statistics_query(query, scope)?;
    answer(&app, &query, position).await
}

/// Waits for the read models that the numbers come from, then adds them up.
async fn answer(
    app: &App,
    query: &StatisticsQuery,
    position: Option<Position>,
) -> Result<Json<StatisticsAnswer>, Problem> {
    let source = if query.filters.is_empty() { click_statistics::NAME } else { clicks::NAME };
    app.wait_for(source, position).await?;
    if matches!(query.scope, Scope::Owner(_) | Scope::Selected(_)) {
        app.wait_for(link_directory::NAME, position).await?;
    }
    let statistics = app.read_models.click_statistics().statistics(query).await?;
    Ok(Json(statistics.into()))
}

impl From<Statistics> for StatisticsAnswer {
    fn from(mut statistics: Statistics) -> Self {
        let point = |point: click_statistics::Point| PointAnswer {
            start: point.start,
            clicks: point.clicks,
            visitors: point.visitors,
        };
        let series = std::mem::take(&mut statistics.series).into_iter().map(point).collect();
        let breakdowns = &mut statistics.breakdowns;
        Self {
            total_clicks: statistics.total_clicks,
            unique_visitors: statistics.unique_visitors,
            from: statistics.from,
            to: statistics.to,
            interval: name_of(statistics.interval),
            series,
            classes: slices(breakdowns, Dimension::Class),
            countries: slices(breakdowns, Dimension::Country),
            regions: slices(breakdowns, Dimension::Region),
            cities: slices(breakdowns, Dimension::City),
            devices: slices(breakdowns, Dimension::Device),
            browsers: slices(breakdowns, Dimension::Browser),
            systems: slices(breakdowns, Dimension::System),
            referrers: slices(breakdowns, Dimension::Referrer),
            referrer_urls: slices(breakdowns, Dimension::ReferrerUrl),
            languages: slices(breakdowns, Dimension::Language),
            variants: slices(breakdowns, Dimension::Variant),
            rules: slices(breakdowns, Dimension::Rule),
            utm: UtmAnswer {
                source: slices(breakdowns, Dimension::UtmSource),
                medium: slices(breakdowns, Dimension::UtmMedium),
                campaign: slices(breakdowns, Dimension::UtmCampaign),
                term: slices(breakdowns, Dimension::UtmTerm),
                content: slices(breakdowns, Dimension::UtmContent),
            },
        }
    }
}

fn slices(breakdowns: &mut BTreeMap<Dimension, Vec<Slice>>, of: Dimension) -> Vec<SliceAnswer> {
    breakdowns.remove(&of).unwrap_or_default().into_iter().map(Into::into).collect()
}

impl From<Slice> for SliceAnswer {
    fn from(slice: Slice) -> Self {
        Self { value: slice.value, clicks: slice.clicks, visitors: slice.visitors }
    }
}

//! `…/stats`: analytics of one link, or of all links of an owner.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{RawQuery, State};
use chrono::{DateTime, Utc};
use hoplog_events::position::Position;
use hoplog_projections::click_statistics::{
    self, DimensionFilter, Interval, Scope, Slice, Statistics, StatisticsQuery,
};
use hoplog_projections::clicks::{self, BotFilter};
use hoplog_projections::dimension::Dimension;
use hoplog_projections::link_directory;
use serde::Serialize;
use utoipa::ToSchema;

use super::auth::StatsReader;
use super::fields::Parameters;
use super::headers::AtLeast;
use super::links::answer::instant;
use super::path::{Segment, link_key};
use super::problem::Problem;
use super::range::TimeRange;
use crate::app::{App, AppState};
use crate::queries::get_link::find_link;

/// The lengths of intervals.
const INTERVALS: [(&str, Interval); 4] = [
    ("hour", Interval::Hour),
    ("day", Interval::Day),
    ("week", Interval::Week),
    ("month", Interval::Month),
];

/// Values in one filter at most.
const FILTER_VALUES_MAX: usize = 50;

/// The numbers about some clicks. Visitors are estimated (standard error 0.81 %); one visitor is
/// one address (of IPv6: one /64 network) and user agent on one UTC day.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct StatisticsAnswer {
    /// All clicks in the range that the filters admit.
    pub total_clicks: u64,
    /// About how many visitors they came from.
    pub unique_visitors: u64,
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
/// `browser=-Firefox` all others. Range and filters hold for every number of the answer.
#[utoipa::path(
    get, path = "/api/v1/links/{code}/stats", tag = "statistics",
    params(
        ("code" = String, Path, description = "the link's code"),
        ("from" = Option<String>, Query, description = "first instant or day of the range; default: the first click"),
        ("to" = Option<String>, Query, description = "the instant before which the range ends, or its last day; default: the last click"),
        ("tz" = Option<String>, Query, description = "IANA time zone of days and intervals; default UTC"),
        ("interval" = Option<String>, Query, description = "hour, day, week or month; default: day, or longer where a range has too many days"),
        ("bots" = Option<String>, Query, description = "include (default), exclude or only"),
        ("country" = Option<String>, Query, description = "and class, region, city, device, browser, system, referrer, referrerUrl, language, utm_source, utm_medium, utm_campaign, utm_term, utm_content: filters"),
        ("Hoplog-Position" = Option<String>, Header, description = "wait until this position is known"),
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
    Segment(code): Segment,
    RawQuery(query): RawQuery,
    AtLeast(position): AtLeast,
) -> Result<Json<StatisticsAnswer>, Problem> {
    let key = link_key(&code)?;
    let query = statistics_query(query.as_deref(), Scope::Link(key.clone()))?;
    let (directory, newest) = (app.read_models.link_directory(), app.links.newest_version(&key));
    find_link(app.log.as_ref(), &directory, newest, &key, &principal.requester()).await?;
    answer(&app, &query, position).await
}

/// Statistics of all your links together; of every owner's with the scope admin.
#[utoipa::path(
    get, path = "/api/v1/stats", tag = "statistics",
    params(
        ("from" = Option<String>, Query, description = "as for one link, like all others"),
        ("to" = Option<String>, Query, description = "see there"),
        ("tz" = Option<String>, Query, description = "see there"),
        ("interval" = Option<String>, Query, description = "see there"),
        ("bots" = Option<String>, Query, description = "see there"),
        ("Hoplog-Position" = Option<String>, Header, description = "wait until this position is known"),
    ),
    responses(
        (status = 200, description = "the numbers", body = StatisticsAnswer),
        (status = 400, body = Problem, content_type = "application/problem+json", description = "some parameters are wrong"),
    ),
)]
pub async fn all_statistics(
    State(app): State<AppState>,
    StatsReader(principal): StatsReader,
    RawQuery(query): RawQuery,
    AtLeast(position): AtLeast,
) -> Result<Json<StatisticsAnswer>, Problem> {
    let scope = principal.only_owner().map_or(Scope::All, Scope::Owner);
    let query = statistics_query(query.as_deref(), scope)?;
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
    if matches!(query.scope, Scope::Owner(_)) {
        app.wait_for(link_directory::NAME, position).await?;
    }
    let statistics = app.read_models.click_statistics().statistics(query).await?;
    Ok(Json(statistics.into()))
}

fn statistics_query(query: Option<&str>, scope: Scope) -> Result<StatisticsQuery, Problem> {
    let mut query = Parameters::new(query);
    let TimeRange { from, to, tz } = TimeRange::take(&mut query);
    let interval =
        query.choice("interval", &INTERVALS.map(|(name, interval)| (name, Some(interval))), None);
    let bots = bots(&mut query);
    let filters =
        Dimension::ALL.into_iter().filter_map(|dimension| filter(&mut query, dimension)).collect();
    query.finish()?;
    Ok(StatisticsQuery { scope, from, to, tz, interval, bots, filters })
}

fn name_of(interval: Interval) -> &'static str {
    let found = INTERVALS.iter().find(|(_, other)| *other == interval);
    found.map_or("", |(name, _)| name)
}

/// Which clicks count: all of them, unless the request says otherwise, so that a total is the
/// total of the link.
pub fn bots(query: &mut Parameters) -> BotFilter {
    let choices = [
        ("include", BotFilter::Include),
        ("exclude", BotFilter::Exclude),
        ("only", BotFilter::Only),
    ];
    query.choice("bots", &choices, BotFilter::Include)
}

/// `country=IN,DE` admits either; a leading `-` turns a value away.
fn filter(query: &mut Parameters, dimension: Dimension) -> Option<DimensionFilter> {
    let name = dimension.name()?;
    let given = query.raw(name)?;
    let values: Vec<&str> = given.split(',').collect();
    if values.len() > FILTER_VALUES_MAX {
        query.wrong(name, "invalid", format!("must have at most {FILTER_VALUES_MAX} values"));
    }
    let (exclude, include): (Vec<&str>, Vec<&str>) =
        values.into_iter().partition(|value| value.starts_with('-'));
    let include = include.into_iter().map(str::to_owned).collect();
    let exclude = exclude.into_iter().map(|value| value[1..].to_owned()).collect();
    Some(DimensionFilter { dimension, include, exclude })
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
    let slice = |slice: Slice| SliceAnswer {
        value: slice.value,
        clicks: slice.clicks,
        visitors: slice.visitors,
    };
    breakdowns.remove(&of).unwrap_or_default().into_iter().map(slice).collect()
}

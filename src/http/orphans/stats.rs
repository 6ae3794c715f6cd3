//! `/api/v1/orphans/stats`: numbers about visits that led nowhere.

use axum::Json;
use axum::extract::{RawQuery, State};
use chrono::{DateTime, Utc};
use hoplog_projections::click_statistics::Slice;
use hoplog_projections::orphans::{self, KindCount, OrphanStatistics};
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use super::which;
use crate::app::AppState;
use crate::http::auth::Administrator;
use crate::http::fields::Parameters;
use crate::http::headers::AtLeast;
use crate::http::links::answer::optional_instant;
use crate::http::problem::Problem;
use crate::http::stats::{PointAnswer, SliceAnswer, StatisticsAnswer, orphan_query};

/// The numbers about visits that led nowhere, called as those of clicks are. All but `unrecorded` are of the
/// visits that were recorded.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct OrphanStatisticsAnswer {
    /// All recorded visits in the range that the filters admit.
    pub total_clicks: u64,
    /// About how many visitors they came from.
    pub unique_visitors: u64,
    /// All visits in the range, of the given kinds, that were counted and not recorded.
    pub total_unrecorded: u64,
    /// These by their kinds. No other filter holds for them: nothing else is known of them.
    pub unrecorded: Vec<KindAnswer>,
    /// From here on visits were counted: `from`, or the quarter of an hour of the first one.
    #[serde(serialize_with = "optional_instant")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub from: Option<DateTime<Utc>>,
    /// And before this. `null` where no end was given and there are no visits.
    #[serde(serialize_with = "optional_instant")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub to: Option<DateTime<Utc>>,
    /// How long the intervals of `series` are: hour, day, week or month.
    pub interval: &'static str,
    /// Interval by interval.
    pub series: Vec<PointAnswer>,
    /// unknown-code, base-url, expired, spent, deleted, disabled, not-yet, quarantined.
    pub kinds: Vec<SliceAnswer>,
    /// What was asked for most.
    pub paths: Vec<SliceAnswer>,
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
    /// First preferred languages; empty: unknown.
    pub languages: Vec<SliceAnswer>,
}

/// Visits of one kind.
#[derive(Debug, Serialize, ToSchema)]
pub struct KindAnswer {
    /// The kind.
    pub kind: String,
    /// How many.
    pub visits: u64,
}

/// What may be asked of them: the parameters of statistics, for what is known of these visits.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes the query; the values are read one by one")]
pub struct OrphanStatisticsParameters {
    /// unknown-code, base-url, expired, spent, deleted, disabled, not-yet, quarantined: one or several with commas; default: all.
    kind: Option<String>,
    /// What was asked for, exactly.
    path: Option<String>,
    /// First instant or day of the range; default: the first visit.
    from: Option<String>,
    /// The instant before which the range ends, or its last day; default: the last visit.
    to: Option<String>,
    /// IANA time zone of days and intervals; default UTC.
    tz: Option<String>,
    /// hour, day, week or month; default: day, or longer where a range has too many days.
    interval: Option<String>,
    /// include (default), exclude or only.
    bots: Option<String>,
    /// human, bot, preview, prefetch, head.
    class: Option<String>,
    /// ISO 3166 codes.
    country: Option<String>,
    /// Regions.
    region: Option<String>,
    /// Cities.
    city: Option<String>,
    /// desktop, mobile, tablet, bot, other.
    device: Option<String>,
    /// Browsers.
    browser: Option<String>,
    /// Operating systems.
    system: Option<String>,
    /// Referring hosts; empty: direct.
    referrer: Option<String>,
    /// First preferred languages; empty: unknown.
    language: Option<String>,
}

/// Numbers about visits that led nowhere.
///
/// A parameter that is called like a dimension filters, as in the statistics of links.
#[utoipa::path(
    get, path = "/api/v1/orphans/stats", tag = "statistics",
    params(OrphanStatisticsParameters, AtLeast),
    responses((status = 200, description = "the numbers", body = OrphanStatisticsAnswer)),
)]
pub async fn orphan_statistics(
    State(app): State<AppState>,
    Administrator(_): Administrator,
    RawQuery(query): RawQuery,
    AtLeast(position): AtLeast,
) -> Result<Json<OrphanStatisticsAnswer>, Problem> {
    let mut query = Parameters::new(query.as_deref());
    let which = which(&mut query);
    let query = orphan_query(query)?;
    app.wait_for(orphans::NAME, position).await?;
    let statistics = app.read_models.orphans().statistics(&query, &which).await?;
    Ok(Json(statistics.into()))
}

impl From<OrphanStatistics> for OrphanStatisticsAnswer {
    fn from(statistics: OrphanStatistics) -> Self {
        let OrphanStatistics { recorded, kinds, paths, unrecorded } = statistics;
        let of_clicks = StatisticsAnswer::from(recorded);
        let kind = |KindCount { kind, visits }| KindAnswer { kind, visits };
        Self {
            total_clicks: of_clicks.total_clicks,
            unique_visitors: of_clicks.unique_visitors,
            total_unrecorded: unrecorded.iter().map(|count| count.visits).sum(),
            unrecorded: unrecorded.into_iter().map(kind).collect(),
            from: of_clicks.from,
            to: of_clicks.to,
            interval: of_clicks.interval,
            series: of_clicks.series,
            kinds: slices(kinds),
            paths: slices(paths),
            classes: of_clicks.classes,
            countries: of_clicks.countries,
            regions: of_clicks.regions,
            cities: of_clicks.cities,
            devices: of_clicks.devices,
            browsers: of_clicks.browsers,
            systems: of_clicks.systems,
            referrers: of_clicks.referrers,
            languages: of_clicks.languages,
        }
    }
}

fn slices(slices: Vec<Slice>) -> Vec<SliceAnswer> {
    slices.into_iter().map(SliceAnswer::from).collect()
}

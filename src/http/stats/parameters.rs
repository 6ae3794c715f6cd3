//! What may be asked of statistics, and the question that comes of it.

use hoplog_projections::click_statistics::{DimensionFilter, Interval, Scope, StatisticsQuery};
use hoplog_projections::clicks::BotFilter;
use hoplog_projections::dimension::Dimension;
use hoplog_projections::orphans::Orphans;
use utoipa::IntoParams;

use crate::http::fields::Parameters;
use crate::http::problem::Problem;
use crate::http::range::TimeRange;

/// The parameters of every question about numbers. One that is called like a dimension is a filter:
/// values with commas between them admit any of these, with a leading `-` all others.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes the query; the values are read one by one")]
pub struct StatisticsParameters {
    /// First instant or day of the range; default: the first click.
    from: Option<String>,
    /// The instant before which the range ends, or its last day; default: the last click.
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
    /// Whole referrers; empty: direct.
    #[param(rename = "referrerUrl")]
    referrer_url: Option<String>,
    /// First preferred languages; empty: unknown.
    language: Option<String>,
    /// Campaign parameter.
    utm_source: Option<String>,
    /// Campaign parameter.
    utm_medium: Option<String>,
    /// Campaign parameter.
    utm_campaign: Option<String>,
    /// Campaign parameter.
    utm_term: Option<String>,
    /// Campaign parameter.
    utm_content: Option<String>,
    /// Variants of splits, by name; empty: led to none of them.
    variant: Option<String>,
    /// Rules, by name or number; empty: led by none, or by one that clicks do not name.
    rule: Option<String>,
}

/// The lengths of intervals.
const INTERVALS: [(&str, Interval); 4] = [
    ("hour", Interval::Hour),
    ("day", Interval::Day),
    ("week", Interval::Week),
    ("month", Interval::Month),
];

/// Values in one filter at most.
const FILTER_VALUES_MAX: usize = 50;

/// The question that the rest of a query asks.
///
/// # Errors
/// 400 with all mistakes.
pub(super) fn statistics_query(
    query: Parameters,
    scope: Scope,
) -> Result<StatisticsQuery, Problem> {
    of_dimensions(query, scope, &Dimension::ALL)
}

/// The question that what is left of a query asks about visits that led nowhere.
///
/// # Errors
/// 400 with all mistakes.
pub fn orphan_query(query: Parameters) -> Result<StatisticsQuery, Problem> {
    of_dimensions(query, Scope::All, &Orphans::dimensions())
}

fn of_dimensions(
    mut query: Parameters,
    scope: Scope,
    dimensions: &[Dimension],
) -> Result<StatisticsQuery, Problem> {
    let TimeRange { from, to, tz } = TimeRange::take(&mut query);
    let interval =
        query.choice("interval", &INTERVALS.map(|(name, interval)| (name, Some(interval))), None);
    let bots = bots(&mut query);
    let filters = dimensions.iter().filter_map(|it| filter(&mut query, *it)).collect();
    query.finish()?;
    Ok(StatisticsQuery { scope, from, to, tz, interval, bots, filters })
}

/// The name of an interval in answers.
pub(super) fn name_of(interval: Interval) -> &'static str {
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

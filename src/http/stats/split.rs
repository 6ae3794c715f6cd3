//! `GET /api/v1/links/{code}/split`: how the variants of a link do.

use axum::Json;
use axum::extract::{RawQuery, State};
use chrono::{DateTime, Utc};
use hoplog_events::account::Scope as KeyScope;
use hoplog_projections::click_statistics::{self, Scope, Statistics, StatisticsQuery};
use hoplog_projections::clicks::BotFilter;
use hoplog_projections::dimension::Dimension;
use hoplog_projections::link_directory;
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::AppState;
use crate::domain::proportions::{Comparison, Proportion};
use crate::http::auth::StatsReader;
use crate::http::fields::Parameters;
use crate::http::headers::AtLeast;
use crate::http::links::answer::optional_instant;
use crate::http::path::LinkAt;
use crate::http::problem::Problem;
use crate::http::range::TimeRange;
use crate::queries::get_link::not_deleted;

mod variants;

use variants::{BASELINE, CONVERTED, Compared, Counted, Rated, compared};

/// How the variants of a link do: clicks of people, and of the conversions that were reported.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SplitAnswer {
    /// From here on clicks were counted.
    #[serde(serialize_with = "optional_instant")]
    #[schema(value_type = Option<String>, format = DateTime)]
    from: Option<DateTime<Utc>>,
    /// And before this.
    #[serde(serialize_with = "optional_instant")]
    #[schema(value_type = Option<String>, format = DateTime)]
    to: Option<DateTime<Utc>>,
    /// The variant that the others are compared with; `null`: there is none, or of several that were variants nobody said which.
    baseline: Option<String>,
    /// Below which `p` a comparison says higher or lower: 0.05, divided by how many comparisons there are (Bonferroni).
    level: f64,
    /// The variants in the order of the link's split, and behind them others that clicks were led to.
    variants: Vec<VariantAnswer>,
}

/// How a variant does.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct VariantAnswer {
    /// Its name.
    name: String,
    /// Where it leads; `null`: it is no variant of the link any more, or the key may not read links.
    url: Option<String>,
    /// Its weight; `null`: it is no variant of the link any more.
    weight: Option<u16>,
    /// Clicks of people that were led to it.
    clicks: u64,
    /// About how many visitors they came from.
    visitors: u64,
    /// How many of them did what was hoped for; `null`: nobody reported it.
    conversions: Option<u64>,
    /// Which part of its visitors that is, from 0 to 1; `null`: not known, or there are none.
    rate: Option<f64>,
    /// Where the true part is with a confidence of 95 % (Wilson, widened by the error of `visitors`).
    interval: Option<IntervalAnswer>,
    /// How it differs from the baseline; `null`: it is the baseline, or one of the two has no rate.
    comparison: Option<ComparisonAnswer>,
}

/// Two bounds.
#[derive(Debug, Serialize, ToSchema)]
pub struct IntervalAnswer {
    /// The lower one.
    low: f64,
    /// The higher one.
    high: f64,
}

/// How a variant differs from the baseline: the two-proportion z-test with pooled variance and the error of `visitors`, two-sided.
#[derive(Debug, Serialize, ToSchema)]
pub struct ComparisonAnswer {
    /// By how much its rate is higher.
    difference: f64,
    /// The same in standard errors.
    z: f64,
    /// How probable such a difference is if there is none in truth.
    p: f64,
    /// higher, lower, undecided (it may be chance), or few (the test does not hold: fewer than 5 are expected who did, or who did not).
    #[schema(example = "higher")]
    verdict: &'static str,
}

/// How the variants of a link do.
///
/// Clicks of people only. Conversions are not kept here: whoever asks reports how many there were of each variant, and gets rates,
/// intervals and a test of whether they differ from one of them by more than chance. Destinations are told to keys with `links:read`.
#[utoipa::path(
    get, path = "/api/v1/links/{code}/split", tag = "statistics",
    params(
        LinkAt,
        ("from" = Option<String>, Query, description = "first instant or day"),
        ("to" = Option<String>, Query, description = "the instant before which the range ends, or its last day"),
        ("tz" = Option<String>, Query, description = "IANA time zone of days; default UTC"),
        ("converted" = Option<String>, Query, description = "how many visitors of each variant did what was hoped for: control:30,green:45"),
        ("baseline" = Option<String>, Query, description = "the variant that the others are compared with; default: the first of the link's split"),
        AtLeast,
    ),
    responses(
        (status = 200, description = "the variants", body = SplitAnswer),
        (status = 400, body = Problem, content_type = "application/problem+json", description = "some parameters are wrong"),
        (status = 404, body = Problem, content_type = "application/problem+json", description = "no such link of yours"),
        (status = 410, body = Problem, content_type = "application/problem+json", description = "it was deleted"),
    ),
)]
pub async fn split_statistics(
    State(app): State<AppState>,
    StatsReader(principal): StatsReader,
    LinkAt(key): LinkAt,
    RawQuery(query): RawQuery,
    AtLeast(position): AtLeast,
) -> Result<Json<SplitAnswer>, Problem> {
    let mut query = Parameters::of_link(query.as_deref());
    let TimeRange { from, to, tz } = TimeRange::take(&mut query);
    let converted = query.optional(CONVERTED).unwrap_or_default();
    let baseline = query.raw(BASELINE);
    query.finish()?;
    app.wait_for(link_directory::NAME, position).await?;
    let link = not_deleted(app.find_link(&key, &principal.requester()).await?)?;
    app.wait_for(click_statistics::NAME, position).await?;
    let (scope, bots, filters) = (Scope::Link(key), BotFilter::Exclude, Vec::new());
    let asked = StatisticsQuery { scope, from, to, tz, interval: None, bots, filters };
    let mut statistics = app.read_models.click_statistics().statistics(&asked).await?;
    let counted = statistics.breakdowns.remove(&Dimension::Variant).unwrap_or_default();
    let variants = Counted::of(&link.extras.split, link.url.as_str(), counted);
    let compared = compared(variants, converted, baseline.as_deref())?;
    Ok(Json(SplitAnswer::of(&statistics, compared, principal.can(KeyScope::LinksRead))))
}

impl SplitAnswer {
    /// What is told to whoever may read links, or may not: then not where they lead.
    fn of(statistics: &Statistics, compared: Compared, tells_urls: bool) -> Self {
        let Compared { baseline, level, variants } = compared;
        let answer = |rated: Rated| VariantAnswer {
            name: rated.variant.name,
            url: rated.variant.url.filter(|_| tells_urls),
            weight: rated.variant.weight,
            clicks: rated.variant.clicks,
            visitors: rated.variant.visitors,
            conversions: rated.conversions,
            rate: rated.rate.map(Proportion::rate),
            interval: rated
                .rate
                .map(Proportion::interval)
                .map(|(low, high)| IntervalAnswer { low, high }),
            comparison: rated.comparison.map(|comparison| ComparisonAnswer::of(comparison, level)),
        };
        let variants = variants.into_iter().map(answer).collect();
        Self { from: statistics.from, to: statistics.to, baseline, level, variants }
    }
}

impl ComparisonAnswer {
    fn of(Comparison { difference, z, p, is_sound }: Comparison, level: f64) -> Self {
        let verdict = match (is_sound, p < level, z > 0.0) {
            (false, ..) => "few",
            (true, false, _) => "undecided",
            (true, true, true) => "higher",
            (true, true, false) => "lower",
        };
        Self { difference, z, p, verdict }
    }
}

//! `GET /api/v1/links/{code}/split`: how the variants of a link do.

use std::collections::BTreeMap;
use std::str::FromStr;

use axum::Json;
use axum::extract::{RawQuery, State};
use chrono::{DateTime, Utc};
use hoplog_events::link::{Split, Variant};
use hoplog_projections::click_statistics::{self, Scope, Slice, Statistics, StatisticsQuery};
use hoplog_projections::clicks::BotFilter;
use hoplog_projections::dimension::Dimension;
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::AppState;
use crate::domain::proportions::{Comparison, Proportion};
use crate::http::auth::StatsReader;
use crate::http::fields::Parameters;
use crate::http::headers::AtLeast;
use crate::http::links::answer::optional_instant;
use crate::http::path::{Segment, link_key};
use crate::http::problem::{FieldError, Problem};
use crate::http::range::TimeRange;

/// How probable a difference that is none may be for all comparisons of an answer together.
const LEVEL: f64 = 0.05;

/// The parameter of the conversions.
const CONVERTED: &str = "converted";

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
    /// Where it leads; `null`: it is no variant of the link any more.
    url: Option<String>,
    /// Its weight, likewise.
    weight: Option<u16>,
    /// Clicks of people that were led to it.
    clicks: u64,
    /// About how many visitors they came from.
    visitors: u64,
    /// How many of them did what was hoped for; `null`: nobody reported it.
    conversions: Option<u64>,
    /// Which part of its visitors that is, from 0 to 1; `null`: not known, or there are none.
    rate: Option<f64>,
    /// Where the true part is with a confidence of 95 % (Wilson).
    interval: Option<IntervalAnswer>,
    /// How it differs from the first variant; `null`: it is the first, or one of the two has no rate.
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

/// How a variant differs from the first one: the two-proportion z-test with pooled variance, two-sided.
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
/// intervals and a test of whether they differ from the first variant by more than chance.
#[utoipa::path(
    get, path = "/api/v1/links/{code}/split", tag = "statistics",
    params(
        ("code" = String, Path, description = "the link's code"),
        ("from" = Option<String>, Query, description = "first instant or day"),
        ("to" = Option<String>, Query, description = "the instant before which the range ends, or its last day"),
        ("tz" = Option<String>, Query, description = "IANA time zone of days; default UTC"),
        ("converted" = Option<String>, Query, description = "how many visitors of each variant did what was hoped for: control:30,green:45"),
        AtLeast,
    ),
    responses(
        (status = 200, description = "the variants", body = SplitAnswer),
        (status = 400, body = Problem, content_type = "application/problem+json", description = "some parameters are wrong"),
        (status = 404, body = Problem, content_type = "application/problem+json", description = "no such link of yours"),
    ),
)]
pub async fn split_statistics(
    State(app): State<AppState>,
    StatsReader(principal): StatsReader,
    Segment(code): Segment,
    RawQuery(query): RawQuery,
    AtLeast(position): AtLeast,
) -> Result<Json<SplitAnswer>, Problem> {
    let key = link_key(&code)?;
    let mut query = Parameters::new(query.as_deref());
    let TimeRange { from, to, tz } = TimeRange::take(&mut query);
    let converted = query.optional(CONVERTED).unwrap_or_default();
    query.finish()?;
    let link = app.find_link(&key, &principal.requester()).await?;
    app.wait_for(click_statistics::NAME, position).await?;
    let (scope, bots, filters) = (Scope::Link(key), BotFilter::Exclude, Vec::new());
    let asked = StatisticsQuery { scope, from, to, tz, interval: None, bots, filters };
    let mut statistics = app.read_models.click_statistics().statistics(&asked).await?;
    let counted = statistics.breakdowns.remove(&Dimension::Variant).unwrap_or_default();
    let variants = Counted::of(&link.extras.split, link.url.as_str(), counted);
    Ok(Json(answer(&statistics, variants, converted)?))
}

/// How many did what was hoped for, by the name of the variant.
#[derive(Debug, Default)]
struct Converted(BTreeMap<String, u64>);

impl FromStr for Converted {
    type Err = &'static str;

    /// The last colon of each: a name may have some.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const ALLOWED: &str =
            "must be variants with how many converted, each once: control:30,green:45";
        let mut counts = BTreeMap::new();
        for part in text.split(',') {
            let (name, count) = part.rsplit_once(':').ok_or(ALLOWED)?;
            let count = count.parse().map_err(|_| ALLOWED)?;
            if counts.insert(name.to_owned(), count).is_some() {
                return Err(ALLOWED);
            }
        }
        Ok(Self(counts))
    }
}

/// A variant with what was counted of it.
struct Counted {
    name: String,
    url: Option<String>,
    weight: Option<u16>,
    clicks: u64,
    visitors: u64,
}

impl Counted {
    /// The variants that there are, and others that there were.
    fn of(split: &Split, own: &str, counted: Vec<Slice>) -> Vec<Self> {
        let mut counted: BTreeMap<String, Slice> =
            counted.into_iter().map(|slice| (slice.value.clone(), slice)).collect();
        let now = |variant: &Variant| {
            let slice = counted.remove(variant.name.as_str());
            Self {
                name: variant.name.to_string(),
                url: Some(variant.url.as_ref().map_or(own, |url| url.as_str()).to_owned()),
                weight: Some(variant.weight.get()),
                clicks: slice.as_ref().map_or(0, |slice| slice.clicks),
                visitors: slice.map_or(0, |slice| slice.visitors),
            }
        };
        let mut all: Vec<Self> = split.as_slice().iter().map(now).collect();
        all.extend(counted.into_values().map(|Slice { value: name, clicks, visitors }| Self {
            name,
            url: None,
            weight: None,
            clicks,
            visitors,
        }));
        all
    }
}

fn answer(
    statistics: &Statistics,
    variants: Vec<Counted>,
    mut converted: Converted,
) -> Result<SplitAnswer, Problem> {
    let mut rated = Vec::with_capacity(variants.len());
    for variant in variants {
        let conversions = converted.0.remove(&variant.name);
        if conversions.is_some_and(|conversions| conversions > variant.clicks) {
            let Counted { name, clicks, .. } = variant;
            return Err(wrong(format!(
                "{name} can't have more conversions than clicks of people: {clicks}"
            )));
        }
        // The number of visitors is an estimate: it may be a little below those who are known to have been there.
        let trials = |conversions| variant.visitors.max(conversions);
        let rate =
            conversions.and_then(|conversions| Proportion::new(conversions, trials(conversions)));
        rated.push((variant, conversions, rate));
    }
    if let Some(unknown) = converted.0.keys().next() {
        let names: Vec<&str> = rated.iter().map(|(variant, ..)| &*variant.name).collect();
        return Err(wrong(format!(
            "{unknown} is no variant of this link; there are: {}",
            names.join(", ")
        )));
    }
    let first = rated.first().and_then(|(_, _, rate)| *rate);
    let others = rated.iter().skip(1).filter(|(_, _, rate)| first.and(*rate).is_some()).count();
    let level = LEVEL / f64::from(u32::try_from(others.max(1)).unwrap_or(u32::MAX));
    let variants = rated.into_iter().enumerate().map(|(place, (variant, conversions, rate))| {
        let compared = first.filter(|_| place > 0).zip(rate);
        let comparison = compared.map(|(first, rate)| rate.compared_with(first));
        VariantAnswer {
            name: variant.name,
            url: variant.url,
            weight: variant.weight,
            clicks: variant.clicks,
            visitors: variant.visitors,
            conversions,
            rate: rate.map(Proportion::rate),
            interval: rate
                .map(Proportion::interval)
                .map(|(low, high)| IntervalAnswer { low, high }),
            comparison: comparison.map(|comparison| ComparisonAnswer::of(comparison, level)),
        }
    });
    let variants = variants.collect();
    Ok(SplitAnswer { from: statistics.from, to: statistics.to, level, variants })
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

fn wrong(detail: String) -> Problem {
    let pointer = format!("?{CONVERTED}");
    Problem::parameters(vec![FieldError { pointer, code: "invalid", detail }])
}

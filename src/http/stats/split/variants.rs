//! The variants of a link: what was counted of each, what was reported, and how they compare.

use std::collections::BTreeMap;
use std::str::FromStr;

use hoplog_events::link::{Split, Variant};
use hoplog_projections::click_statistics::Slice;
use hoplog_projections::sketch::Sketch;

use crate::domain::proportions::{Comparison, Proportion};
use crate::http::problem::{FieldError, Problem};

/// How probable a difference that is none may be for all comparisons of an answer together.
const LEVEL: f64 = 0.05;

/// The parameter of the conversions.
pub(super) const CONVERTED: &str = "converted";

/// The parameter of what the others are compared with.
pub(super) const BASELINE: &str = "baseline";

/// How many did what was hoped for, by the name of the variant.
#[derive(Debug, Default)]
pub(super) struct Converted(BTreeMap<String, u64>);

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
#[derive(Debug)]
pub(super) struct Counted {
    pub(super) name: String,
    /// `None`: it is no variant any more; its weight likewise.
    pub(super) url: Option<String>,
    pub(super) weight: Option<u16>,
    pub(super) clicks: u64,
    pub(super) visitors: u64,
}

impl Counted {
    /// The variants that there are, and others that there were.
    pub(super) fn of(split: &Split, own: &str, counted: Vec<Slice>) -> Vec<Self> {
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

    /// Which part of its visitors converted; `None`: there are none. More than all are no visitors who converted, but
    /// something else that was counted, of which no part can be told.
    fn rate(&self, conversions: u64) -> Result<Option<Proportion>, Problem> {
        let Self { name, clicks, visitors, .. } = self;
        let estimated = Proportion::of_estimate(conversions, *visitors, Sketch::STANDARD_ERROR);
        let rate = estimated.filter(|_| conversions <= *clicks);
        if rate.is_some() || conversions == 0 {
            return Ok(rate);
        }
        let detail = format!(
            "{name}: conversions ({conversions}) can't be more than visitors (about {visitors}) or \
             clicks of people ({clicks}); count each visitor who converted once"
        );
        Err(wrong(CONVERTED, detail))
    }
}

/// The variants as they compare.
#[derive(Debug)]
pub(super) struct Compared {
    /// The name of what the others are compared with.
    pub(super) baseline: Option<String>,
    /// Below which `p` they differ.
    pub(super) level: f64,
    pub(super) variants: Vec<Rated>,
}

/// A variant with what was reported of it.
#[derive(Debug)]
pub(super) struct Rated {
    pub(super) variant: Counted,
    pub(super) conversions: Option<u64>,
    pub(super) rate: Option<Proportion>,
    /// How it differs from the baseline.
    pub(super) comparison: Option<Comparison>,
}

/// Compares variants.
///
/// # Errors
/// When conversions or a baseline are given that there can't be.
pub(super) fn compared(
    variants: Vec<Counted>,
    converted: Converted,
    baseline: Option<&str>,
) -> Result<Compared, Problem> {
    let place = place_of_baseline(&variants, baseline)?;
    let mut variants = rated(variants, converted)?;
    let with = place.and_then(|place| variants.get(place)?.rate);
    for (other, variant) in variants.iter_mut().enumerate() {
        let pair = variant.rate.zip(with).filter(|_| Some(other) != place);
        variant.comparison = pair.map(|(rate, with)| rate.compared_with(with));
    }
    let comparisons = variants.iter().filter(|variant| variant.comparison.is_some()).count();
    let level = LEVEL / f64::from(u32::try_from(comparisons.max(1)).unwrap_or(u32::MAX));
    let baseline = place.and_then(|place| Some(variants.get(place)?.variant.name.clone()));
    Ok(Compared { baseline, level, variants })
}

/// The one that was asked for, or the first of the split. Without a split none is the first of several: they are in the order
/// of their names.
fn place_of_baseline(variants: &[Counted], asked: Option<&str>) -> Result<Option<usize>, Problem> {
    let Some(asked) = asked else {
        let is_first = |first: &Counted| first.weight.is_some() || variants.len() == 1;
        return Ok(variants.first().filter(|first| is_first(first)).map(|_| 0));
    };
    let place = variants.iter().position(|variant| variant.name == asked);
    place.map(Some).ok_or_else(|| unknown(BASELINE, asked, variants))
}

fn rated(
    variants: Vec<Counted>,
    Converted(mut converted): Converted,
) -> Result<Vec<Rated>, Problem> {
    let is_variant = |name: &str| variants.iter().any(|variant| variant.name == name);
    if let Some(name) = converted.keys().find(|name| !is_variant(name)) {
        return Err(unknown(CONVERTED, name, &variants));
    }
    let rated = variants.into_iter().map(|variant| {
        let conversions = converted.remove(&variant.name);
        let rate = conversions.map(|conversions| variant.rate(conversions)).transpose()?.flatten();
        Ok(Rated { variant, conversions, rate, comparison: None })
    });
    rated.collect()
}

fn unknown(parameter: &str, name: &str, variants: &[Counted]) -> Problem {
    let names: Vec<&str> = variants.iter().map(|variant| &*variant.name).collect();
    let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    wrong(parameter, format!("{name} is no variant of this link; there are: {names}"))
}

fn wrong(parameter: &str, detail: String) -> Problem {
    let pointer = format!("?{parameter}");
    Problem::parameters(vec![FieldError { pointer, code: "invalid", detail }])
}

//! Clicks as they are read from the log, without a copy where the JSON allows it: decoding is
//! most of what a click costs.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use hoplog_events::click::{Click, VisitorHash};
use serde::Deserialize;

use crate::dimension::Dimension;

/// A text that borrows from the body unless it holds escapes.
#[derive(Debug, Default, Deserialize)]
#[serde(transparent)]
pub(crate) struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// One click of a recorded batch.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RecordedClick<'a> {
    #[serde(borrow)]
    domain: Text<'a>,
    #[serde(borrow)]
    code: Text<'a>,
    pub(crate) at: DateTime<Utc>,
    #[serde(borrow, default)]
    method: Option<Text<'a>>,
    #[serde(borrow, default)]
    purpose: Option<Text<'a>>,
    #[serde(borrow, default)]
    user_agent: Option<Text<'a>>,
    #[serde(borrow, default)]
    referrer: Option<Text<'a>>,
    #[serde(borrow, default)]
    language: Option<Text<'a>>,
    #[serde(borrow, default)]
    country: Option<Text<'a>>,
    #[serde(borrow, default)]
    region: Option<Text<'a>>,
    #[serde(borrow, default)]
    city: Option<Text<'a>>,
    #[serde(deserialize_with = "visitor")]
    pub(crate) visitor: VisitorHash,
    #[serde(borrow, default)]
    address: Option<Text<'a>>,
    #[serde(borrow, default)]
    utm: RecordedUtm<'a>,
    #[serde(borrow, default)]
    variant: Option<Text<'a>>,
    #[serde(borrow, default)]
    rule: Option<Text<'a>>,
    #[serde(borrow, default)]
    import_id: Option<Text<'a>>,
}

#[derive(Debug, Default, Deserialize)]
struct RecordedUtm<'a> {
    #[serde(borrow, default)]
    source: Option<Text<'a>>,
    #[serde(borrow, default)]
    medium: Option<Text<'a>>,
    #[serde(borrow, default)]
    campaign: Option<Text<'a>>,
    #[serde(borrow, default)]
    term: Option<Text<'a>>,
    #[serde(borrow, default)]
    content: Option<Text<'a>>,
}

fn visitor<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<VisitorHash, D::Error> {
    let text = Text::deserialize(deserializer)?;
    let hash = u64::from_str_radix(&text.0, 16).map_err(serde::de::Error::custom)?;
    Ok(VisitorHash(hash))
}

/// The link as `domain/code`.
pub(super) fn write_link(domain: &Text<'_>, code: &Text<'_>, link: &mut String) {
    link.clear();
    link.extend([&*domain.0, "/", &*code.0]);
}

impl RecordedClick<'_> {
    pub(super) fn write_link(&self, link: &mut String) {
        write_link(&self.domain, &self.code, link);
    }

    pub(crate) fn user_agent(&self) -> Option<&str> {
        text(self.user_agent.as_ref())
    }

    pub(crate) fn address(&self) -> Option<&str> {
        text(self.address.as_ref())
    }

    pub(crate) fn import_id(&self) -> Option<&str> {
        text(self.import_id.as_ref())
    }

    pub(super) fn method(&self) -> Option<&str> {
        text(self.method.as_ref())
    }

    pub(super) fn purpose(&self) -> Option<&str> {
        text(self.purpose.as_ref())
    }

    /// Empty: none.
    pub(super) fn referrer(&self) -> &str {
        value(self.referrer.as_ref())
    }

    /// The values that stand in the click itself; the others are derived. Empty: none.
    pub(super) fn own_values(&self) -> [(Dimension, &str); 11] {
        let utm = &self.utm;
        [
            (Dimension::Country, &self.country),
            (Dimension::Region, &self.region),
            (Dimension::City, &self.city),
            (Dimension::Language, &self.language),
            (Dimension::UtmSource, &utm.source),
            (Dimension::UtmMedium, &utm.medium),
            (Dimension::UtmCampaign, &utm.campaign),
            (Dimension::UtmTerm, &utm.term),
            (Dimension::UtmContent, &utm.content),
            (Dimension::Variant, &self.variant),
            (Dimension::Rule, &self.rule),
        ]
        .map(|(dimension, text)| (dimension, value(text.as_ref())))
    }
}

fn text<'a>(text: Option<&'a Text<'_>>) -> Option<&'a str> {
    text.map(|text| &*text.0)
}

fn value<'a>(value: Option<&'a Text<'_>>) -> &'a str {
    text(value).unwrap_or_default()
}

fn borrowed(text: Option<&str>) -> Option<Text<'_>> {
    text.map(|text| Text(Cow::Borrowed(text)))
}

impl<'a> From<&'a Click<'_>> for RecordedClick<'a> {
    fn from(click: &'a Click<'_>) -> Self {
        Self {
            domain: Text(Cow::Borrowed(click.domain.as_str())),
            code: Text(Cow::Borrowed(click.code.as_str())),
            at: click.at,
            method: borrowed(click.method.as_deref()),
            purpose: borrowed(click.purpose.as_deref()),
            user_agent: borrowed(click.user_agent.as_deref()),
            referrer: borrowed(click.referrer.as_deref()),
            language: borrowed(click.language.as_deref()),
            country: borrowed(click.country.as_deref()),
            region: borrowed(click.region.as_deref()),
            city: borrowed(click.city.as_deref()),
            visitor: click.visitor,
            address: borrowed(click.address.as_deref()),
            utm: RecordedUtm {
                source: borrowed(click.utm.source.as_deref()),
                medium: borrowed(click.utm.medium.as_deref()),
                campaign: borrowed(click.utm.campaign.as_deref()),
                term: borrowed(click.utm.term.as_deref()),
                content: borrowed(click.utm.content.as_deref()),
            },
            variant: borrowed(click.variant.as_deref()),
            rule: borrowed(click.rule.as_deref()),
            import_id: borrowed(click.import_id.as_deref()),
        }
    }
}

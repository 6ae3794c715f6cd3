//! From a visit to a click: what is looked up, what is kept, what is dropped.

use std::borrow::Cow;
use std::io;
use std::net::IpAddr;

use axum::http::Method;
use chrono::{DateTime, Utc};
use hoplog_events::click::{Click, Utm};
use hoplog_events::link::LinkKey;

use super::country::Locator;
use super::visit::{REFERRER_CHARS_MAX, USER_AGENT_CHARS_MAX, Visit, cut};
use super::visitor::VisitorSalts;

/// Characters kept of a campaign parameter.
const UTM_CHARS_MAX: usize = 128;

/// Characters kept of anything else.
const WORD_CHARS_MAX: usize = 64;

/// Looks things up for clicks.
#[derive(Debug)]
pub struct Enricher {
    locator: Locator,
    salts: VisitorSalts,
    keep_addresses: bool,
}

/// A click from an old log: what its line says.
#[derive(Debug, Clone)]
pub struct HistoricalClick {
    /// The link.
    pub link: LinkKey,
    /// When.
    pub at: DateTime<Utc>,
    /// Where the request came from.
    pub address: Option<IpAddr>,
    /// The HTTP method.
    pub method: Box<str>,
    /// The user agent.
    pub user_agent: Option<Box<str>>,
    /// The referrer.
    pub referrer: Option<Box<str>>,
    /// Where the visitor was, if the log says it.
    pub country: Option<Box<str>>,
    /// Which line it was.
    pub import_id: Box<str>,
}

impl Enricher {
    /// Looks up with these.
    #[must_use]
    pub fn new(locator: Locator, salts: VisitorSalts, keep_addresses: bool) -> Self {
        Self { locator, salts, keep_addresses }
    }

    /// Where addresses are.
    #[must_use]
    pub fn locator(&self) -> &Locator {
        &self.locator
    }

    /// What visitors are hashed with.
    #[must_use]
    pub fn salts(&self) -> &VisitorSalts {
        &self.salts
    }

    /// Makes ready for the clicks that visits are: after this they can be computed at `now`.
    ///
    /// # Errors
    /// When a day's visitor salt can't be kept; trying again later is fine.
    pub fn make_ready(&self, visits: &[Visit], now: DateTime<Utc>) -> io::Result<()> {
        let mut days = visits.chunk_by(|one, next| one.at.date_naive() == next.at.date_naive());
        days.try_for_each(|day| self.salts.keep(day[0].at, now))
    }

    /// The click that a visit is.
    ///
    /// # Errors
    /// When the day's visitor salt can't be kept.
    pub fn click<'a>(&self, visit: &'a Visit, now: DateTime<Utc>) -> io::Result<Click<'a>> {
        let agent = visit.user_agent().unwrap_or_default();
        let visitor = self.salts.hash(visit.at, now, visit.address, agent)?;
        let place = visit.address.map(|address| self.locator.locate(address)).unwrap_or_default();
        let key = &visit.target.key;
        let (choice, extras) = (visit.choice, visit.target.extras.as_deref());
        // The campaign of a destination tells by what it was chosen, as the name of the rule does.
        let led_to =
            if choice.is_told(extras) { visit.target.destination(choice).as_str() } else { "" };
        Ok(Click {
            domain: Cow::Borrowed(&key.domain),
            code: Cow::Borrowed(&key.code),
            at: visit.at,
            method: (visit.method != Method::GET)
                .then(|| cut(visit.method.as_str().into(), WORD_CHARS_MAX)),
            purpose: visit.purpose().map(Cow::Borrowed),
            referrer: visit.referrer().map(Cow::Borrowed),
            language: visit.accept_language().and_then(first_language),
            country: place.country,
            region: place.region,
            city: place.city,
            visitor,
            address: self.kept(visit.address),
            utm: campaign(visit.query(), led_to),
            user_agent: visit.user_agent().map(Cow::Borrowed),
            rule: choice.rule(extras),
            variant: choice.variant(extras).map(Cow::Borrowed),
            import_id: None,
        })
    }

    /// The click that a line of an old log is.
    #[must_use]
    pub fn historical_click(&self, line: HistoricalClick) -> Click<'static> {
        let kept =
            |text: Option<Box<str>>, max| text.map(|text| cut(String::from(text).into(), max));
        let user_agent = kept(line.user_agent, USER_AGENT_CHARS_MAX);
        let agent = user_agent.as_deref().unwrap_or_default();
        let place = line.address.map(|address| self.locator.locate(address)).unwrap_or_default();
        let told = line.country.map(|country| String::from(country).into());
        Click {
            domain: Cow::Owned(line.link.domain),
            code: Cow::Owned(line.link.code),
            at: line.at,
            method: kept(Some(line.method).filter(|method| &**method != "GET"), WORD_CHARS_MAX),
            purpose: None,
            referrer: kept(line.referrer, REFERRER_CHARS_MAX),
            language: None,
            country: place.country.or(told),
            region: place.region,
            city: place.city,
            visitor: self.salts.hash_imported(line.at, line.address, agent),
            address: self.kept(line.address),
            utm: Utm::default(),
            user_agent,
            rule: None,
            variant: None,
            import_id: Some(String::from(line.import_id).into()),
        }
    }

    fn kept(&self, address: Option<IpAddr>) -> Option<Cow<'static, str>> {
        address.filter(|_| self.keep_addresses).map(|address| address.to_string().into())
    }
}

/// The language with the highest quality (RFC 9110), the first of several; `*` is none.
pub(super) fn first_language(header: &str) -> Option<Cow<'_, str>> {
    let mut best: Option<(&str, f32)> = None;
    for range in header.split(',') {
        let (tag, parameters) = range.split_once(';').unwrap_or((range, ""));
        let (tag, quality) = (tag.trim(), parameters.trim().strip_prefix("q="));
        let quality = quality.map_or(1.0, |quality| quality.trim().parse().unwrap_or(0.0));
        let is_tag = !tag.is_empty() && tag.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        if is_tag && quality > 0.0 && best.is_none_or(|(_, best)| quality > best) {
            best = Some((tag, quality));
        }
    }
    best.map(|(tag, _)| {
        let is_lower = tag.bytes().all(|b| !b.is_ascii_uppercase());
        let tag = if is_lower { tag.into() } else { tag.to_ascii_lowercase().into() };
        cut(tag, WORD_CHARS_MAX)
    })
}

/// The campaign that the request names or, if it names none, the destination.
fn campaign<'a>(query: Option<&'a str>, destination: &'a str) -> Utm<'a> {
    let named = query.map(utm).unwrap_or_default();
    if !named.is_empty() {
        return named;
    }
    let query =
        destination.split_once('?').map(|(_, rest)| rest.split('#').next().unwrap_or_default());
    query.map(utm).unwrap_or_default()
}

fn utm(query: &str) -> Utm<'_> {
    let mut utm = Utm::default();
    if !query.contains("utm_") {
        return utm;
    }
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        let field = match &*name {
            "utm_source" => &mut utm.source,
            "utm_medium" => &mut utm.medium,
            "utm_campaign" => &mut utm.campaign,
            "utm_term" => &mut utm.term,
            "utm_content" => &mut utm.content,
            _ => continue,
        };
        if !value.is_empty() && field.is_none() {
            *field = Some(cut(value, UTM_CHARS_MAX));
        }
    }
    utm
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_language_is_the_one_that_is_liked_best() {
        let language = first_language;
        assert_eq!(language("en-GB,en;q=0.8").as_deref(), Some("en-gb"));
        assert_eq!(language("de;q=0.5, fr;q=0.9, *;q=1").as_deref(), Some("fr"));
        for none in ["", "*", "en;q=0", "<script>", ";;;", "q=1"] {
            assert_eq!(language(none), None, "{none}");
        }
    }

    #[test]
    fn the_request_names_the_campaign_before_the_destination_does() {
        let destination = "https://e.com/?utm_source=mail&utm_medium=x#utm_term=no";
        let source = |query| campaign(query, destination).source;
        assert_eq!(source(None).as_deref(), Some("mail"));
        assert_eq!(source(Some("a=b")).as_deref(), Some("mail"));
        assert_eq!(source(Some("utm_source=a%20b&utm_source=c")).as_deref(), Some("a b"));
        assert_eq!(campaign(Some("utm_term=t"), destination).source, None);
        assert_eq!(campaign(None, destination).term, None);
    }
}

//! Where a visitor is led of a link with rules or a split: what these ask is found out when they ask it, and once.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::net::IpAddr;
use std::sync::Arc;

use axum::http::request::Parts;
use axum::http::{HeaderMap, Method};
use chrono::{DateTime, Utc};
use hoplog_projections::clicks::referrer_host;
use hoplog_projections::user_agents::{Agent, UserAgents};

use crate::app::App;
use crate::clicks::country::{Locator, Place};
use crate::clicks::visit::Said;
use crate::domain::choice::Choice;
use crate::domain::rules::{Preferred, Visitor, preferred};
use crate::queries::resolve_link::Target;

/// Where a visit of a link leads. Most links have one destination, and nobody is asked anything.
pub(in crate::http) fn choose(
    app: &App,
    (address, now): (IpAddr, DateTime<Utc>),
    (method, request): (&Method, &Parts),
    target: &Target,
) -> Choice {
    let Some(extras) = target.extras.as_deref().filter(|extras| extras.leads_apart()) else {
        return Choice::Url;
    };
    let query = request.uri.query();
    let asked = (method, query, &request.headers);
    let visitor = Asking::new((&app.agents, app.locator()), (address, now), asked);
    Choice::of(&target.key, extras, &visitor)
}

/// A visitor who is asked.
#[derive(Debug)]
pub struct Asking<'a> {
    agents: &'a UserAgents,
    locator: &'a Locator,
    address: IpAddr,
    now: DateTime<Utc>,
    method: &'a Method,
    query: Option<&'a str>,
    headers: &'a HeaderMap,
    said: OnceCell<Said<'a>>,
    place: OnceCell<Place>,
    agent: OnceCell<Arc<Agent>>,
    referrer: OnceCell<Cow<'a, str>>,
    language: OnceCell<Option<Preferred<'a>>>,
}

impl<'a> Asking<'a> {
    /// Whoever sends this request from there, of whom nothing was found out yet.
    #[must_use]
    pub fn new(
        (agents, locator): (&'a UserAgents, &'a Locator),
        (address, now): (IpAddr, DateTime<Utc>),
        (method, query, headers): (&'a Method, Option<&'a str>, &'a HeaderMap),
    ) -> Self {
        Self {
            agents,
            locator,
            address,
            now,
            method,
            query,
            headers,
            said: OnceCell::new(),
            place: OnceCell::new(),
            agent: OnceCell::new(),
            referrer: OnceCell::new(),
            language: OnceCell::new(),
        }
    }

    fn said(&self) -> &Said<'a> {
        self.said.get_or_init(|| Said::of(self.headers))
    }

    fn place(&self) -> &Place {
        self.place.get_or_init(|| self.locator.locate(self.address))
    }

    fn agent(&self) -> &Agent {
        self.agent.get_or_init(|| self.agents.recognise(self.user_agent()))
    }
}

impl Visitor for Asking<'_> {
    fn now(&self) -> DateTime<Utc> {
        self.now
    }

    fn address(&self) -> Option<IpAddr> {
        Some(self.address)
    }

    fn user_agent(&self) -> &str {
        self.said().user_agent.as_deref().unwrap_or_default()
    }

    fn query(&self) -> Option<&str> {
        self.query
    }

    fn country(&self) -> Option<&str> {
        self.place().country.as_deref()
    }

    fn region(&self) -> Option<&str> {
        self.place().region.as_deref()
    }

    fn city(&self) -> Option<&str> {
        self.place().city.as_deref()
    }

    fn device(&self) -> &str {
        self.agent().device
    }

    fn system(&self) -> &str {
        &self.agent().system
    }

    fn browser(&self) -> &str {
        &self.agent().browser
    }

    fn is_bot(&self) -> bool {
        let purpose = self.said().purpose.as_deref();
        self.agent().class(Some(self.method.as_str()), purpose).is_bot()
    }

    fn referrer_host(&self) -> &str {
        self.referrer.get_or_init(|| match self.said().referrer.clone() {
            None => Cow::Borrowed(""),
            Some(Cow::Borrowed(text)) => referrer_host(text),
            Some(Cow::Owned(text)) => Cow::Owned(referrer_host(&text).into_owned()),
        })
    }

    fn language(&self) -> Option<Preferred<'_>> {
        *self.language.get_or_init(|| self.said().accept_language.and_then(preferred))
    }
}

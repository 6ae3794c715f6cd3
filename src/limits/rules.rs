//! Rules: policies, and the requests that they are for.

mod crowd;

use std::num::NonZeroU32;
use std::sync::Arc;

use hyper::Method;

use super::places::Place;
use super::who::{Asker, By, Filter, client_network};
use crate::ratelimit::{Charge, ChargeError, ChargeRef, Policy, Refund, Subject};

pub(super) use crowd::Crowd;

/// What a request costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cost {
    /// Always the same.
    Of(NonZeroU32),
    /// As many as it makes links.
    Links,
}

/// A policy, and the requests that it is for.
#[derive(Debug, Clone)]
pub struct Rule {
    policy: Arc<Policy>,
    places: Vec<Place>,
    by: By,
    cost: Cost,
    only: Filter,
    except: Filter,
}

/// All rules, sorted by where they are looked at. None: nothing is limited.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    all: Vec<Rule>,
    redirect: Vec<Rule>,
    unknown_code: Vec<Rule>,
    api: Vec<Rule>,
    bulk: Vec<Rule>,
    auth_failure: Vec<Rule>,
    wrong_password: Vec<Rule>,
    report: Vec<Rule>,
    service: Vec<Rule>,
}

/// A request to the API.
#[derive(Debug, Clone, Copy)]
pub struct ApiRequest<'a> {
    /// Its method.
    pub method: &'a Method,
    /// The template of its route.
    pub route: &'a str,
    /// Who asks.
    pub asker: Asker<'a>,
}

impl Rule {
    pub(super) fn new(
        policy: Policy,
        (places, by, cost): (Vec<Place>, By, Cost),
        (only, except): (Filter, Filter),
    ) -> Self {
        Self { policy: Arc::new(policy), places, by, cost, only, except }
    }

    /// The policy's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.policy.name().as_str()
    }

    /// The policy.
    #[must_use]
    pub fn policy(&self) -> &Arc<Policy> {
        &self.policy
    }

    /// Where it holds.
    #[must_use]
    pub fn places(&self) -> &[Place] {
        &self.places
    }

    /// By what it counts.
    #[must_use]
    pub fn by(&self) -> By {
        self.by
    }

    /// What a request costs.
    #[must_use]
    pub fn cost(&self) -> Cost {
        self.cost
    }

    /// The same, under which can be given back what it should not have been charged for.
    fn with_void(self) -> Self {
        if self.policy.refund() != Refund::Never {
            return self;
        }
        let policy = Policy::clone(&self.policy).with_refund(Refund::IfVoid);
        Self { policy: Arc::new(policy), ..self }
    }

    fn is_for(&self, method: &Method, asker: &Asker<'_>) -> bool {
        self.only.means(method, asker) && !self.except.excepts(method, asker)
    }

    /// `None`: what is counted by is not known of this request.
    fn subject(&self, asker: &Asker<'_>) -> Option<Subject> {
        let address = || Subject::address("address", client_network(asker.address));
        let key = || asker.principal.map(|principal| Subject::new("key", &principal.actor));
        match self.by {
            By::Address => Some(address()),
            By::Key => key(),
            By::KeyOrAddress => Some(key().unwrap_or_else(address)),
            By::Owner => asker.principal.map(|one| Subject::new("owner", one.owner.as_str())),
            By::Everyone => Some(Subject::everybody("everyone")),
            By::KeyPrefix | By::Link | By::Subject => None,
        }
    }

    fn charge(&self, subject: Subject, links: u32) -> Result<ChargeRef<'_>, ChargeError> {
        let cost = match self.cost {
            Cost::Of(cost) => cost.get(),
            Cost::Links => links,
        };
        ChargeRef::new(&self.policy, subject, cost)
    }
}

impl Rules {
    pub(super) fn new(all: Vec<Rule>) -> Self {
        let at = |is_there: &dyn Fn(Place) -> bool| -> Vec<Rule> {
            let there = all.iter().filter(|rule| rule.places.iter().any(|place| is_there(*place)));
            there.cloned().collect()
        };
        let voided = |rules: Vec<Rule>| rules.into_iter().map(Rule::with_void).collect();
        Self {
            redirect: at(&|place| place == Place::Redirect),
            unknown_code: voided(at(&|place| place == Place::UnknownCode)),
            api: at(&Place::is_of_the_api),
            bulk: voided(at(&|place| place == Place::Bulk)),
            auth_failure: at(&|place| place == Place::AuthFailure),
            wrong_password: voided(at(&|place| place == Place::WrongPassword)),
            report: at(&|place| place == Place::Report),
            service: at(&|place| place == Place::Service),
            all,
        }
    }

    /// All of them, in the order of the file.
    #[must_use]
    pub fn all(&self) -> &[Rule] {
        &self.all
    }

    pub(super) fn into_all(self) -> Vec<Rule> {
        self.all
    }

    /// What a redirect costs. An error can't come from a file that was read: costs are checked there.
    pub(super) fn redirect<'a>(
        &'a self,
        method: &'a Method,
        asker: &'a Asker<'a>,
    ) -> impl Iterator<Item = Result<ChargeRef<'a>, ChargeError>> + 'a {
        of(&self.redirect, method, asker, 1)
    }

    /// What a code costs that nobody has. It is given back if the look was void.
    pub(super) fn unknown_code(
        &self,
        method: &Method,
        asker: &Asker<'_>,
    ) -> Result<Vec<Charge>, ChargeError> {
        owned(of(&self.unknown_code, method, asker, 1))
    }

    /// What a request to the API costs before it is answered.
    pub(super) fn api(&self, request: &ApiRequest<'_>) -> Result<Vec<Charge>, ChargeError> {
        let ApiRequest { method, route, asker } = request;
        let is_post = *method == Method::POST;
        let met = |rule: &&Rule| rule.places.iter().any(|place| place.takes_in(is_post, route));
        let rules = self.api.iter().filter(met).filter(|rule| rule.is_for(method, asker));
        owned(rules.filter_map(|rule| Some(rule.charge(rule.subject(asker)?, 1))))
    }

    /// What so many links cost that are made at once. It is given back if none was.
    pub(super) fn bulk(&self, asker: &Asker<'_>, links: u32) -> Result<Vec<Charge>, ChargeError> {
        owned(of(&self.bulk, &Method::POST, asker, links))
    }

    /// What a key costs that does not work.
    pub(super) fn auth_failure(
        &self,
        (method, asker): (&Method, &Asker<'_>),
        prefix: &str,
    ) -> Result<Vec<Charge>, ChargeError> {
        let prefix = Subject::new("key-prefix", prefix);
        owned(of_named(&self.auth_failure, method, asker, (By::KeyPrefix, prefix)))
    }

    /// What a guess at the password of a link costs. It is given back if it was right.
    pub(super) fn wrong_password(
        &self,
        (method, asker): (&Method, &Asker<'_>),
        link: &str,
    ) -> Result<Vec<Charge>, ChargeError> {
        let link = Subject::new("link", link);
        owned(of_named(&self.wrong_password, method, asker, (By::Link, link)))
    }

    /// What a report of a link costs.
    pub(super) fn report(
        &self,
        (method, asker): (&Method, &Asker<'_>),
        link: &str,
    ) -> Result<Vec<Charge>, ChargeError> {
        let link = Subject::new("link", link);
        owned(of_named(&self.report, method, asker, (By::Link, link)))
    }

    /// The policy of that name that other services may ask about.
    #[must_use]
    pub fn service(&self, name: &str) -> Option<&Rule> {
        self.service.iter().find(|rule| rule.name() == name)
    }

    /// The names of those.
    #[must_use]
    pub fn services(&self) -> Vec<&str> {
        self.service.iter().map(Rule::name).collect()
    }
}

impl Rule {
    /// What another service asks about: a subject of its owner's.
    ///
    /// # Errors
    /// When the cost is 0, or more than the policy ever allows.
    pub fn asked(&self, owner: &str, subject: &str, cost: u32) -> Result<Charge, ChargeError> {
        let subject = match self.by {
            By::Everyone => Subject::new("everyone of", owner),
            // With the owner's length, so that no two pairs read the same.
            _ => Subject::new("subject", &format!("{}:{owner}:{subject}", owner.len())),
        };
        Charge::new(Arc::clone(&self.policy), subject, cost)
    }
}

fn of<'a>(
    rules: &'a [Rule],
    method: &'a Method,
    asker: &'a Asker<'a>,
    links: u32,
) -> impl Iterator<Item = Result<ChargeRef<'a>, ChargeError>> + 'a {
    let rules = rules.iter().filter(|rule| rule.is_for(method, asker));
    rules.filter_map(move |rule| Some(rule.charge(rule.subject(asker)?, links)))
}

/// The same of rules that may be for somebody who is named, and not only for whoever asks.
fn of_named<'a>(
    rules: &'a [Rule],
    method: &'a Method,
    asker: &'a Asker<'a>,
    (by, named): (By, Subject),
) -> impl Iterator<Item = Result<ChargeRef<'a>, ChargeError>> + 'a {
    let rules = rules.iter().filter(|rule| rule.is_for(method, asker));
    let subject = move |rule: &Rule| {
        if rule.by == by { Some(named) } else { rule.subject(asker) }
    };
    rules.filter_map(move |rule| Some(rule.charge(subject(rule)?, 1)))
}

/// For a decision that is waited for: the rules may have been replaced by then.
fn owned<'a>(
    charges: impl Iterator<Item = Result<ChargeRef<'a>, ChargeError>>,
) -> Result<Vec<Charge>, ChargeError> {
    charges.map(|charge| charge.map(ChargeRef::to_charge)).collect()
}

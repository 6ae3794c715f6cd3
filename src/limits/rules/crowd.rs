//! How many policies may meet in one request. More than can be decided together are refused when they are
//! read: later, every such request would be.

use std::collections::HashMap;

use hyper::Method;

use super::{Rule, Rules};
use crate::limits::places::{Place, ROUTES};
use crate::limits::who::Filter;
use crate::ratelimit::CHARGES_MAX;

/// The methods that a policy can name.
const METHODS: [Method; 5] =
    [Method::GET, Method::HEAD, Method::POST, Method::PATCH, Method::DELETE];

/// More policies than can be decided together.
#[derive(Debug)]
pub(in crate::limits) struct Crowd<'a> {
    /// Where they meet.
    pub(in crate::limits) place: &'static str,
    /// Their names.
    pub(in crate::limits) policies: Vec<&'a str>,
}

impl Rules {
    /// Policies that may meet in one request, if there are too many. Addresses and networks may always meet, of
    /// keys and owners a request has one.
    pub(in crate::limits) fn crowd(&self) -> Option<Crowd<'_>> {
        let parts = [
            (Place::Redirect, &self.redirect),
            (Place::UnknownCode, &self.unknown_code),
            (Place::Bulk, &self.bulk),
            (Place::AuthFailure, &self.auth_failure),
            (Place::WrongPassword, &self.wrong_password),
            (Place::Report, &self.report),
        ];
        for (place, rules) in parts {
            let rules: Vec<&Rule> = rules.iter().collect();
            let crowd = METHODS.iter().find_map(|method| crowd_of(place.name(), &rules, method));
            if crowd.is_some() {
                return crowd;
            }
        }
        let at = |route| METHODS.iter().find_map(|method| self.crowd_at(route, method));
        ROUTES.into_iter().find_map(at)
    }

    fn crowd_at(&self, route: &'static str, method: &Method) -> Option<Crowd<'_>> {
        let is_post = *method == Method::POST;
        let takes_in = |rule: &&Rule| rule.places.iter().any(|one| one.takes_in(is_post, route));
        crowd_of(route, &self.api.iter().filter(takes_in).collect::<Vec<_>>(), method)
    }
}

fn crowd_of<'a>(place: &'static str, rules: &[&'a Rule], method: &Method) -> Option<Crowd<'a>> {
    // A key with the scope admin has every scope.
    let met = [false, true].map(|is_admin| together(rules, method, is_admin));
    let most = met.into_iter().max_by_key(Vec::len).unwrap_or_default();
    let policies = most.into_iter().map(Rule::name).collect();
    Some(Crowd { place, policies }).filter(|crowd| crowd.policies.len() > CHARGES_MAX)
}

fn together<'a>(rules: &[&'a Rule], method: &Method, is_admin: bool) -> Vec<&'a Rule> {
    let meets = |rule: &&&Rule| {
        (rule.only.methods.is_empty() || rule.only.methods.contains(method))
            && !rule.except.methods.contains(method)
            && (!is_admin || rule.except.scopes.is_empty())
            && (is_admin || !rule.only.is_for_admins())
    };
    let met = rules.iter().filter(meets).copied();
    let (of_keys, others): (Vec<_>, Vec<_>) = met.partition(|rule| !rule.only.keys.is_empty());
    let (of_owners, mut met): (Vec<_>, Vec<_>) =
        others.into_iter().partition(|rule| !rule.only.owners.is_empty());
    met.extend(most(&of_owners, |only| &only.owners));
    met.extend(most(&of_keys, |only| &only.keys));
    met
}

/// The largest group that names the same.
fn most<'a>(rules: &[&'a Rule], names: impl Fn(&Filter) -> &[Box<str>]) -> Vec<&'a Rule> {
    let mut groups: HashMap<&str, Vec<&Rule>> = HashMap::new();
    for rule in rules {
        for name in names(&rule.only) {
            let group = groups.entry(name).or_default();
            // Who is named twice meets the rule once.
            if group.last().is_none_or(|last| !std::ptr::eq(*last, *rule)) {
                group.push(rule);
            }
        }
    }
    groups.into_values().max_by_key(Vec::len).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::PolicyFileError;

    /// So many policies, each with a route and filters of its own.
    fn read(count: usize, matches: impl Fn(usize) -> String) -> Result<Rules, PolicyFileError> {
        let policy = |n: usize| {
            format!(
                "[[policies]]\nname = 'p{n}'\nmatch = {{ {} }}\nby = 'everyone'\n\
                 tiers = [{{ limit = 5, per = '1m' }}]\n",
                matches(n)
            )
        };
        Rules::parse(&(0..count).map(policy).collect::<String>())
    }

    #[test]
    fn policies_that_can_t_meet_are_no_crowd() {
        let routes = |n: usize| format!("routes = ['{}']", ROUTES[n]);
        assert!(read(30, routes).is_ok(), "of different routes");
        let owners = |n| format!("routes = ['create'], owners = ['owner{n}']");
        assert!(read(30, owners).is_ok(), "of different owners");
        let keys = |n| {
            format!("routes = ['api'], keys = ['00000000-0000-0000-0000-0000000000{:02}']", n + 10)
        };
        assert!(read(30, keys).is_ok(), "of different keys");
        let methods = |n| format!("routes = ['api'], methods = ['{}']", METHODS[1 + n % 4]);
        assert!(read(20, methods).is_ok(), "of different methods");
    }

    #[test]
    fn policies_that_may_meet_are_counted_whatever_their_filters() {
        // What is built in: one for redirects, one of the API, two where a link is made.
        for (most, matches, place) in [
            (7, "routes = ['redirect'], methods = ['GET', 'HEAD']", "redirect"),
            (7, "routes = ['redirect'], addresses = ['0.0.0.0/0']", "redirect"),
            (7, "routes = ['bulk'], owners = ['acme', 'acme', 'other']", "bulk"),
            (6, "routes = ['create'], owners = ['acme']", "/api/shorten"),
            (6, "routes = ['api'], scopes = ['links:read']", "/api/shorten"),
            (7, "routes = ['/api/v1/top']", "/api/v1/top"),
        ] {
            let matches = |_| matches.to_owned();
            assert!(read(most, matches).is_ok(), "{most} {place}");
            let error = read(most + 1, matches).unwrap_err();
            // The name of the ninth.
            assert_eq!(error.line, most * 5 + 2, "{error}");
            assert!(error.reason.contains(place) && error.reason.contains("allowed: 8"), "{error}");
        }
    }
}

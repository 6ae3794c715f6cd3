//! Which of a link's rules holds for a visitor: the first of them that does.
//!
//! What rules compare is asked of the visitor only when a rule asks for it, and nothing is copied: rules stand on the
//! way of every redirect of links that have them.

use std::net::IpAddr;

use chrono::{DateTime, Utc};
use hoplog_events::link::{Conditions, HostPattern, Rules, VisitorKind, Word};

mod language;
mod query;
#[cfg(test)]
mod tests;

pub use language::{Preferred, preferred};
use query::has_parameters;

/// What rules and splits can ask of a visitor. Whatever costs something to find out is found out once, and only if it is asked.
pub trait Visitor {
    /// When the visit is.
    fn now(&self) -> DateTime<Utc>;
    /// Where it comes from.
    fn address(&self) -> Option<IpAddr>;
    /// The user agent, as it was written; empty: none.
    fn user_agent(&self) -> &str;
    /// The query of the request, as it was written.
    fn query(&self) -> Option<&str>;
    /// The country of the address (ISO 3166, upper case); `None`: nobody knows.
    fn country(&self) -> Option<&str>;
    /// The region of the address.
    fn region(&self) -> Option<&str>;
    /// The city of the address.
    fn city(&self) -> Option<&str>;
    /// The kind of device, as statistics name it.
    fn device(&self) -> &str;
    /// The operating system, as statistics name it.
    fn system(&self) -> &str;
    /// The browser, as statistics name it.
    fn browser(&self) -> &str;
    /// Whether statistics count the visit as anything but a person's.
    fn is_bot(&self) -> bool;
    /// The host that the visit comes from, in lower case; empty: from nowhere.
    fn referrer_host(&self) -> &str;
    /// The language that the visitor likes best.
    fn language(&self) -> Option<Preferred<'_>>;
}

/// The place of the first rule that holds; `None`: none does.
pub fn first_that_holds(rules: &Rules, visitor: &impl Visitor) -> Option<usize> {
    rules.as_slice().iter().position(|rule| holds(&rule.when, visitor))
}

/// Whether all conditions hold: those first that cost least to look at.
fn holds(when: &Conditions, visitor: &impl Visitor) -> bool {
    is_time(when, visitor.now())
        && has_parameters(&when.query, visitor.query())
        && is_in_network(when, visitor)
        && any(&when.referrer, |host| comes_from(host, visitor.referrer_host()))
        && speaks(when, visitor)
        && uses(when, visitor)
        && is_there(when, visitor)
}

/// Whether one of some values will do, or there are none to ask for.
fn any<T>(values: &[T], will_do: impl FnMut(&T) -> bool) -> bool {
    values.is_empty() || values.iter().any(will_do)
}

fn is_time(when: &Conditions, now: DateTime<Utc>) -> bool {
    when.from.is_none_or(|from| from <= now)
        && when.until.is_none_or(|until| now < until)
        && when.time.as_ref().is_none_or(|window| window.contains(now))
}

fn is_in_network(when: &Conditions, visitor: &impl Visitor) -> bool {
    let is_in = |address| any(&when.address, |network| network.contains(address));
    when.address.is_empty() || visitor.address().is_some_and(is_in)
}

/// An empty pattern stands for those who come from nowhere, and no other does.
fn comes_from(pattern: &HostPattern, host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    let Some(above) = pattern.as_str().strip_prefix('*') else { return pattern.as_str() == host };
    host.len() > above.len() && host.ends_with(above)
}

fn speaks(when: &Conditions, visitor: &impl Visitor) -> bool {
    let likes = |language: Preferred<'_>| any(&when.language, |range| language.is_in(range));
    when.language.is_empty() || visitor.language().is_some_and(likes)
}

fn uses(when: &Conditions, visitor: &impl Visitor) -> bool {
    let is_kind = |kind| visitor.is_bot() == (kind == VisitorKind::Bot);
    when.visitor.is_none_or(is_kind)
        && any(&when.device, |device| device.name() == visitor.device())
        && any(&when.system, |system| is_called(system, visitor.system()))
        && any(&when.browser, |browser| is_called(browser, visitor.browser()))
}

/// What nobody knows is nowhere.
fn is_there(when: &Conditions, visitor: &impl Visitor) -> bool {
    let is_named = |names: &[Word], place: Option<&str>| {
        place.is_some_and(|place| any(names, |name| is_called(name, place)))
    };
    let is_in = |country| any(&when.country, |code| code.as_str().eq_ignore_ascii_case(country));
    (when.country.is_empty() || visitor.country().is_some_and(is_in))
        && (when.region.is_empty() || is_named(&when.region, visitor.region()))
        && (when.city.is_empty() || is_named(&when.city, visitor.city()))
}

/// Whether two names are the same but for upper and lower case.
fn is_called(name: &Word, other: &str) -> bool {
    let (name, other) = (name.as_str().chars(), other.chars());
    name.flat_map(char::to_lowercase).eq(other.flat_map(char::to_lowercase))
}

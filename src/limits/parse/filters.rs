//! Who is meant, and who is not.

use std::time::Duration;

use hoplog_events::account::Scope;
use hyper::Method;
use toml::Spanned;
use uuid::Uuid;

use super::parse;
use crate::domain::expiry::ExpiresIn;
use crate::limits::file::{Except, Matches, PolicyFileError, Text};
use crate::limits::who::Filter;

pub(super) fn only(text: Text<'_>, written: &Matches) -> Result<Filter, PolicyFileError> {
    let Matches { routes: _, methods, addresses, keys, owners, scopes, new_for } = written;
    let age = |given: &Spanned<String>| {
        let age: ExpiresIn = parse(text, given, |error| format!("new_for: {error}"))?;
        Ok(Duration::from_secs(age.seconds()))
    };
    let new_for = new_for.as_ref().map(age).transpose()?;
    Ok(Filter { new_for, ..filter(text, [methods, addresses, keys, owners, scopes])? })
}

pub(super) fn exceptions(text: Text<'_>, written: &Except) -> Result<Filter, PolicyFileError> {
    let Except { methods, addresses, keys, owners, scopes } = written;
    filter(text, [methods, addresses, keys, owners, scopes])
}

/// A filter that looks at the request rather than at whose key it is.
pub(super) fn first_of_request<'a>(
    only: &'a Matches,
    except: &'a Except,
) -> Option<&'a Spanned<String>> {
    let filters = [&only.methods, &only.addresses, &except.methods, &except.addresses];
    filters.into_iter().flatten().next()
}

fn filter(
    text: Text<'_>,
    [methods, addresses, keys, owners, scopes]: [&Vec<Spanned<String>>; 5],
) -> Result<Filter, PolicyFileError> {
    let network = |given: &Spanned<String>| {
        let one = given.get_ref().parse::<std::net::IpAddr>().map(ipnet::IpNet::from);
        let network = one.or_else(|_| given.get_ref().parse::<ipnet::IpNet>());
        network.map_err(|_| {
            let reason = format!(
                "addresses: {:?} is none; allowed: networks such as 10.0.0.0/8, fd00::/8",
                given.get_ref()
            );
            text.wrong(given.span(), reason)
        })
    };
    let method = |given: &Spanned<String>| {
        let known = [Method::GET, Method::HEAD, Method::POST, Method::PATCH, Method::DELETE];
        known.into_iter().find(|method| method.as_str() == given.get_ref()).ok_or_else(|| {
            let reason = format!(
                "methods: {:?} is none; allowed: GET, HEAD, POST, PATCH, DELETE",
                given.get_ref()
            );
            text.wrong(given.span(), reason)
        })
    };
    let key = |given: &Spanned<String>| {
        let id: Uuid = parse(text, given, |_: uuid::Error| {
            "keys: the id of a key, as `hoplog key list` has it".to_owned()
        })?;
        Ok(format!("key:{id}").into())
    };
    let owner = |given: &Spanned<String>| {
        let owner: hoplog_events::link::OwnerId =
            parse(text, given, |error| format!("owners: {error}"))?;
        Ok(owner.as_str().into())
    };
    let scope =
        |given: &Spanned<String>| parse::<Scope>(text, given, |error| format!("scopes: {error}"));
    let mut methods: Vec<Method> = methods.iter().map(method).collect::<Result<_, _>>()?;
    // It is answered as GET is, without the body.
    if methods.contains(&Method::GET) && !methods.contains(&Method::HEAD) {
        methods.push(Method::HEAD);
    }
    Ok(Filter {
        methods,
        addresses: addresses.iter().map(network).collect::<Result<_, _>>()?,
        keys: keys.iter().map(key).collect::<Result<_, _>>()?,
        owners: owners.iter().map(owner).collect::<Result<_, _>>()?,
        scopes: scopes.iter().map(scope).collect::<Result<_, _>>()?,
        new_for: None,
    })
}

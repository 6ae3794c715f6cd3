//! What a chat or a network is shown of a link whose owner has said what: no redirect, so that it shows that and not what the
//! destination says of itself. Everybody else is led on; search engines, too.
//!
//! What is for few stays so: of a link with a password or a number of clicks only the owner's words are told, on the page
//! that such a visit gets in any case.

use std::net::IpAddr;

use axum::http::Method;
use axum::http::request::Parts;
use axum::response::Response;
use hoplog_events::link::OwnPreview;
use hoplog_projections::user_agents::Class;

use super::asking::choose;
use super::{NotServed, Served, location, record};
use crate::app::App;
use crate::clicks::visit::Said;
use crate::http::origin::Origin;
use crate::http::page::{self, Below};
use crate::queries::resolve_link::Target;

/// Whether somebody asks who shows what is behind links; also to see whether there is something, by `HEAD`.
pub(super) fn is_asked_for(app: &App, request: &Parts) -> bool {
    let said = Said::of(&request.headers);
    let agent = app.agents.recognise(said.user_agent.as_deref().unwrap_or_default());
    agent.class(None, None) == Class::Preview
}

/// The address that was asked for, where what is behind the code leads elsewhere: cards of several are not one.
fn asked_for(
    target: &Target,
    mut address: String,
    (rest, query): (Option<&str>, Option<&str>),
) -> String {
    let Some(extras) = target.extras.as_deref() else { return address };
    if let Some(rest) = rest.filter(|_| extras.forward_path) {
        address.push('/');
        address.push_str(rest);
    }
    if let Some(query) = query.filter(|_| extras.forward_query.is_some()) {
        address.push('?');
        address.push_str(query);
    }
    address
}

/// The page with the owner's words, and the visit recorded as a redirect would have been.
pub(super) async fn show(
    app: &App,
    address: IpAddr,
    (request, rest): (&Parts, Option<&str>),
    (found, now): &Served,
    preview: &OwnPreview,
) -> Result<Response, NotServed> {
    let (target, method): (_, &Method) = (&found.target, &request.method);
    let short_url = Origin::of(app, request).short_url(&target.key);
    let short_url = asked_for(target, short_url, (rest, request.uri.query()));
    if target.password().is_some() {
        return Ok(page::own_preview(&short_url, preview, Below::Password));
    }
    if target.is_limited() {
        return Ok(page::own_preview(&short_url, preview, Below::Limited));
    }
    let choice = choose(app, (address, *now), (method, request), target);
    let location = location(target, choice, (rest, request.uri.query()))?;
    record(app, (address, *now), (method, request), (target, choice)).await?;
    let destination = location.to_str().unwrap_or_default();
    Ok(page::own_preview(&short_url, preview, Below::Destination(destination)))
}

//! Links in quarantine: nobody is sent on. Where the settings say so, browsers are told where it would lead, and may go there
//! on their own: there is no address of ours that leads around the warning.

use std::net::IpAddr;

use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Response;
use chrono::{DateTime, Utc};
use hoplog_events::link::LinkState;

use super::asking::choose;
use super::not_served::NotServed;
use crate::app::App;
use crate::http::page;
use crate::http::problem::Problem;
use crate::queries::resolve_link::{Resolved, Target};

/// What programs are told of a link in quarantine.
pub(super) fn quarantined() -> Problem {
    let detail = "the link is in quarantine, as it may do harm; its owner is told why";
    Problem::new(StatusCode::UNAVAILABLE_FOR_LEGAL_REASONS, "link_quarantined", detail)
}

/// The answer to a visitor. What the link keeps to itself is not told: it would lead nowhere, or not everybody.
pub(super) fn warned(
    app: &App,
    address: IpAddr,
    request: &Parts,
    found: Resolved,
) -> Result<Response, NotServed> {
    let target = &found.target;
    let now = app.clock.now();
    let may_go_on = app.abuse.quarantine_warns && leads_on(target, now) && !target.is_guarded();
    if !may_go_on || !page::wants_html(&request.headers) {
        return Err(NotServed::Quarantined(found));
    }
    let choice = choose(app, (address, now), (&request.method, request), target);
    Ok(page::warning(quarantined().status(), target.destination(choice).as_str()))
}

/// Whether it would without its quarantine. That a link in quarantine has ended is no event: its instant says it.
fn leads_on(target: &Target, now: DateTime<Utc>) -> bool {
    let quarantine = target.extras.as_ref().and_then(|extras| extras.quarantine());
    let would = quarantine.is_some_and(|quarantine| quarantine.was == LinkState::Active);
    would && target.expires_at.is_none_or(|expires_at| now < expires_at)
}

//! Visits that lead nowhere are noted, whatever is answered: after the answer is known, and without waiting.

use std::net::IpAddr;

use axum::http::Method;
use axum::http::request::Parts;
use hoplog_events::orphan::OrphanKind;

use super::not_served::NotServed;
use crate::app::App;
use crate::clicks::address::client_address;
use crate::clicks::orphans::Led;
use crate::clicks::orphans::lost::{LostVisit, is_on_their_own};
use crate::http::site::Site;

/// Notes a visit of a code that is not served; of one that is asked something first there is nothing to note.
pub(super) fn note(app: &App, address: IpAddr, request: &Parts, not_served: &NotServed) {
    if let Some(kind) = not_served.orphan() {
        note_of(app, (kind, address), (&request.method, request));
    }
}

/// The same of a form, which is the second half of a visit as a click's is. To a code that nobody has none was sent by a
/// page of ours.
pub(super) fn note_form(app: &App, address: IpAddr, request: &Parts, not_served: &NotServed) {
    let kind = not_served.orphan().filter(|kind| *kind != OrphanKind::UnknownCode);
    if let Some(kind) = kind {
        note_of(app, (kind, address), (&Method::GET, request));
    }
}

/// Notes a visit that leads nowhere for a reason.
pub(super) fn note_of(
    app: &App,
    (kind, address): (OrphanKind, IpAddr),
    (method, request): (&Method, &Parts),
) {
    let asked = request.uri.path().strip_prefix('/').unwrap_or_default();
    // A link may be called like it.
    let is_of_a_link = kind != OrphanKind::UnknownCode;
    if !is_of_a_link && is_on_their_own(asked) {
        return;
    }
    // Of what is behind a code nothing is kept but that there was something.
    let behind = asked.find('/').map_or(asked.len(), |slash| slash + 1);
    let path = &asked[..behind];
    let path = if is_of_a_link { path.trim_end_matches('/') } else { path };
    noted(app, (kind, address), Some(path), (method, request));
}

/// Notes a visit of the bare host.
pub(in crate::http) fn note_base_url(app: &App, peer: IpAddr, request: &Parts) {
    if !matches!(request.method, Method::GET | Method::HEAD) {
        return;
    }
    let address = client_address(peer, &request.headers, &app.trusted_proxies);
    noted(app, (OrphanKind::BaseUrl, address), None, (&request.method, request));
}

fn noted(
    app: &App,
    (kind, address): (OrphanKind, IpAddr),
    path: Option<&str>,
    (method, request): (&Method, &Parts),
) {
    let led = Led { kind, domain: Site::of(app, request).domain(), address };
    let said = (method, &request.headers);
    app.orphans.note(led, app.clicks.is_busy(), |led, at| LostVisit::new(led, at, path, said));
}

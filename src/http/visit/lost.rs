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
    let Some(kind) = not_served.orphan() else { return };
    let asked = request.uri.path().strip_prefix('/').unwrap_or_default();
    if is_on_their_own(asked) {
        return;
    }
    // Of what is behind a code nothing is kept but that there was something.
    let behind = asked.find('/').map_or(asked.len(), |slash| slash + 1);
    let path = &asked[..behind];
    let is_of_a_link = kind != OrphanKind::UnknownCode;
    let path = if is_of_a_link { path.trim_end_matches('/') } else { path };
    noted(app, (kind, address), Some(path), request);
}

/// Notes a visit of the bare host.
pub(in crate::http) fn note_base_url(app: &App, peer: IpAddr, request: &Parts) {
    if !matches!(request.method, Method::GET | Method::HEAD) {
        return;
    }
    let address = client_address(peer, &request.headers, &app.trusted_proxies);
    noted(app, (OrphanKind::BaseUrl, address), None, request);
}

fn noted(app: &App, (kind, address): (OrphanKind, IpAddr), path: Option<&str>, request: &Parts) {
    let led = Led { kind, domain: Site::of(app, request).domain(), at: app.clock.now(), address };
    let said = (&request.method, &request.headers);
    app.orphans.note(led, app.clicks.is_busy(), |led| LostVisit::new(led, path, said));
}

//! `GET /{code}/more`, and what else of a request goes on to the destination where its owner wants that.

use std::net::IpAddr;

use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use hoplog_events::link::{Destination, Extras, ShortCode};

use super::{NotServed, Served, admit, find, follow, in_vain};
use crate::app::App;
use crate::clicks::address::client_address;
use crate::config::Role;
use crate::domain::alias::is_reserved;
use crate::domain::forward::{Addition, ForwardError, forwarded};
use crate::http::limits::visitor_refused;
use crate::http::problem::Problem;
use crate::http::roles::wrong_role;

/// The destination with what was asked for behind the code: path and query. `None`: as it is.
pub(super) fn forwarded_to(
    destination: &Destination,
    extras: &Extras,
    (path, query): (Option<&str>, Option<&str>),
) -> Result<Option<Bytes>, Problem> {
    let forwarded = forwarded(destination, extras, Addition { path, query });
    Ok(forwarded.map_err(Problem::from)?.map(Bytes::from))
}

impl From<ForwardError> for Problem {
    fn from(error: ForwardError) -> Self {
        match error {
            ForwardError::Path => Self::link_not_found(),
            ForwardError::TooLong => {
                let status = StatusCode::URI_TOO_LONG;
                Self::new(status, "destination_too_long", error.to_string())
            }
        }
    }
}

/// Follows a short link whose owner wants what is behind the code forwarded. `None`: there is nothing of the
/// kind, and nobody learns whether there is a link.
pub(in crate::http) async fn visit_below(
    app: &App,
    peer: IpAddr,
    request: &Parts,
) -> Option<Response> {
    let (code, rest) = request.uri.path().strip_prefix('/')?.split_once('/')?;
    let visits = matches!(request.method, Method::GET | Method::HEAD);
    if !visits || is_reserved(code) || code.parse::<ShortCode>().is_err() {
        return None;
    }
    if !app.roles.has(Role::Query) {
        return Some(wrong_role(app, Role::Query).into_response());
    }
    let address = client_address(peer, &request.headers, &app.trusted_proxies);
    if let Err(refused) = app.limits.redirect(&request.method, address) {
        return Some(visitor_refused(refused));
    }
    match below(app, address, request, (code, rest)).await {
        Ok(response) => Some(response),
        Err(not_served) if not_served.is_not_found() => None,
        Err(not_served) => Some(not_served.into_answer(&request.headers)),
    }
}

async fn below(
    app: &App,
    address: IpAddr,
    request: &Parts,
    (code, rest): (&str, &str),
) -> Result<Response, NotServed> {
    let served = served_below(app, address, request, code).await;
    follow(app, address, request, (served, Some(rest))).await
}

async fn served_below(
    app: &App,
    address: IpAddr,
    request: &Parts,
    code: &str,
) -> Result<Served, NotServed> {
    let visitor = (&request.method, address);
    let found = find(app, address, request, code).await?;
    let forwards = |extras: &Extras| extras.forward_path;
    if !found.target.extras.as_deref().is_some_and(forwards) {
        // As for a code that is nobody's: this is no way to find out which are somebody's.
        return Err(in_vain(app, visitor).await);
    }
    admit(app, visitor, found).await
}

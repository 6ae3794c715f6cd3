//! `GET /{code}`: the redirect. What hangs on it (`+`, `.qr`) is answered elsewhere.
//!
//! This is the hot path: one cache look-up, one hand-over to the click recorder, one small
//! answer. No rate-limit fields and no request id are sent here: clients may delay following.

use std::net::IpAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use chrono::{DateTime, Utc};
use hoplog_events::link::{LinkState, SERVICE_DOMAIN};

use super::page;
use super::preview::preview;
use super::problem::Problem;
use super::qr::qr_code;
use crate::app::App;
use crate::clicks::address::client_address;
use crate::clicks::visit::Visit;
use crate::queries::resolve_link::{LinkPath, Resolved, Target};

/// On a redirect that may have changed, as nobody could be asked.
const STALE: HeaderName = HeaderName::from_static("hoplog-stale");

/// Follows a short link.
#[utoipa::path(
    get, path = "/{code}", tag = "redirect",
    params(("code" = String, Path, description = "a link's code")),
    responses(
        (status = 302, description = "where the link leads (301, 307 or 308 if the link says so)", headers(
            ("Hoplog-Stale" = String, description = "true: the link may have changed, as neither read model nor log could be asked"),
        )),
        (status = 404, description = "there is no such link", body = Problem, content_type = "application/problem+json"),
        (status = 410, description = "the link expired or was deleted", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "the click can't be recorded right now", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn visit(app: &App, peer: IpAddr, request: &Parts) -> Response {
    match answer(app, peer, request).await {
        Ok(response) => response,
        Err(problem) => page::problem_for_visitor(problem, &request.headers),
    }
}

async fn answer(app: &App, peer: IpAddr, request: &Parts) -> Result<Response, Problem> {
    let path = request.uri.path().strip_prefix('/').unwrap_or_default();
    if let Some(code) = path.strip_suffix('+') {
        return Box::pin(preview(app, request, code)).await;
    }
    if let Some(code) = path.strip_suffix(".qr") {
        return Box::pin(qr_code(app, request, code)).await;
    }
    let (found, now) = served(app, path).await?;
    record(app, (peer, now), request, &found.target).await?;
    redirect(app, &found)
}

/// The link, if it is served at an instant, and that instant: after it was looked for, which may take
/// long when its source is slow.
pub(super) async fn served(app: &App, code: &str) -> Result<(Resolved, DateTime<Utc>), Problem> {
    let path = LinkPath { domain: SERVICE_DOMAIN, code };
    let found = app.links.resolve(path, app.clock.now()).await?;
    let (found, now) = (found.ok_or_else(Problem::link_not_found)?, app.clock.now());
    let target = &found.target;
    let expired = target.expires_at.is_some_and(|expires_at| expires_at <= now);
    match target.state {
        LinkState::Deleted => Err(Problem::link_deleted()),
        LinkState::Expired => Err(gone_by_expiry()),
        _ if expired => Err(gone_by_expiry()),
        LinkState::Disabled => Err(app.disabled_problem()),
        LinkState::Active => Ok((found, now)),
    }
}

fn gone_by_expiry() -> Problem {
    Problem::new(StatusCode::GONE, "link_expired", "the link has expired")
}

/// The redirect is answered when its click is as safe as the settings ask for.
async fn record(
    app: &App,
    (peer, now): (IpAddr, DateTime<Utc>),
    request: &Parts,
    target: &Arc<Target>,
) -> Result<(), Problem> {
    let headers = &request.headers;
    let address = client_address(peer, headers, &app.trusted_proxies);
    let raw = (&request.method, request.uri.query(), headers);
    let visit = Visit::new(Arc::clone(target), now, Some(address), raw);
    app.clicks.record(visit).await.map_err(Problem::from)
}

fn redirect(app: &App, found: &Resolved) -> Result<Response, Problem> {
    let target = &*found.target;
    let location = HeaderValue::from_maybe_shared(target.location.clone());
    let location = location.map_err(|_| Problem::internal())?;
    let status = StatusCode::from_u16(target.redirect.into()).map_err(|_| Problem::internal())?;
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::LOCATION, location);
    if found.is_stale {
        // Nobody may keep for longer what may have changed already.
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(STALE, HeaderValue::from_static("true"));
    } else {
        headers.insert(header::CACHE_CONTROL, app.redirect_cache_control(target));
    }
    Ok(response)
}

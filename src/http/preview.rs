//! `GET /{code}+`: where a link leads, without a click.

use std::net::IpAddr;

use axum::Json;
use axum::http::header;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use hoplog_events::envelope::rfc3339;
use serde::Serialize;
use utoipa::ToSchema;

use super::origin::Origin;
use super::page;
use super::problem::Problem;
use super::visit::{NotServed, served};
use crate::app::App;
use crate::queries::resolve_link::Resolved;

/// Where a link leads.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Preview {
    /// The short link.
    short_url: String,
    /// Where it leads; `null`: it asks for a password first.
    url: Option<String>,
    /// Whether it does.
    has_password: bool,
    /// Since when there is such a link (RFC 3339, UTC).
    created_at: String,
    /// When it ends (RFC 3339, UTC); `null`: it does not.
    expires_at: Option<String>,
    /// The status of its redirects.
    redirect: u16,
}

/// Says where a link leads, without counting a click.
#[utoipa::path(
    get, path = "/{code}+", tag = "redirect",
    params(("code" = String, Path, description = "a link's code")),
    responses(
        (status = 200, description = "where the link leads; a page for browsers", body = Preview),
        (status = 404, description = "there is no such link", body = Problem, content_type = "application/problem+json"),
        (status = 410, description = "the link expired or was deleted", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "too many requests, or too many codes that nobody has, from one address; Retry-After says when to come back", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn preview(
    app: &App,
    address: IpAddr,
    request: &Parts,
    code: &str,
) -> Result<Response, NotServed> {
    let (Resolved { target, .. }, _) = served(app, (&request.method, address), code).await?;
    let short_url = Origin::of(app, request).short_url(&target.key.code);
    let has_password = target.password().is_some();
    if page::wants_html(&request.headers) {
        if has_password {
            return Ok(page::preview_locked(&short_url, &rfc3339(target.created_at)));
        }
        return Ok(page::preview(&short_url, target.url.as_str(), &rfc3339(target.created_at)));
    }
    let answer = Preview {
        short_url,
        url: (!has_password).then(|| target.url.as_str().to_owned()),
        has_password,
        created_at: rfc3339(target.created_at),
        expires_at: target.expires_at.map(rfc3339),
        redirect: target.redirect.into(),
    };
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(answer)).into_response())
}

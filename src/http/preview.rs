//! `GET /{code}+`: where a link leads, without a click.

use std::net::IpAddr;

use axum::Json;
use axum::http::header;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use hoplog_events::envelope::rfc3339;
use hoplog_events::link::Destination;
use serde::Serialize;
use utoipa::ToSchema;

use super::origin::Origin;
use super::page::{self, Told};
use super::problem::Problem;
use super::visit::asking::choose;
use super::visit::{NotServed, served};
use crate::app::App;
use crate::domain::choice::Choice;
use crate::domain::link::Requester;
use crate::queries::resolve_link::{Resolved, Target};

mod safety;

pub use safety::Safety;

/// Where a link leads.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_excessive_bools, reason = "each is a field of the answer")]
pub struct Preview {
    /// The short link.
    short_url: String,
    /// Where it leads; `null`: that is told to nobody who does not follow it.
    url: Option<String>,
    /// What the page there calls itself; `null`: nobody has looked, or the link has a title of its owner's.
    title: Option<String>,
    /// How safe that is, as far as its address tells; `null`: it is not told.
    safety: Option<Safety>,
    /// Whether it does.
    has_password: bool,
    /// Whether it can be followed so many times only.
    has_max_clicks: bool,
    /// Whether it leads others elsewhere: `url` is where it leads whoever asks.
    has_rules: bool,
    /// Whether it shares its visitors among several destinations: `url` is then that of whoever asks.
    has_split: bool,
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
        (status = 410, description = "the link expired, was deleted, or has been followed as often as it may be", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "too many requests, or too many codes that nobody has, from one address; Retry-After says when to come back", body = Problem, content_type = "application/problem+json"),
        (status = 451, description = "the link is in quarantine; a page for browsers", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn preview(
    app: &App,
    address: IpAddr,
    request: &Parts,
    code: &str,
) -> Result<Response, NotServed> {
    let (Resolved { target, .. }, now) = served(app, address, request, code).await?;
    let choice = choose(app, (address, now), (&request.method, request), &target);
    let title = fetched_title(app, &target, choice).await;
    Ok(of(app, request, (&target, choice), title.as_deref()))
}

/// What the destination calls itself, if it is told and that is it. Redirects do not know it, so the read model is asked; while
/// that is away, or others ask it the same already, nothing is told: redirects and commands need it more.
async fn fetched_title(app: &App, target: &Target, choice: Choice) -> Option<String> {
    if target.is_guarded() || choice.elsewhere(target.extras.as_deref()).is_some() {
        return None;
    }
    let _place = app.titles_told.as_ref()?.try_acquire().ok()?;
    let link = app.find_link(&target.key, &Requester::Admin).await.ok()?;
    link.extras.fetched_title.filter(|_| link.url == target.url).map(Into::into)
}

/// What everybody may know of a link, and of where this choice leads. `title`: what the page there calls itself.
pub(super) fn of(
    app: &App,
    request: &Parts,
    (target, choice): (&Target, Choice),
    title: Option<&str>,
) -> Response {
    let short_url = Origin::of(app, request).short_url(&target.key);
    let (has_password, has_max_clicks) = (target.password().is_some(), target.is_limited());
    let url = (!target.is_guarded()).then(|| target.destination(choice));
    let safety = url.map(|url| Safety::of(app, url));
    let url = url.map(Destination::as_str);
    let created_at = rfc3339(target.created_at);
    if page::wants_html(&request.headers) {
        return match url.zip(safety.as_ref()) {
            Some((destination, safety)) => {
                let told = Told { destination, title, leads_apart: target.leads_apart(), safety };
                page::preview(&short_url, told, &created_at)
            }
            None if has_password => page::preview_locked(&short_url, &created_at),
            None => page::preview_limited(&short_url, &created_at),
        };
    }
    let extras = target.extras.as_deref();
    let answer = Preview {
        short_url,
        url: url.map(str::to_owned),
        title: title.map(str::to_owned),
        safety,
        has_password,
        has_max_clicks,
        has_rules: extras.is_some_and(|extras| !extras.rules.is_empty()),
        has_split: extras.is_some_and(|extras| !extras.split.is_empty()),
        created_at,
        expires_at: target.expires_at.map(rfc3339),
        redirect: target.redirect.into(),
    };
    ([(header::CACHE_CONTROL, "no-store")], Json(answer)).into_response()
}

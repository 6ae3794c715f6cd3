//! `/report/{code}`: where anybody says that a link does harm. Who says so is kept nowhere.

use std::net::IpAddr;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Method, Uri, header};
use axum::response::Response;
use hoplog_events::link::{LinkKey, ReportCategory, Statement, UnknownCategory};
use serde::Deserialize;
use utoipa::ToSchema;

use super::body::form_fields;
use super::limits::{ClientAddress, quota_exceeded};
use super::origin::{Origin, authority};
use super::page;
use super::path::Segment;
use super::problem::{FieldError, Problem};
use super::roles::wrong_role;
use super::site::Site;
use crate::app::{App, AppState};
use crate::config::Role;
use crate::limits::Refused;

/// The largest form, in bytes: a text of 2,000 characters, each written as four times `%XX`, and the rest.
const FORM_BYTES_MAX: usize = 32 * 1024;

/// What a browser says of who made it send a request.
const SEC_FETCH_SITE: &str = "sec-fetch-site";

/// The form, for the contract.
#[derive(Debug, Deserialize, ToSchema)]
#[expect(dead_code, reason = "describes the form; the values are read by their names")]
pub struct ReportForm {
    /// What harm: phishing, malware, spam or other.
    #[schema(example = "phishing")]
    category: String,
    /// What else there is to say: at most 2,000 characters. The link's owner may read it.
    text: Option<String>,
}

/// The page with the form. Whether there is such a link is not looked at.
#[utoipa::path(
    get, path = "/report/{code}", tag = "redirect",
    params(("code" = String, Path, description = "a link's code")),
    responses(
        (status = 200, description = "a page with a form", content_type = "text/html", body = String),
        (status = 404, description = "there can't be such a link", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn report_form(
    origin: Origin,
    site: Site,
    Segment(code): Segment,
    headers: HeaderMap,
) -> Response {
    match site.link(&code) {
        Ok(key) => page::report(&origin.short_url(&key)),
        Err(problem) => page::problem_for_visitor(problem, &headers),
    }
}

/// Reports a link.
#[utoipa::path(
    post, path = "/report/{code}", tag = "redirect",
    params(("code" = String, Path, description = "a link's code")),
    request_body(content = ReportForm, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "the report is on the log, unless there are a hundred since an administrator looked", content_type = "text/html", body = String),
        (status = 400, description = "the form did not arrive whole", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "there is no such link", body = Problem, content_type = "application/problem+json"),
        (status = 408, description = "the form did not arrive in time", body = Problem, content_type = "application/problem+json"),
        (status = 410, description = "the link was deleted", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "no such form has more than 32 KiB", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "not a form", body = Problem, content_type = "application/problem+json"),
        (status = 421, description = "this copy does not do such work", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "some fields are wrong", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "too many reports from one address, or of one link, or too many of codes that nobody has; Retry-After says when to come back", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "the log is away", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn report(
    State(app): State<AppState>,
    ClientAddress(address): ClientAddress,
    (origin, site): (Origin, Site),
    Segment(code): Segment,
    (headers, uri): (HeaderMap, Uri),
    body: Body,
) -> Response {
    // Another site does not report by the hands of its visitors: they are shown what they would say.
    if !is_own(&origin, (&headers, &uri)) {
        return report_form(origin, site, Segment(code), headers).await;
    }
    let taken = take(&app, address, site.link(&code), (&headers, body)).await;
    match taken {
        Ok(()) => page::reported(),
        Err(problem) => page::problem_for_visitor(problem, &headers),
    }
}

/// Whether a form is of our own page, as far as a browser says: those of before `Sec-Fetch-Site`, and all over plain http,
/// say the origin only. Programs say neither.
fn is_own(origin: &Origin, (headers, uri): (&HeaderMap, &Uri)) -> bool {
    if let Some(site) = headers.get(SEC_FETCH_SITE) {
        return site == "same-origin" || site == "none";
    }
    let Some(from) = headers.get(header::ORIGIN) else { return true };
    let from = from.to_str().ok().and_then(|from| from.split_once("://"));
    let mut own =
        [Some(origin.scheme_and_authority().1), authority(headers, uri)].into_iter().flatten();
    from.is_some_and(|(_, from)| own.any(|own| own.eq_ignore_ascii_case(from)))
}

async fn take(
    app: &App,
    address: IpAddr,
    key: Result<LinkKey, Problem>,
    (headers, body): (&HeaderMap, Body),
) -> Result<(), Problem> {
    if !app.roles.has(Role::Command) {
        return Err(wrong_role(app, Role::Command));
    }
    let key = key?;
    let fields = form_fields(app, headers, body, FORM_BYTES_MAX).await?;
    let (category, text) = parse(&fields)?;
    charge(app, address, &key).await?;
    let era = app.links.era();
    let threshold = app.abuse.reports_to_quarantine;
    let now = app.clock.now();
    let outcome = app.commands.report_link(&key, (category, text, threshold), now).await?;
    app.links.remember(era, outcome.link, outcome.position, now);
    Ok(())
}

/// Only what is a report of a link that is there counts as one: else nobody could report a link that somebody sends nonsense
/// for. Who names links that are nobody's pays as for a visit.
async fn charge(app: &App, address: IpAddr, key: &LinkKey) -> Result<(), Problem> {
    let refused = |refused| match refused {
        Refused::Until(after) => quota_exceeded("too many reports", after),
        Refused::Uncharged => Problem::internal(),
    };
    let who = (&Method::POST, address);
    let look = app.limits.may_look(who.0, who.1).map_err(refused)?;
    if app.links.look_up(key, app.clock.now()).await?.is_none() {
        app.limits.found_nobody(look).await.map_err(refused)?;
        return Err(Problem::link_not_found());
    }
    app.limits.found(look);
    app.limits.may_report(who, &key.to_string()).await.map_err(refused)
}

fn parse(fields: &[(String, String)]) -> Result<(ReportCategory, Option<Statement>), Problem> {
    let field =
        |name: &str| fields.iter().find(|(field, _)| field == name).map(|(_, text)| text.trim());
    let wrong = |name: &str, detail: String| {
        let error = FieldError { pointer: format!("/{name}"), code: "invalid", detail };
        Problem::validation(vec![error])
    };
    let category = field("category").unwrap_or_default().parse();
    let category =
        category.map_err(|error: UnknownCategory| wrong("category", error.to_string()))?;
    // Browsers end lines of a text with both.
    let text = field("text").filter(|text| !text.is_empty()).map(|text| text.replace("\r\n", "\n"));
    let text = text.map(|text| text.parse::<Statement>()).transpose();
    Ok((category, text.map_err(|error| wrong("text", error.to_string()))?))
}

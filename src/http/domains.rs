//! `/api/v1/domains`: the hosts that links live on.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use hoplog_events::domain::DomainSettings;
use hoplog_events::link::{Domain, SERVICE_DOMAIN};
use serde::Serialize;
use utoipa::ToSchema;

use super::auth::LinksReader;
use super::fields::NoParameters;
use super::headers::{HOPLOG_POSITION, ascii};
use super::links::answer::optional_instant;
use super::origin::Origin;
use super::path::Segment;
use super::problem::{FieldError, Problem};
use crate::app::{App, AppState};
use crate::commands::manage_domain::{ManageDomainError, Managed};
use crate::domain::domains::{DomainError, DomainField, HostName, LinkDomain};
use crate::execute::ExecuteError;

pub mod change;
mod request;

/// A domain.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DomainAnswer {
    /// Its name: its host, or `default` for the service's own.
    #[schema(example = "go.example.com")]
    name: String,
    /// The host that its short links are shown with.
    #[schema(example = "go.example.com")]
    host: String,
    /// Where the bare host leads; `null`: nowhere.
    default_url: Option<String>,
    /// Where codes lead that nobody has; `null`: visitors are told so.
    not_found_url: Option<String>,
    /// Its `robots.txt`; `null`: there is none.
    robots: Option<String>,
    /// The status of the redirect of the bare host, and of new links that name none; `null`: 302.
    redirect: Option<u16>,
    /// When it was added; `null`: it was always there.
    #[serde(serialize_with = "optional_instant")]
    #[schema(value_type = Option<String>, format = DateTime)]
    created_at: Option<DateTime<Utc>>,
}

/// All domains.
#[derive(Debug, Serialize, ToSchema)]
pub struct DomainList {
    /// The service's own first, the others by name.
    data: Vec<DomainAnswer>,
}

impl DomainAnswer {
    fn new(domain: &LinkDomain, origin: &Origin) -> Self {
        let LinkDomain { name, settings, added_at, .. } = domain;
        let DomainSettings { default_url, not_found_url, robots, redirect } = settings.clone();
        Self {
            name: name.to_string(),
            host: origin.host_of(name).to_owned(),
            default_url: default_url.map(Into::into),
            not_found_url: not_found_url.map(Into::into),
            robots: robots.map(Into::into),
            redirect: redirect.map(u16::from),
            created_at: Some(*added_at).filter(|_| !name.is_service()),
        }
    }

    /// The service's own, of which nothing was ever set.
    fn unset(origin: &Origin) -> Self {
        Self {
            name: SERVICE_DOMAIN.to_owned(),
            host: origin.host().to_owned(),
            default_url: None,
            not_found_url: None,
            robots: None,
            redirect: None,
            created_at: None,
        }
    }

    fn of(domain: Option<&LinkDomain>, origin: &Origin) -> Self {
        domain.map_or_else(|| Self::unset(origin), |domain| Self::new(domain, origin))
    }
}

/// The domains that links can live on.
#[utoipa::path(
    get, path = "/api/v1/domains", tag = "domains",
    responses((status = 200, description = "all of them", body = DomainList)),
)]
pub async fn list_domains(
    State(app): State<AppState>,
    _: LinksReader,
    _: NoParameters,
    origin: Origin,
) -> Json<DomainList> {
    let domains = app.keys.domains().now();
    let own = DomainAnswer::of(domains.own().map(AsRef::as_ref), &origin);
    let there = domains.there();
    let others = there.iter().map(|domain| DomainAnswer::new(domain, &origin));
    Json(DomainList { data: std::iter::once(own).chain(others).collect() })
}

/// One domain.
#[utoipa::path(
    get, path = "/api/v1/domains/{name}", tag = "domains",
    params(("name" = String, Path, description = "the domain's host name; `default`: the service's own")),
    responses(
        (status = 200, description = "the domain", body = DomainAnswer),
        (status = 404, description = "there is no such domain", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn show_domain(
    State(app): State<AppState>,
    _: LinksReader,
    Segment(name): Segment,
    _: NoParameters,
    origin: Origin,
) -> Result<Json<DomainAnswer>, Problem> {
    let name = parse(&name, &origin)?;
    let domains = app.keys.domains().now();
    if name.is_service() {
        return Ok(Json(DomainAnswer::of(domains.own().map(AsRef::as_ref), &origin)));
    }
    let there = domains.other(name.as_str()).filter(|domain| !domain.is_removed);
    let domain = there.ok_or(DomainError::NotFound)?;
    Ok(Json(DomainAnswer::new(domain, &origin)))
}

/// The domain that a path names.
fn parse(name: &str, origin: &Origin) -> Result<Domain, Problem> {
    if name == SERVICE_DOMAIN || name.eq_ignore_ascii_case(origin.host()) {
        return Ok(Domain::service());
    }
    let HostName(name) = name.parse().map_err(|_| DomainError::NotFound)?;
    Ok(name)
}

/// The answer to a command, when this node knows what it led to.
async fn answer(app: &App, status: StatusCode, managed: &Managed, origin: &Origin) -> Response {
    let answer = DomainAnswer::of(managed.domain.as_ref(), origin);
    let mut response = (status, Json(answer)).into_response();
    if status == StatusCode::NO_CONTENT {
        response = status.into_response();
    }
    let Some(position) = managed.position else { return response };
    // It is done: that this node is a moment behind is no reason for an error.
    if let Err(error) = app.keys.catch_up(&app.log, position.sequence).await {
        tracing::warn!(%error, "a domain is not known on this node yet");
    }
    response.headers_mut().insert(HOPLOG_POSITION, ascii(&position.to_string()));
    if status == StatusCode::CREATED {
        let name = managed.domain.as_ref().map(|domain| domain.name.as_str());
        let location = format!("/api/v1/domains/{}", name.unwrap_or_default());
        response.headers_mut().insert(header::LOCATION, ascii(&location));
    }
    response
}

impl From<DomainError> for Problem {
    fn from(error: DomainError) -> Self {
        let detail = error.to_string();
        let of_field = |field, code, detail| {
            let pointer = match field {
                DomainField::DefaultUrl => "/defaultUrl",
                DomainField::NotFoundUrl => "/notFoundUrl",
            };
            wrong(pointer, code, detail)
        };
        match error {
            DomainError::NotFound => Self::new(StatusCode::NOT_FOUND, "domain_not_found", detail),
            DomainError::Taken(_) => Self::new(StatusCode::CONFLICT, "domain_taken", detail),
            DomainError::TooMany => Self::new(StatusCode::CONFLICT, "too_many_domains", detail),
            DomainError::Own => Self::new(StatusCode::CONFLICT, "own_domain", detail),
            DomainError::OwnHost => wrong("/name", "own_domain", detail),
            DomainError::Loop(field) => of_field(field, "loop", detail),
            DomainError::Blocked { field, .. } => of_field(field, "destination_blocked", detail),
        }
    }
}

fn wrong(pointer: &str, code: &'static str, detail: String) -> Problem {
    Problem::validation(vec![FieldError { pointer: pointer.to_owned(), code, detail }])
}

impl From<ManageDomainError> for Problem {
    fn from(error: ManageDomainError) -> Self {
        let error = match error {
            ManageDomainError::Refused(refused) => return refused.into(),
            ManageDomainError::IdempotencyKeyReused => ExecuteError::IdempotencyKeyReused,
            ManageDomainError::Contended => ExecuteError::Contended,
            ManageDomainError::Unavailable(reason) => ExecuteError::Unavailable(reason),
            ManageDomainError::Unreadable(error) => ExecuteError::Unreadable(error),
        };
        error.into()
    }
}

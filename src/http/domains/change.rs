//! `POST`, `PATCH` and `DELETE` of domains: for administrators.

use axum::extract::{FromRequestParts, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Response;
use hoplog_events::link::Domain;
use utoipa::IntoParams;
use utoipa::openapi::path::{Parameter, ParameterIn};

use super::request::{DomainPatchBody, NewDomainBody, edit, new};
use super::{DomainAnswer, answer, parse};
use crate::accounts::Principal;
use crate::app::{App, AppState};
use crate::commands::IdempotencyKey;
use crate::commands::manage_domain::Managed;
use crate::domain::domains::DomainCommand;
use crate::http::auth::Administrator;
use crate::http::body::JsonObject;
use crate::http::fields::NoParameters;
use crate::http::headers::{Idempotency, RequestId};
use crate::http::origin::Origin;
use crate::http::path::Segment;
use crate::http::problem::Problem;

/// Who does something with a domain, and in which request.
pub struct Change {
    principal: Principal,
    request_id: RequestId,
    origin: Origin,
    idempotency: Option<String>,
}

impl FromRequestParts<AppState> for Change {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &AppState) -> Result<Self, Problem> {
        let Administrator(principal) = Administrator::from_request_parts(parts, app).await?;
        let Idempotency(idempotency) = Idempotency::from_request_parts(parts, app).await?;
        let NoParameters = NoParameters::from_request_parts(parts, app).await?;
        // These two can't fail.
        let Ok(request_id) = RequestId::from_request_parts(parts, app).await;
        let Ok(origin) = Origin::from_request_parts(parts, app).await;
        Ok(Self { principal, request_id, origin, idempotency })
    }
}

impl IntoParams for Change {
    fn into_params(provider: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        Idempotency::into_params(provider)
    }
}

impl Change {
    async fn execute(
        self,
        app: &App,
        name: &Domain,
        what: &str,
        command: DomainCommand,
    ) -> Result<(Managed, Origin), Problem> {
        let issuer = app.issuer(&self.principal, self.request_id);
        let request = format!("domain {name}\n{what}");
        let idempotency = self.idempotency.map(|key| IdempotencyKey { key, request });
        let host = self.origin.asked_host();
        // A domain of ours, or what is to become one, is no host of the service's own for being asked for this.
        let host = host.strip_suffix('.').unwrap_or(host);
        let is_ours = name.as_str() == host || app.keys.domains().look().other(host).is_some();
        let host = (!is_ours).then_some(host);
        let (key, wanted) = (idempotency.as_ref(), (name, command));
        let managed = app.commands.manage_domain(&issuer, host, key, wanted).await?;
        Ok((managed, self.origin))
    }
}

/// Adds a domain that links can live on; one that was removed is there again, with its links.
///
/// It has to lead here already: the service asks nobody whose it is. The setting `HOPLOG_BASE_URL` has to say which host is
/// the service's own.
#[utoipa::path(
    post, path = "/api/v1/domains", tag = "domains",
    request_body = NewDomainBody,
    params(Change),
    responses(
        (status = 201, description = "the domain", body = DomainAnswer),
        (status = 409, description = "it is a domain already, there are as many as there may be, or the service does not know its own host (`no_base_url`)", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "some fields are wrong, or the idempotency key was used for another request", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn add_domain(
    State(app): State<AppState>,
    change: Change,
    body: JsonObject,
) -> Result<Response, Problem> {
    let what = serde_json::to_string(&body.0).unwrap_or_default();
    let mut fields = body.into_fields();
    let wanted = new(&mut fields);
    fields.finish().map_err(Problem::validation)?;
    let (name, settings) = wanted.ok_or_else(Problem::internal)?;
    if app.origin.is_none() {
        let detail =
            "set HOPLOG_BASE_URL first: with several domains the service has to know its own";
        return Err(Problem::new(StatusCode::CONFLICT, "no_base_url", detail));
    }
    let command = DomainCommand::Add(Box::new(settings));
    let (managed, origin) = change.execute(&app, &name, &what, command).await?;
    Ok(answer(&app, StatusCode::CREATED, &managed, &origin).await)
}

/// Changes what a domain answers (merge patch; `null` clears).
#[utoipa::path(
    patch, path = "/api/v1/domains/{name}", tag = "domains",
    request_body(content = DomainPatchBody, content_type = "application/merge-patch+json"),
    params(("name" = String, Path, description = "the domain's host name; `default`: the service's own"), Change),
    responses(
        (status = 200, description = "the domain now", body = DomainAnswer),
        (status = 404, description = "there is no such domain", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "some fields are wrong, or the idempotency key was used for another request", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn edit_domain(
    State(app): State<AppState>,
    change: Change,
    Segment(name): Segment,
    body: JsonObject,
) -> Result<Response, Problem> {
    let what = serde_json::to_string(&body.0).unwrap_or_default();
    let mut fields = body.into_fields();
    let edit = edit(&mut fields);
    fields.finish().map_err(Problem::validation)?;
    let name = parse(&name, &change.origin)?;
    let command = DomainCommand::Edit(Box::new(edit));
    let (managed, origin) = change.execute(&app, &name, &what, command).await?;
    Ok(answer(&app, StatusCode::OK, &managed, &origin).await)
}

/// Removes a domain: it answers nothing any more. Its links stay, their codes stay taken, and they can be read and deleted
/// still.
#[utoipa::path(
    delete, path = "/api/v1/domains/{name}", tag = "domains",
    params(("name" = String, Path, description = "the domain's host name"), Change),
    responses(
        (status = 204, description = "removed"),
        (status = 404, description = "there is no such domain", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "the service's own domain is always there", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "the idempotency key was used for another request", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn remove_domain(
    State(app): State<AppState>,
    change: Change,
    Segment(name): Segment,
) -> Result<Response, Problem> {
    let name = parse(&name, &change.origin)?;
    let (managed, origin) = change.execute(&app, &name, "remove", DomainCommand::Remove).await?;
    Ok(answer(&app, StatusCode::NO_CONTENT, &managed, &origin).await)
}

//! `PATCH`, `DELETE`, `…/disable` and `…/enable` of one link.

use std::collections::BTreeMap;

use axum::extract::{FromRequestParts, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use hoplog_events::link::{LinkKey, PasswordHash};
use hoplog_events::position::Version;
use utoipa::openapi::path::{Parameter, ParameterIn};
use utoipa::openapi::{self, RefOr};
use utoipa::{IntoParams, IntoResponses};

use super::answer::{LinkAnswer, respond};
use super::password;
use super::request::{LinkPatch, LinkPatchBody};
use crate::accounts::Principal;
use crate::app::{App, AppState};
use crate::commands::{IdempotencyKey, Issuer};
use crate::domain::link::LinkCommand;
use crate::domain::password::Password;
use crate::execute::Outcome;
use crate::http::auth::LinksWriter;
use crate::http::body::JsonObject;
use crate::http::contract::problems;
use crate::http::fields::Parameters;
use crate::http::headers::{HOPLOG_POSITION, Idempotency, IfMatch, RequestId, ascii};
use crate::http::origin::Origin;
use crate::http::path::LinkAt;
use crate::http::problem::Problem;
use crate::passwords::Lane;
use crate::queries::QueryFailure;

/// Who changes something, in which request, and on what condition.
pub struct Change {
    principal: Principal,
    request_id: RequestId,
    origin: Origin,
    if_match: IfMatch,
    idempotency: Option<String>,
}

impl FromRequestParts<AppState> for Change {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &AppState) -> Result<Self, Problem> {
        let LinksWriter(principal) = LinksWriter::from_request_parts(parts, app).await?;
        let Idempotency(idempotency) = Idempotency::from_request_parts(parts, app).await?;
        // A misspelled domain must not become the service's own.
        Parameters::of_link(parts.uri.query()).finish()?;
        let if_match = IfMatch::from_request_parts(parts, app).await?;
        // These two can't fail.
        let Ok(request_id) = RequestId::from_request_parts(parts, app).await;
        let Ok(origin) = Origin::from_request_parts(parts, app).await;
        Ok(Self { principal, request_id, origin, if_match, idempotency })
    }
}

impl IntoParams for Change {
    fn into_params(provider: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let mut params = Idempotency::into_params(&provider);
        params.extend(IfMatch::into_params(provider));
        params
    }
}

impl IntoResponses for Change {
    fn responses() -> BTreeMap<String, RefOr<openapi::Response>> {
        problems(&[
            ("404", "no such link of yours"),
            (
                "409",
                "another link of the same owner has the external id, or the link is in no quarantine",
            ),
            ("410", "the link was deleted"),
            ("412", "the link has changed"),
            ("422", "some fields are wrong, or the idempotency key was used for another request"),
        ])
    }
}

impl Change {
    /// Who wants it, under which key if it is to be done once, and at which versions. `request`: what
    /// is wanted, in one fixed spelling.
    pub(in crate::http) fn into_parts(
        self,
        app: &App,
        request: String,
    ) -> (Issuer, Option<IdempotencyKey>, Option<Vec<Version>>) {
        let issuer = app.issuer(&self.principal, self.request_id);
        let idempotency = self.idempotency.map(|key| IdempotencyKey { key, request });
        (issuer, idempotency, self.if_match.0)
    }

    async fn execute(
        self,
        app: &App,
        key: LinkKey,
        what: &str,
        command: LinkCommand,
    ) -> Result<(Outcome, Origin), Problem> {
        let request = format!("{key} {what}");
        let idempotency = self.idempotency.map(|key| IdempotencyKey { key, request });
        let issuer = app.issuer(&self.principal, self.request_id);
        let host = Some(self.origin.asked_host());
        let era = app.links.era();
        let outcome = app
            .commands
            .change_link(&issuer, host, idempotency.as_ref(), &key, self.if_match.0, command)
            .await?;
        if !outcome.repeated {
            app.links.remember(era, outcome.link.clone(), outcome.position, app.clock.now());
        }
        Ok((outcome, self.origin))
    }

    pub(super) async fn answer(
        self,
        app: &App,
        key: LinkKey,
        what: &str,
        command: LinkCommand,
    ) -> Result<Response, Problem> {
        let (outcome, origin) = self.execute(app, key, what, command).await?;
        Ok(tell(app, outcome, &origin).await)
    }

    /// The hash of a password that a link is to have. What it has now is asked for to change nothing where it
    /// is the same: who can't be asked is done without.
    async fn hash(
        &self,
        app: &App,
        key: &LinkKey,
        password: &Password,
    ) -> Result<PasswordHash, Problem> {
        let link = app.find_link(key, &self.principal.requester()).await;
        let before = match link {
            Ok(link) => link.extras.password,
            Err(QueryFailure::NotFound) => return Err(Problem::link_not_found()),
            Err(_) => None,
        };
        password::hash(app, Lane::Owner, password, before).await
    }
}

/// The change is made: an answer without the number of clicks is better than an error.
async fn tell(app: &App, outcome: Outcome, origin: &Origin) -> Response {
    let totals = app.totals_of(&outcome.link.key).await.unwrap_or_default();
    let answer = LinkAnswer::new(outcome.link, totals, origin, app.clock.now());
    respond(StatusCode::OK, answer, Some(outcome.position))
}

/// Changes some properties of a link (merge patch; `null` clears).
#[utoipa::path(
    patch, path = "/api/v1/links/{code}", tag = "links",
    request_body(content = LinkPatchBody, content_type = "application/merge-patch+json"),
    params(LinkAt, Change),
    responses((status = 200, description = "the link now", body = LinkAnswer), Change),
)]
pub async fn edit_link(
    State(app): State<AppState>,
    change: Change,
    LinkAt(key): LinkAt,
    body: JsonObject,
) -> Result<Response, Problem> {
    let what = password::spelled(&body.0);
    let mut fields = body.into_fields();
    let patch = LinkPatch::parse(&mut fields);
    fields.finish().map_err(Problem::validation)?;
    let Some(password) = patch.password().cloned() else {
        let edit = patch.into_edit(app.clock.now(), None);
        return change.answer(&app, key, &what, LinkCommand::Edit(Box::new(edit))).await;
    };
    let hash = change.hash(&app, &key, &password).await?;
    let edit = LinkCommand::Edit(Box::new(patch.into_edit(app.clock.now(), Some(hash))));
    let (outcome, origin) = change.execute(&app, key, &what, edit).await?;
    if outcome.repeated {
        password::check_repeated(&app, Lane::Owner, &password, &outcome.link).await?;
    }
    Ok(tell(&app, outcome, &origin).await)
}

/// Deletes a link. Its code stays taken for ever.
#[utoipa::path(
    delete, path = "/api/v1/links/{code}", tag = "links",
    params(LinkAt, Change),
    responses((status = 204, description = "deleted"), Change),
)]
pub async fn delete_link(
    State(app): State<AppState>,
    change: Change,
    LinkAt(key): LinkAt,
) -> Result<Response, Problem> {
    let (outcome, _) = change.execute(&app, key, "delete", LinkCommand::Delete).await?;
    let position = ascii(&outcome.position.to_string());
    Ok((StatusCode::NO_CONTENT, [(HOPLOG_POSITION, position)]).into_response())
}

/// Stops a link's redirects until it is enabled.
#[utoipa::path(
    post, path = "/api/v1/links/{code}/disable", tag = "links",
    params(LinkAt, Change),
    responses((status = 200, description = "the link now", body = LinkAnswer), Change),
)]
pub async fn disable_link(
    State(app): State<AppState>,
    change: Change,
    LinkAt(key): LinkAt,
) -> Result<Response, Problem> {
    change.answer(&app, key, "disable", LinkCommand::Disable).await
}

/// Lets a disabled link redirect again.
#[utoipa::path(
    post, path = "/api/v1/links/{code}/enable", tag = "links",
    params(LinkAt, Change),
    responses((status = 200, description = "the link now", body = LinkAnswer), Change),
)]
pub async fn enable_link(
    State(app): State<AppState>,
    change: Change,
    LinkAt(key): LinkAt,
) -> Result<Response, Problem> {
    change.answer(&app, key, "enable", LinkCommand::Enable).await
}

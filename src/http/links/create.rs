//! `POST /api/v1/links`.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use hoplog_events::link::Domain;
use hoplog_events::position::Position;
use hoplog_projections::click_statistics::ClickTotals as Totals;
use serde_json::Value;

use super::answer::{LinkAnswer, respond};
use super::password;
use super::place::{DOMAIN, Places};
use super::request::{LinkPatch, NewLink, NewLinkBody};
use super::reuse::find_or_create;
use crate::app::{App, AppState};
use crate::commands::create_link::WantedLink;
use crate::commands::external_id::Upserted;
use crate::commands::{IdempotencyKey, Issuer};
use crate::domain::link::Link;
use crate::execute::Outcome;
use crate::http::auth::LinksWriter;
use crate::http::body::JsonObject;
use crate::http::headers::{Idempotency, RequestId};
use crate::http::origin::Origin;
use crate::http::problem::Problem;
use crate::passwords::Lane;
use crate::queries::resolve_link::Era;

/// Creates a link.
///
/// The answer is 201 when the link's event is on disk; 200 when `reuse` found one, or `upsert` changed one.
#[utoipa::path(
    post, path = "/api/v1/links", tag = "links",
    request_body = NewLinkBody,
    params(Idempotency),
    responses(
        (status = 201, description = "created", body = LinkAnswer),
        (status = 200, description = "an existing link is reused, or changed by an upsert", body = LinkAnswer),
        (status = 409, description = "the alias or the external id is taken", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "some fields are wrong", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn create_link(
    State(app): State<AppState>,
    LinksWriter(principal): LinksWriter,
    Idempotency(key): Idempotency,
    request_id: RequestId,
    origin: Origin,
    places: Places,
    body: JsonObject,
) -> Result<Response, Problem> {
    let idempotency = key.map(|key| of_request(key, &body.0));
    let places =
        places.knowing(&app, body.0.get(DOMAIN).and_then(Value::as_str).into_iter()).await?;
    let mut fields = body.into_fields();
    let new = NewLink::parse(&mut fields, &places);
    fields.finish().map_err(Problem::validation)?;
    let issuer = app.issuer(&principal, request_id);
    let made = make(&app, &issuer, &origin, idempotency.as_ref(), (new, Lane::Owner)).await?;
    let status = made.status();
    let answer = LinkAnswer::new(made.link, made.totals, &origin, issuer.now);
    Ok(respond(status, answer, made.position))
}

/// The request under its key.
#[must_use]
pub fn of_request(key: String, body: &serde_json::Map<String, Value>) -> IdempotencyKey {
    IdempotencyKey { key, request: password::spelled(body) }
}

/// A link that was made or found.
#[derive(Debug)]
pub struct Made {
    /// The link.
    pub link: Link,
    /// Its clicks so far.
    pub totals: Totals,
    /// A query that waits for it sees the link like this.
    pub position: Option<Position>,
    /// It was there before.
    pub reused: bool,
    /// It was there before, and an upsert changed it.
    pub updated: bool,
    /// The same request was done before.
    pub repeated: bool,
}

impl Made {
    /// How it is answered.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        if self.reused || self.updated { StatusCode::OK } else { StatusCode::CREATED }
    }
}

/// Makes a link, or finds one where that will do. `None` for `new`: the mistakes are reported
/// already. `lane`: where its password is hashed.
///
/// # Errors
/// What the client has to know.
pub async fn make(
    app: &App,
    issuer: &Issuer,
    origin: &Origin,
    idempotency: Option<&IdempotencyKey>,
    (new, lane): (Option<NewLink>, Lane),
) -> Result<Made, Problem> {
    let mut new = new.ok_or_else(|| Problem::validation(Vec::new()))?;
    let Some(password) = new.password.take() else {
        return make_hashed(app, issuer, origin, idempotency, new).await;
    };
    let before = match (&new.update, &new.external_id) {
        (Some(_), Some(id)) => app.commands.link_with(&issuer.owner, (&new.domain, id)).await?,
        _ => None,
    };
    let before = before.and_then(|link| link.extras.password);
    new.extras.password = Some(password::hash(app, lane, &password, before).await?);
    let made = make_hashed(app, issuer, origin, idempotency, new).await?;
    if made.repeated {
        password::check_repeated(app, lane, &password, &made.link).await?;
    }
    Ok(made)
}

async fn make_hashed(
    app: &App,
    issuer: &Issuer,
    origin: &Origin,
    idempotency: Option<&IdempotencyKey>,
    new: NewLink,
) -> Result<Made, Problem> {
    let may_reuse = new.reuse && new.alias.is_none();
    if may_reuse && let Some(made) = made_before(app, issuer, idempotency, &new.domain).await? {
        return Ok(made);
    }
    let (wanted, update) = wanted(new, issuer);
    let host = Some(origin.asked_host());
    if may_reuse {
        return find_or_create(app, issuer, host, idempotency, wanted).await;
    }
    match update {
        Some(update) => upsert(app, issuer, host, idempotency, (wanted, *update)).await,
        None => create(app, issuer, host, idempotency, wanted).await,
    }
}

/// What the command is asked for, and what is wanted of a link that is there.
fn wanted(new: NewLink, issuer: &Issuer) -> (WantedLink, Option<Box<LinkPatch>>) {
    let wanted = WantedLink {
        domain: new.domain,
        alias: new.alias,
        url: new.url,
        expires_at: new.expiry.map(|expiry| expiry.instant(issuer.now)),
        redirect: new.redirect,
        title: new.title,
        tags: new.tags,
        note: new.note,
        external_id: new.external_id,
        extras: new.extras,
    };
    (wanted, new.update)
}

/// Tries whether a link could be made. `Some`: it was made before, by the same request. `None` for `new`: the
/// mistakes are reported already.
///
/// # Errors
/// What the client has to know.
pub(super) async fn try_out(
    app: &App,
    issuer: &Issuer,
    origin: &Origin,
    idempotency: Option<&IdempotencyKey>,
    new: Option<NewLink>,
) -> Result<Option<Link>, Problem> {
    let new = new.ok_or_else(|| Problem::validation(Vec::new()))?;
    let (wanted, _) = wanted(new, issuer);
    let host = Some(origin.asked_host());
    let done = app.commands.foresee_link(issuer, host, idempotency, &wanted).await?;
    Ok(done.map(|outcome| outcome.link))
}

/// Changes the link that has the external id, or makes it.
async fn upsert(
    app: &App,
    issuer: &Issuer,
    host: Option<&str>,
    idempotency: Option<&IdempotencyKey>,
    (wanted, update): (WantedLink, LinkPatch),
) -> Result<Made, Problem> {
    let external_id = wanted.external_id.clone();
    let external_id = external_id.ok_or_else(|| Problem::validation(Vec::new()))?;
    let edit = update.into_edit(issuer.now, wanted.extras.password.clone());
    let era = app.links.era();
    let upsert = app.commands.upsert_link(issuer, host, idempotency, (&external_id, wanted), edit);
    let (outcome, updated) = match upsert.await? {
        Upserted::Created(outcome) => (outcome, false),
        Upserted::Updated(outcome) => (outcome, true),
    };
    remember(app, era, &outcome);
    let Outcome { link, position, repeated, .. } = outcome;
    // The change is made: an answer without the number of clicks is better than an error.
    let totals = if updated {
        app.totals_of(&link.key).await.unwrap_or_default()
    } else {
        Totals::default()
    };
    Ok(Made { link, totals, position: Some(position), reused: false, updated, repeated })
}

/// A retry is answered as the command left the link; the cache must not go back to that.
fn remember(app: &App, era: Era, outcome: &Outcome) {
    if !outcome.repeated {
        app.links.remember(era, outcome.link.clone(), outcome.position, app.clock.now());
    }
}

/// Makes a link.
///
/// # Errors
/// What the client has to know.
pub(super) async fn create(
    app: &App,
    issuer: &Issuer,
    host: Option<&str>,
    idempotency: Option<&IdempotencyKey>,
    wanted: WantedLink,
) -> Result<Made, Problem> {
    let era = app.links.era();
    let outcome = app.commands.create_link(issuer, host, idempotency, wanted).await?;
    remember(app, era, &outcome);
    let (link, position) = (outcome.link, Some(outcome.position));
    let totals = Totals::default();
    Ok(Made { link, totals, position, reused: false, updated: false, repeated: outcome.repeated })
}

/// What the first of several requests under one key made.
async fn made_before(
    app: &App,
    issuer: &Issuer,
    idempotency: Option<&IdempotencyKey>,
    domain: &Domain,
) -> Result<Option<Made>, Problem> {
    let Some(key) = idempotency else { return Ok(None) };
    let outcome = app.commands.created_before(issuer, key, domain).await?;
    Ok(outcome.map(|Outcome { link, position, .. }| Made {
        link,
        totals: Totals::default(),
        position: Some(position),
        reused: false,
        updated: false,
        repeated: true,
    }))
}

//! `POST /api/v1/links/bulk`: many links in one request, an answer for each.

use std::collections::{HashMap, HashSet};

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use futures::stream::{self, StreamExt};
use hoplog_events::position::Position;
use hoplog_projections::click_statistics::ClickTotals as Totals;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::answer::LinkAnswer;
use super::create::{make, of_request, try_out};
use super::place::Places;
use super::request::{NewLink, NewLinkBody};
use crate::app::App;
use crate::app::AppState;
use crate::commands::Issuer;
use crate::domain::link::Link;
use crate::http::auth::LinksWriter;
use crate::http::body::{JsonText, List, ListField, object_of};
use crate::http::fields::Fields;
use crate::http::headers::{
    HOPLOG_POSITION, IDEMPOTENCY_KEY_CHARS_MAX, Idempotency, RequestId, ascii,
};
use crate::http::limits::ClientAddress;
use crate::http::limits::links::charge_links;
use crate::http::origin::Origin;
use crate::http::problem::{FieldError, Problem};
use crate::passwords::Lane;
use crate::ratelimit::Outcome;

/// Links in one request at most.
pub const BULK_LINKS_MAX: usize = 10_000;

/// The list in the body.
const LINKS: ListField = ListField { name: "links", items_max: BULK_LINKS_MAX };

/// Links with a password in one request at most: they are hashed one after the other, at about 15 ms each.
pub const BULK_PASSWORDS_MAX: usize = 1_000;

/// Links that are made at the same time: enough to fill the log's groups.
const CONCURRENCY: usize = 512;

/// The body of a bulk request, for the contract.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "describes the JSON; the values are read field by field")]
pub struct BulkBody {
    /// Up to 10,000 links. Each may have an `idempotencyKey` of its own.
    links: Vec<NewLinkBody>,
    /// Nothing is made: each result says what would become of the link, as far as that can be told. It is not told of
    /// two links of the same request that are in each other's way.
    dry_run: Option<bool>,
}

/// What became of the links, in their order.
#[derive(Debug, Serialize, ToSchema)]
pub struct BulkAnswer {
    /// One for each link.
    pub results: Vec<BulkResult>,
}

/// What became of one link.
#[derive(Debug, Serialize, ToSchema)]
pub struct BulkResult {
    /// The status it would have been answered with alone.
    pub status: u16,
    /// The link.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<LinkAnswer>,
    /// What was wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
    /// It was made by an earlier request with the same idempotency key.
    pub replayed: bool,
    #[serde(skip)]
    position: Option<Position>,
}

/// Creates up to 10,000 links. Each succeeds or fails for itself.
///
/// The idempotency key names the links by their place; a link's own `idempotencyKey` goes first.
#[utoipa::path(
    post, path = "/api/v1/links/bulk", tag = "links",
    request_body = BulkBody,
    params(Idempotency),
    responses(
        (status = 200, description = "a result for each link", body = BulkAnswer),
        (status = 422, description = "not a list of 1 to 10,000 links", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn create_links(
    State(app): State<AppState>,
    LinksWriter(principal): LinksWriter,
    address: ClientAddress,
    Idempotency(key): Idempotency,
    request_id: RequestId,
    origin: Origin,
    JsonText(body): JsonText,
) -> Result<Response, Response> {
    let List { items: links, mut fields } = LINKS.of(&body).map_err(IntoResponse::into_response)?;
    let is_dry = fields.flag("dryRun");
    fields.finish().map_err(|errors| Problem::validation(errors).into_response())?;
    let (turns, domains) = in_turn(&links).map_err(IntoResponse::into_response)?;
    let named = domains.iter().map(|name| &**name);
    let places = Places::of(&app, &origin).knowing(&app, named).await;
    let places = places.map_err(IntoResponse::into_response)?;
    let charged = charge_links(&app, address, &principal, links.len()).await?;
    let issuer = app.issuer(&principal, request_id);
    let run = Run { app: &app, issuer: &issuer, origin: &origin, places: &places, is_dry };
    let (run, key, links) = (&run, key.as_deref(), &*links);
    let turns: Vec<Vec<(usize, BulkResult)>> = stream::iter(turns)
        .map(|places| async move {
            let mut done = Vec::with_capacity(places.len());
            for place in places {
                let key = key.map(|key| format!("{key}#{place}"));
                let made = run.create_one(key, place, links[place]).await;
                done.push((place, made));
            }
            done
        })
        .buffer_unordered(CONCURRENCY)
        .collect()
        .await;
    let results = in_order(turns);
    let outcome = if is_dry { Outcome::Void } else { outcome(&results) };
    let mut response = respond(results);
    charged.ended(&app, outcome, &mut response);
    Ok(response)
}

/// What tells that links have to do with each other.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Named {
    external_id: Option<String>,
    password: Option<IgnoredAny>,
    domain: Option<Box<str>>,
}

/// The places of links that are made one after the other, and the domains that links name.
type Turns = (Vec<Vec<usize>>, HashSet<Box<str>>);

/// The places of the links, those with the same external id together: they are made in their order, so that the
/// last of them is what stays. All others can be made at the same time.
fn in_turn(links: &[&RawValue]) -> Result<Turns, Problem> {
    let (mut passwords, mut domains) = (0, HashSet::new());
    let mut turns: Vec<Vec<usize>> = Vec::with_capacity(links.len());
    let mut seen: HashMap<String, usize> = HashMap::new();
    for (place, link) in links.iter().enumerate() {
        // What can't be read is refused when its turn comes.
        let named = serde_json::from_str::<Named>(link.get()).ok();
        // Where a field stands twice, or something else is wrong, it may yet have one.
        passwords += usize::from(match &named {
            Some(named) => named.password.is_some(),
            None => {
                object_of(link).is_ok_and(|it| it.get("password").is_some_and(|it| !it.is_null()))
            }
        });
        let (external_id, domain) =
            named.map_or((None, None), |named| (named.external_id, named.domain));
        domains.extend(domain);
        let turn = match external_id {
            Some(external_id) => *seen.entry(external_id).or_insert(turns.len()),
            None => turns.len(),
        };
        match turns.get_mut(turn) {
            Some(places) => places.push(place),
            None => turns.push(vec![place]),
        }
    }
    if passwords > BULK_PASSWORDS_MAX {
        let detail = format!(
            "{passwords} links have a password; allowed are {BULK_PASSWORDS_MAX} in one request"
        );
        let (pointer, code) = ("/links".to_owned(), "too_many_passwords");
        return Err(Problem::validation(vec![FieldError { pointer, code, detail }]));
    }
    Ok((turns, domains))
}

/// The results in the order of the places.
fn in_order(turns: Vec<Vec<(usize, BulkResult)>>) -> Vec<BulkResult> {
    let mut results: Vec<(usize, BulkResult)> = turns.into_iter().flatten().collect();
    results.sort_unstable_by_key(|(place, _)| *place);
    results.into_iter().map(|(_, result)| result).collect()
}

/// How it ended for the limits: it succeeds if a link was made, and is void if all were made before, by a
/// request whose answer was lost.
fn outcome(results: &[BulkResult]) -> Outcome {
    if results.iter().all(|result| result.replayed) {
        Outcome::Void
    } else if results.iter().any(|result| result.problem.is_none()) {
        Outcome::Success
    } else {
        Outcome::Failure
    }
}

fn respond(results: Vec<BulkResult>) -> Response {
    let last = results.iter().filter_map(|result| result.position).max_by_key(|p| p.sequence);
    let mut response = Json(BulkAnswer { results }).into_response();
    if let Some(position) = last {
        response.headers_mut().insert(HOPLOG_POSITION, ascii(&position.to_string()));
    }
    response
}

/// What all links of a request have in common.
struct Run<'a> {
    app: &'a App,
    issuer: &'a Issuer,
    origin: &'a Origin,
    places: &'a Places,
    /// Whether nothing is to be made.
    is_dry: bool,
}

impl Run<'_> {
    async fn create_one(&self, key: Option<String>, place: usize, link: &RawValue) -> BulkResult {
        match self.try_create_one(key, link).await {
            Ok(result) => result,
            Err(problem) => BulkResult {
                status: problem.status().as_u16(),
                link: None,
                problem: Some(problem.with_pointers(|pointer| format!("/links/{place}{pointer}"))),
                replayed: false,
                position: None,
            },
        }
    }

    async fn try_create_one(
        &self,
        key: Option<String>,
        link: &RawValue,
    ) -> Result<BulkResult, Problem> {
        let Self { app, issuer, origin, places, is_dry } = *self;
        let mut object = object_of(link)?;
        let own_key = object.remove("idempotencyKey");
        let idempotency = own_key.as_ref().and_then(Value::as_str).map(str::to_owned).or(key);
        let idempotency = idempotency.map(|key| of_request(key, &object));
        let mut fields = Fields::new(String::new(), object);
        let is_key = |key: &Value| {
            key.as_str().is_some_and(|k| (1..=IDEMPOTENCY_KEY_CHARS_MAX).contains(&k.len()))
        };
        if own_key.is_some_and(|key| !is_key(&key)) {
            fields.wrong("idempotencyKey", "invalid", "must be a string of 1 to 255 characters");
        }
        let new = NewLink::parse(&mut fields, places);
        for (name, is_set) in [
            ("upsert", new.as_ref().is_some_and(|new| new.update.is_some())),
            ("reuse", new.as_ref().is_some_and(|new| new.reuse)),
        ] {
            if is_dry && is_set {
                fields.wrong(name, "conflict", "can't be given together with dryRun");
            }
        }
        fields.finish().map_err(Problem::validation)?;
        if is_dry {
            let done = try_out(app, issuer, origin, idempotency.as_ref(), new).await?;
            return Ok(BulkResult::foreseen(done, origin, issuer));
        }
        let made = make(app, issuer, origin, idempotency.as_ref(), (new, Lane::Bulk)).await?;
        let status = made.status();
        let link = LinkAnswer::new(made.link, made.totals, origin, issuer.now);
        let (link, replayed, position) = (Some(link), made.repeated || made.reused, made.position);
        Ok(BulkResult { status: status.as_u16(), link, problem: None, replayed, position })
    }
}

impl BulkResult {
    /// What a link would be answered with; `done`: it is there already.
    fn foreseen(done: Option<Link>, origin: &Origin, issuer: &Issuer) -> Self {
        let replayed = done.is_some();
        let link = done.map(|link| LinkAnswer::new(link, Totals::default(), origin, issuer.now));
        Self { status: StatusCode::CREATED.as_u16(), link, problem: None, replayed, position: None }
    }
}

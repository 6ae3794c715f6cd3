//! Limits at the edge: what a request to the API costs, how a refusal is answered, and keys that do not
//! work. The rules are in [`limits`](crate::limits), the layer in [`ratelimit`](crate::ratelimit).

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::auth::{Authentication, given_key};
use super::problem::{PROBLEM_JSON, Problem};
use crate::accounts::shown;
use crate::app::{App, AppState};
use crate::clicks::address::client_address;
use crate::limits::{ApiRequest, Asker, Refused, Verdict};
use crate::ratelimit::{
    Charge, ChargeError, Decision, Fields, Refusal, Standing, Terms, item_name, seconds_up,
};

pub mod check;
pub mod links;
pub mod policies;

/// The problem types of the draft.
const QUOTA_EXCEEDED: &str = "https://iana.org/assignments/http-problem-types#quota-exceeded";
const REDUCED_CAPACITY: &str =
    "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity";

/// All that a visitor is told.
const VISITOR_REFUSED: &str = r#"{"type":"https://iana.org/assignments/http-problem-types#quota-exceeded","status":429,"code":"rate_limited","title":"Too Many Requests","detail":"too many requests"}"#;

/// The other end of the connection, with requests to the API.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub IpAddr);

/// What the API charges.
#[derive(Debug)]
pub struct ApiTerms(pub AppState);

impl Terms<Body, Body> for ApiTerms {
    fn charges(&self, request: &Request) -> Result<Vec<Charge>, ChargeError> {
        let Some(route) = request.extensions().get::<MatchedPath>() else { return Ok(Vec::new()) };
        if !route.as_str().starts_with("/api/") {
            return Ok(Vec::new());
        }
        let address = address_of(&self.0, request);
        let principal = request.extensions().get().and_then(Authentication::principal);
        let asker = Asker { address, principal };
        let request = ApiRequest { method: request.method(), route: route.as_str(), asker };
        self.0.limits.api(&request)
    }

    fn refuse(&self, _: Request, refusal: Refusal<'_>) -> Response {
        match refusal {
            Refusal::Limited(charges, decision) => refused(charges, decision).into_response(),
            Refusal::Uncharged(error) => uncharged(error).into_response(),
        }
    }

    fn now_s(&self) -> u64 {
        now_s(&self.0)
    }

    fn decided(&self, charges: &[Charge], decision: &Decision, took: Duration) {
        self.0.limits.decided(charges, decision, took);
    }
}

/// Finds out whose key a request to the API carries, once for all who want to know. Too many keys that
/// do not work, from one address or with one beginning, are not looked at any more. Keys that this
/// service made have 178 random bits and can't be guessed: they work all the same, so that nobody locks
/// out their neighbour. The operator's own may be guessable, and is refused with the others.
pub async fn authenticate(
    State(app): State<AppState>,
    mut request: Request,
    next: Next,
) -> Response {
    if !request.uri().path().starts_with("/api/") {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    let authentication = Authentication::of(&parts, &app);
    if let Some(key) = given_key(&parts.headers)
        && let Some(refusal) = too_many_failures(&app, &parts, &authentication, key).await
    {
        return told(&app, refusal);
    }
    request = Request::from_parts(parts, body);
    request.extensions_mut().insert(authentication);
    next.run(request).await
}

/// The layer that tells how things stand does not see these answers.
fn told(app: &App, mut refusal: Response) -> Response {
    if let Some(fields) = refusal.extensions_mut().remove::<Fields>() {
        fields.write(refusal.headers_mut(), now_s(app));
    }
    refusal
}

/// Seconds since 1970.
fn now_s(app: &App) -> u64 {
    u64::try_from(app.clock.now().timestamp()).unwrap_or_default()
}

async fn too_many_failures(
    app: &App,
    parts: &Parts,
    authentication: &Authentication,
    key: &str,
) -> Option<Response> {
    let principal = authentication.principal();
    let asker = Asker { address: address_of_parts(app, parts), principal: None };
    let (who, prefix) = ((&parts.method, &asker), shown(key));
    let verdict = match principal {
        Some(principal) if principal.is_guessable() => {
            app.limits.auth_is_blocked(who, prefix).await
        }
        Some(_) => return None,
        None => app.limits.auth_failed(who, prefix).await,
    };
    match verdict {
        Ok(Some(verdict)) if !verdict.decision.is_allowed() => Some(verdict_refused(&verdict)),
        Ok(_) => None,
        Err(error) => Some(uncharged(&error).into_response()),
    }
}

fn verdict_refused(Verdict { charges, decision }: &Verdict) -> Response {
    let mut response = refused(charges, decision).into_response();
    response.extensions_mut().insert(Fields::of(charges, decision));
    response
}

/// The limits of these policies are reached; or they can't be asked, and let nobody pass then.
fn refused(charges: &[Charge], decision: &Decision) -> Problem {
    let after = decision.retry_after().map_or(1, seconds_up);
    let name = |place: usize| {
        let policy = charges.get(place)?.policy();
        let standing = decision.standings().iter().find(|standing| standing.charge() == place);
        Some(item_name(policy, standing.map(Standing::window)))
    };
    let names: Vec<String> = decision.refused_by().filter_map(name).collect();
    let list = names.join(", ");
    let problem = if decision.is_unavailable() {
        let detail =
            format!("the limits {list} can't be checked right now, and nothing passes without");
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "limits_unavailable", detail)
            .with_type(REDUCED_CAPACITY)
    } else {
        let detail = format!("too many requests for {list}; try again in {after} s");
        Problem::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", detail)
            .with_type(QUOTA_EXCEEDED)
    };
    problem.violating(names).with_header(header::RETRY_AFTER, HeaderValue::from(after))
}

/// What costs more than a limit ever allows is the request's mistake, the rest ours.
fn uncharged(error: &ChargeError) -> Problem {
    match error {
        ChargeError::AboveCapacity { .. } => {
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "cost_too_high", error.to_string())
        }
        error => {
            tracing::error!(%error, "a request can't be charged, and is refused");
            Problem::internal()
        }
    }
}

/// A visitor is refused: as short as can be, with nothing but when to come back.
#[must_use]
pub fn visitor_refused(refused: Refused) -> Response {
    let Refused::Until(after) = refused else { return Problem::internal().into_response() };
    let mut response = Response::new(Body::from(VISITOR_REFUSED));
    *response.status_mut() = StatusCode::TOO_MANY_REQUESTS;
    let headers = response.headers_mut();
    headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds_up(after)));
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// The same with a reason, for those who are told more.
#[must_use]
pub fn quota_exceeded(reason: &str, after: Duration) -> Problem {
    let after = seconds_up(after);
    let detail = format!("{reason}; try again in {after} s");
    Problem::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", detail)
        .with_type(QUOTA_EXCEEDED)
        .with_header(header::RETRY_AFTER, HeaderValue::from(after))
}

/// Where a request to the API comes from.
#[derive(Debug, Clone, Copy)]
pub struct ClientAddress(pub IpAddr);

impl axum::extract::FromRequestParts<AppState> for ClientAddress {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(
        parts: &mut Parts,
        app: &AppState,
    ) -> Result<Self, Self::Rejection> {
        Ok(Self(address_of_parts(app, parts)))
    }
}

fn address_of_parts(app: &App, parts: &Parts) -> IpAddr {
    let peer = parts.extensions.get::<Peer>();
    client(app, peer, &parts.headers)
}

fn address_of(app: &App, request: &Request) -> IpAddr {
    client(app, request.extensions().get::<Peer>(), request.headers())
}

/// The server always says who the peer is.
fn client(app: &App, peer: Option<&Peer>, headers: &axum::http::HeaderMap) -> IpAddr {
    let peer = peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.0);
    client_address(peer, headers, &app.trusted_proxies)
}

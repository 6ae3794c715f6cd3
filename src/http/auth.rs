//! Who is asking. One extractor per scope, so that a handler can't forget the check.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use hoplog_events::account::Scope;

use super::problem::Problem;
use crate::accounts::Principal;
use crate::app::AppState;

/// Reads `Authorization: Bearer …` and finds whose key it is.
fn authenticate(parts: &Parts, app: &AppState) -> Result<Principal, Problem> {
    let given = parts
        .headers
        .get(header::AUTHORIZATION)
        .ok_or_else(|| unauthorized("missing_key", "send Authorization: Bearer and an API key"))?;
    let key = given
        .to_str()
        .ok()
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, key)| key.trim());
    let unknown = || unauthorized("invalid_key", "the API key is unknown, revoked or expired");
    let key = key.ok_or_else(unknown)?;
    app.keys.authenticate(key, app.clock.now()).map_err(|_| unknown())
}

fn unauthorized(code: &'static str, detail: &str) -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, code, detail)
        .with_header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"hoplog\""))
}

fn require(principal: Principal, scope: Scope) -> Result<Principal, Problem> {
    if principal.can(scope) {
        return Ok(principal);
    }
    let detail = format!("the API key lacks the scope {}", scope.name());
    Err(Problem::new(StatusCode::FORBIDDEN, "missing_scope", detail))
}

macro_rules! scope_extractor {
    ($(#[$doc:meta])* $name:ident, $scope:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone)]
        pub struct $name(pub Principal);

        impl FromRequestParts<AppState> for $name {
            type Rejection = Problem;

            async fn from_request_parts(parts: &mut Parts, app: &AppState) -> Result<Self, Problem> {
                require(authenticate(parts, app)?, Scope::$scope).map(Self)
            }
        }
    };
}

scope_extractor! {
    /// A key with `links:read`.
    LinksReader, LinksRead
}
scope_extractor! {
    /// A key with `links:write`.
    LinksWriter, LinksWrite
}
scope_extractor! {
    /// A key with `stats:read`.
    StatsReader, StatsRead
}
scope_extractor! {
    /// A key with `events:read`.
    EventsReader, EventsRead
}
scope_extractor! {
    /// A key with `webhooks`.
    WebhookKeeper, Webhooks
}
scope_extractor! {
    /// A key with `admin`.
    Administrator, Admin
}

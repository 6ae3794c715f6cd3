//! Who is asking. One extractor per scope, so that a handler can't forget the check.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use hoplog_events::account::Scope;

use super::problem::Problem;
use crate::accounts::Principal;
use crate::app::{App, AppState};

/// Whose key a request carries, found out once for all who want to know.
#[derive(Debug, Clone)]
pub struct Authentication(Result<Principal, Problem>);

impl Authentication {
    /// Reads `Authorization: Bearer …` and finds whose key it is.
    #[must_use]
    pub fn of(parts: &Parts, app: &App) -> Self {
        let Some(key) = given_key(&parts.headers) else {
            let detail = "send Authorization: Bearer and an API key";
            return Self(Err(unauthorized("missing_key", detail)));
        };
        let unknown = || unauthorized("invalid_key", "the API key is unknown, revoked or expired");
        Self(app.keys.authenticate(key, app.clock.now()).map_err(|_| unknown()))
    }

    /// Whose it is, if it works.
    #[must_use]
    pub fn principal(&self) -> Option<&Principal> {
        self.0.as_ref().ok()
    }
}

/// The key in `Authorization: Bearer …`; what is there and no such thing is a key that is empty.
#[must_use]
pub fn given_key(headers: &HeaderMap) -> Option<&str> {
    let given = headers.get(header::AUTHORIZATION)?;
    let bearer = given
        .to_str()
        .ok()
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    Some(bearer.map_or("", |(_, key)| key.trim()))
}

fn authenticate(parts: &Parts, app: &App) -> Result<Principal, Problem> {
    match parts.extensions.get() {
        Some(Authentication(done)) => done.clone(),
        None => Authentication::of(parts, app).0,
    }
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
    /// A key with `ratelimit`.
    LimitAsker, RateLimit
}
scope_extractor! {
    /// A key with `admin`.
    Administrator, Admin
}

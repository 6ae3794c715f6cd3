//! What a copy of the program is not there for.

use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::problem::Problem;
use crate::app::{App, AppState};
use crate::config::Role;

/// Refuses what this copy has no role for, before anything is done.
pub async fn guard(State(app): State<AppState>, request: Request, next: Next) -> Response {
    match needed(request.method(), request.uri().path()) {
        Some(role) if !app.roles.has(role) => wrong_role(&app, role).into_response(),
        _ => next.run(request).await,
    }
}

/// The request belongs to a copy with another role.
#[must_use]
pub fn wrong_role(app: &App, role: Role) -> Problem {
    let detail = format!(
        "this copy has the roles {}; the request is for one with the role {}",
        app.roles,
        role.name()
    );
    Problem::new(StatusCode::MISDIRECTED_REQUEST, "wrong_role", detail)
}

/// The role a route of the API needs. Health, metrics and documentation need none, and every
/// copy can tell how the projections are, and what the limits say.
fn needed(method: &Method, path: &str) -> Option<Role> {
    let asks = matches!(*method, Method::GET | Method::HEAD);
    match path.strip_prefix("/api/")? {
        projections if projections.starts_with("v1/projections") => {
            (!asks).then_some(Role::Projector)
        }
        limits if limits.starts_with("v1/ratelimit/") => None,
        _ if asks => Some(Role::Query),
        _ => Some(Role::Command),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_need_the_role_that_does_their_work() {
        for (method, path, role) in [
            (Method::POST, "/api/v1/links", Some(Role::Command)),
            (Method::DELETE, "/api/v1/links/a", Some(Role::Command)),
            (Method::GET, "/api/v1/links/a", Some(Role::Query)),
            (Method::GET, "/api/analytics/a", Some(Role::Query)),
            (Method::POST, "/api/shorten", Some(Role::Command)),
            (Method::GET, "/api/v1/projections", None),
            (Method::POST, "/api/v1/ratelimit/check", None),
            (Method::POST, "/api/v1/projections/clicks/rebuild", Some(Role::Projector)),
            (Method::GET, "/health/ready", None),
            (Method::GET, "/metrics", None),
        ] {
            assert_eq!(needed(&method, path), role, "{method} {path}");
        }
    }
}

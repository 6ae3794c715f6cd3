//! Visitors of codes that nobody has, where their domain has something else for them.

use axum::http::request::Parts;
use axum::response::Response;

use super::NotServed;
use crate::app::App;
use crate::http::site::in_place_of_a_link;

/// What a visitor is told who is not served.
pub(super) fn told(app: &App, request: &Parts, not_served: NotServed) -> Response {
    let instead = match &not_served {
        NotServed::Lost(lost) if lost.1.code() == "link_not_found" => {
            in_place_of_a_link(app, request)
        }
        _ => None,
    };
    instead.unwrap_or_else(|| not_served.into_answer(&request.headers))
}

//! What visitors are told by a link that asks for a password.

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::NotServed;
use crate::http::limits::quota_exceeded;
use crate::http::page;
use crate::http::problem::Problem;
use crate::limits::Refused;

pub(super) fn required() -> Problem {
    let detail = "the link asks for a password; send it as the field password of a form, by POST";
    Problem::new(StatusCode::FORBIDDEN, "password_required", detail)
}

pub(super) fn wrong() -> Problem {
    Problem::new(StatusCode::FORBIDDEN, "wrong_password", "that is not the password of the link")
}

/// Whoever sends something to a link that asks for nothing.
pub(super) fn nothing_asked() -> Problem {
    crate::http::method_not_allowed()
        .with_header(header::ALLOW, HeaderValue::from_static("GET, HEAD"))
}

pub(super) fn refused(refused: Refused) -> NotServed {
    match refused {
        Refused::Until(after) => {
            NotServed::Asked(quota_exceeded("too many wrong passwords", after))
        }
        Refused::Uncharged => Problem::internal().into(),
    }
}

/// The page that asks, or what programs are told. A browser that has not tried anything yet gets what it
/// asked for: a page.
pub(super) fn asked(problem: Problem, headers: &HeaderMap) -> Response {
    if !page::wants_html(headers) {
        let mut response = problem.into_response();
        response
            .headers_mut()
            .insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        return response;
    }
    let mut response = match problem.code() {
        "password_required" => page::password(StatusCode::OK, None),
        "wrong_password" => page::password(problem.status(), Some("That is not the password.")),
        _ => page::password(problem.status(), Some("Too many wrong passwords; try again later.")),
    };
    response.headers_mut().extend(problem.into_headers());
    response
}

//! `/docs`: a page to read the contract and try it on. Served from the binary, loads nothing
//! from elsewhere.

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderName, header};
use axum::response::IntoResponse;
use axum::routing::get;

/// Only what this page brings along may run; it may talk to this server only.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The routes of the page.
pub fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new()
        .route("/docs", get(page))
        .route("/docs/page.css", get(|| async { file("text/css", include_str!("docs/page.css")) }))
        .route(
            "/docs/page.js",
            get(|| async { file("text/javascript", include_str!("docs/page.js")) }),
        )
}

/// A page to read this contract and try it on.
#[utoipa::path(get, path = "/docs", tag = "operations",
    responses((status = 200, description = "the page", content_type = "text/html", body = String)))]
pub async fn page() -> impl IntoResponse {
    file("text/html; charset=utf-8", include_str!("docs/page.html"))
}

/// This contract.
#[utoipa::path(get, path = "/openapi.json", tag = "operations",
    responses((status = 200, description = "an OpenAPI document", content_type = "application/json")))]
pub fn contract(document: Bytes) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], document)
}

fn file(content_type: &'static str, text: &'static str) -> impl IntoResponse {
    let headers: [(HeaderName, &str); 3] = [
        (header::CONTENT_TYPE, content_type),
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, text)
}

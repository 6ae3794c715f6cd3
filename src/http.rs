//! The edge: routes, extractors, answers. Handlers parse, call one command or query, and answer.
//!
//! The routes of the API are in the contract (`/openapi.json`) because they are made from it:
//! what is not annotated can't be added to [`api`].

#![expect(
    clippy::missing_errors_doc,
    reason = "handlers answer with a Problem; the contract lists which"
)]

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use tower_http::catch_panic::CatchPanicLayer;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub mod app_links;
pub mod asyncapi;
pub mod auth;
pub mod body;
pub mod clicks;
pub mod contract;
pub mod docs;
pub mod domains;
pub mod erasure;
pub mod errors;
pub mod events;
pub mod export;
pub mod fields;
pub mod headers;
pub mod health;
pub mod keys;
pub mod limits;
pub mod links;
mod newest_first;
pub mod origin;
pub mod orphans;
pub mod page;
pub mod path;
pub mod preview;
pub mod problem;
pub mod projections;
pub mod qr;
pub mod range;
pub mod report;
pub mod roles;
pub mod server;
pub mod shorten;
pub mod site;
pub mod stats;
pub mod tags;
pub mod top;
pub mod visit;
pub mod webhooks;

use body::{BODY_BYTES_MAX, BULK_BODY_BYTES_MAX};
use headers::{RequestId, X_REQUEST_ID, ascii};
use problem::Problem;

use crate::app::AppState;
use crate::ratelimit::RateLimitLayer;

/// The contract's head.
#[derive(OpenApi)]
#[openapi(
    paths(
        visit::visit,
        visit::password::open,
        preview::preview,
        qr::qr_code,
        app_links::apple,
        app_links::android,
        docs::page,
        docs::contract,
        asyncapi::description
    ),
    info(
        title = "hoplog",
        description = "An event-sourced link platform. Errors are problem+json with a stable code; \
                   commands answer with Hoplog-Position, which queries take to wait for it."
    )
)]
struct Contract;

/// All routes but the redirects', and the contract made of them.
pub fn router(app: AppState) -> Router {
    let (api, contract) = api().split_for_parts();
    let contract = contract::complete(contract).to_pretty_json().unwrap_or_default();
    let contract = axum::body::Bytes::from(contract);
    let streams = asyncapi::document(app.streams.described.clone(), app.origin.as_ref());
    let terms = Arc::new(limits::ApiTerms(AppState::clone(&app)));
    let limiting = RateLimitLayer::new(Arc::clone(app.limits.limiter()), terms);
    let api = api
        .route("/asyncapi.json", get(move || async { asyncapi::description(streams) }))
        .route("/openapi.json", get(move || async { docs::contract(contract) }))
        .merge(docs::routes())
        .merge(app_links::routes(&app.app_links))
        .method_not_allowed_fallback(|| async { method_not_allowed() })
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(middleware::from_fn_with_state(AppState::clone(&app), roles::guard))
        .layer(limiting)
        .layer(middleware::from_fn_with_state(AppState::clone(&app), limits::authenticate))
        .layer(middleware::from_fn(describe))
        .layer(CatchPanicLayer::custom(|_: Box<dyn std::any::Any + Send>| {
            Problem::internal().into_response()
        }));
    api.fallback(any(unknown)).with_state(app)
}

fn api() -> OpenApiRouter<AppState> {
    let large = DefaultBodyLimit::max(BULK_BODY_BYTES_MAX);
    let bulk = OpenApiRouter::new()
        .routes(routes!(links::bulk::create_links))
        .routes(routes!(clicks::import::import_clicks))
        .layer(large);
    OpenApiRouter::with_openapi(Contract::openapi())
        .routes(routes!(links::create::create_link, links::read::list_links))
        .routes(routes!(
            links::read::show_link,
            links::change::edit_link,
            links::change::delete_link
        ))
        .routes(routes!(links::change::disable_link))
        .routes(routes!(links::change::enable_link))
        .routes(routes!(links::quarantine::quarantine_link))
        .routes(routes!(links::quarantine::release_link))
        .routes(routes!(links::quarantine::appeal))
        .routes(routes!(links::history::link_history))
        .routes(routes!(erasure::erase_link))
        .routes(routes!(erasure::erase_visitor))
        .routes(routes!(stats::link_statistics))
        .routes(routes!(stats::all_statistics))
        .routes(routes!(stats::split::split_statistics))
        .routes(routes!(tags::list_tags))
        .routes(routes!(tags::rename::rename_tag))
        .routes(routes!(top::top_links))
        .routes(routes!(top::rank::link_rank))
        .routes(routes!(clicks::list_clicks))
        .routes(routes!(orphans::list_orphans))
        .routes(routes!(orphans::stats::orphan_statistics))
        .routes(routes!(events::read_events))
        .routes(routes!(keys::create, keys::list::list_keys))
        .routes(routes!(keys::revoke))
        .merge(webhooks())
        .routes(routes!(domains::list_domains, domains::change::add_domain))
        .routes(routes!(
            domains::show_domain,
            domains::change::edit_domain,
            domains::change::remove_domain
        ))
        .routes(routes!(projections::list))
        .routes(routes!(projections::show))
        .routes(routes!(projections::rebuild))
        .routes(routes!(projections::rollback))
        .routes(routes!(projections::verify))
        .routes(routes!(projections::parked::list_parked))
        .routes(routes!(projections::parked::retry))
        .routes(routes!(projections::parked::skip))
        .routes(routes!(projections::pause))
        .routes(routes!(projections::resume))
        .routes(routes!(limits::check::check))
        .routes(routes!(limits::policies::list_policies))
        .routes(routes!(report::report_form, report::report))
        .routes(routes!(shorten::shorten))
        .routes(routes!(shorten::analytics))
        .routes(routes!(health::live))
        .routes(routes!(health::ready))
        .routes(routes!(health::metrics))
        .merge(bulk)
}

fn webhooks() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(webhooks::create, webhooks::list::list_webhooks))
        .routes(routes!(
            webhooks::show,
            webhooks::change::edit_webhook,
            webhooks::change::delete_webhook
        ))
        .routes(routes!(webhooks::change::rotate_secret))
        .routes(routes!(webhooks::change::disable_webhook))
        .routes(routes!(webhooks::change::enable_webhook))
        .routes(routes!(webhooks::deliveries::test_webhook))
        .routes(routes!(webhooks::deliveries::list_deliveries))
        .routes(routes!(webhooks::deliveries::retry_delivery))
}

/// Gives every answer of the API its request id, and the log a line about it.
async fn describe(mut request: Request, next: Next) -> Response {
    let id = RequestId::of(request.headers());
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    request.extensions_mut().insert(id.clone());
    let started = std::time::Instant::now();
    let mut response = next.run(request).await;
    let elapsed = started.elapsed();
    metrics::histogram!("hoplog_http_request_seconds").record(elapsed.as_secs_f64());
    let status = response.status().as_u16();
    tracing::debug!(%method, path, status, request_id = %id.0, elapsed_us = elapsed.as_micros(), "answered");
    let headers = response.headers_mut();
    headers.insert(X_REQUEST_ID, ascii(&id.0));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// The method is not one of the route's.
#[must_use]
pub fn method_not_allowed() -> Problem {
    let detail = "the method is not allowed here; see Allow";
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail)
}

/// What no route is for.
async fn unknown(State(app): State<AppState>, request: Request) -> Response {
    let (request, _) = request.into_parts();
    if request.uri.path() == "/"
        && let Some(limits::Peer(peer)) = request.extensions.get::<limits::Peer>()
    {
        visit::note_base_url(&app, *peer, &request);
    }
    if let Some(answer) = site::in_place_of_nothing(&app, &request) {
        return answer;
    }
    let detail = "there is nothing here; see /docs";
    let problem = Problem::new(StatusCode::NOT_FOUND, "not_found", detail);
    page::problem_for_visitor(problem, &request.headers)
}

/// How long a query waits for a position.
pub const POSITION_TIMEOUT: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    /// A policy can name every route of the API, and no other.
    #[test]
    fn limits_know_the_routes_of_the_api() {
        let (_, contract) = super::api().split_for_parts();
        let routes: BTreeSet<&str> = contract.paths.paths.keys().map(String::as_str).collect();
        let routes: BTreeSet<&str> =
            routes.into_iter().filter(|route| route.starts_with("/api/")).collect();
        assert_eq!(routes, crate::limits::ROUTES.into_iter().collect());
    }
}

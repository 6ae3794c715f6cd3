//! `/.well-known/…`: which apps open this host's links, for the systems that ask once an app is
//! installed. A link that an app opens never comes here.

use axum::Router;
use axum::body::Bytes;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;
use serde_json::{Value, json};

use super::problem::Problem;
use crate::config::{AndroidApp, AppLinks, AppleApp};

/// Where Apple's servers look. They also looked beside the links once, where a code would be: that stays a code's.
const APPLE: &str = "/.well-known/apple-app-site-association";

/// Where Google's servers and telephones look.
const ANDROID: &str = "/.well-known/assetlinks.json";

/// Those who ask keep it for longer, whatever is said here: this is for caches in front.
const CACHED: &str = "public, max-age=3600";

/// What no app opens: the service's own routes, and what is behind a code to be looked at. `*` is any text, also with `/`.
const OURS: [&str; 11] = [
    "/api/*",
    "/report/*",
    "/.well-known/*",
    "/health/*",
    "/docs",
    "/docs/*",
    "/metrics",
    "/openapi.json",
    "/asyncapi.json",
    "/*+",
    "/*.qr",
];

/// What they do: anything that is not just the host.
const LINKS: &str = "/?*";

/// The routes, as far as there are apps. Without any there is nothing, as with any address that is nobody's.
pub fn routes<S: Clone + Send + Sync + 'static>(apps: &AppLinks) -> Router<S> {
    let mut routes = Router::new();
    if !apps.apple.is_empty() {
        let document = Bytes::from(association(&apps.apple).to_string());
        routes = routes.route(APPLE, get(move || async { apple(document) }));
    }
    if !apps.android.is_empty() {
        let document = Bytes::from(statements(&apps.android).to_string());
        routes = routes.route(ANDROID, get(move || async { android(document) }));
    }
    routes
}

/// Which apps open links of this host on Apple's systems.
#[utoipa::path(get, path = "/.well-known/apple-app-site-association", tag = "operations",
    responses(
        (status = 200, description = "the apps that the settings name, and what they open, in Apple's format", content_type = "application/json"),
        (status = 404, description = "the settings name no such app", body = Problem, content_type = "application/problem+json"),
    ))]
pub fn apple(document: Bytes) -> impl IntoResponse {
    answer(document)
}

/// Which apps open links of this host on Android.
#[utoipa::path(get, path = "/.well-known/assetlinks.json", tag = "operations",
    responses(
        (status = 200, description = "the apps that the settings name, as Digital Asset Links", content_type = "application/json"),
        (status = 404, description = "the settings name no such app", body = Problem, content_type = "application/problem+json"),
    ))]
pub fn android(document: Bytes) -> impl IntoResponse {
    answer(document)
}

fn answer(document: Bytes) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, CACHED)], document)
}

/// Of the components the first that fits decides.
fn association(apps: &[AppleApp]) -> Value {
    let apps: Vec<&str> = apps.iter().map(AppleApp::as_str).collect();
    let ours = OURS.iter().map(|path| json!({ "/": path, "exclude": true }));
    let components: Vec<Value> = ours.chain([json!({ "/": LINKS })]).collect();
    json!({ "applinks": { "details": [{ "appIDs": apps, "components": components }] } })
}

/// Which addresses of the host an app opens says its own manifest.
fn statements(apps: &[AndroidApp]) -> Value {
    let statement = |app: &AndroidApp| {
        json!({
            "relation": ["delegate_permission/common.handle_all_urls"],
            "target": {
                "namespace": "android_app",
                "package_name": app.package,
                "sha256_cert_fingerprints": app.fingerprints,
            },
        })
    };
    apps.iter().map(statement).collect()
}

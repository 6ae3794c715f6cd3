//! What stands in paths.

use axum::extract::{FromRequestParts, Path};
use axum::http::StatusCode;
use axum::http::request::Parts;
use hoplog_events::link::{Domain, LinkKey};
use utoipa::IntoParams;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::{Object, Required, Type};

use super::links::place::{DOMAIN, Places};
use super::problem::{FieldError, Problem};
use crate::app::AppState;

/// The one segment of a path that names something. What is no text names nothing: 404.
#[derive(Debug, Clone)]
pub struct Segment(pub String);

impl<S: Send + Sync> FromRequestParts<S> for Segment {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let segment = Path::<String>::from_request_parts(parts, state).await;
        segment.map(|Path(text)| Self(text)).map_err(|_| nothing_here())
    }
}

/// The two segments of a path that name something, the second a part of the first.
#[derive(Debug, Clone)]
pub struct TwoSegments(pub String, pub String);

impl<S: Send + Sync> FromRequestParts<S> for TwoSegments {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let segments = Path::<(String, String)>::from_request_parts(parts, state).await;
        segments.map(|Path((one, two))| Self(one, two)).map_err(|_| nothing_here())
    }
}

fn nothing_here() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "not_found", "there is nothing here; see /docs")
}

/// The link that a path names, on the domain that the query names: the service's own where it names none.
#[derive(Debug, Clone)]
pub struct LinkAt(pub LinkKey);

impl FromRequestParts<AppState> for LinkAt {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &AppState) -> Result<Self, Problem> {
        let Segment(code) = Segment::from_request_parts(parts, app).await?;
        // That one can't fail.
        let Ok(places) = Places::from_request_parts(parts, app).await;
        let domain = domain_of(parts.uri.query().unwrap_or_default(), &places)?;
        let code = code.parse().map_err(|_| Problem::link_not_found())?;
        Ok(Self(LinkKey { domain, code }))
    }
}

impl IntoParams for LinkAt {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let text = || Some(Object::with_type(Type::String));
        let code = ParameterBuilder::new()
            .name("code")
            .parameter_in(ParameterIn::Path)
            .required(Required::True)
            .description(Some("the link's code"))
            .schema(text());
        let domain = ParameterBuilder::new()
            .name(DOMAIN)
            .parameter_in(ParameterIn::Query)
            .required(Required::False)
            .description(Some("the link's domain; default: the service's own"))
            .schema(text());
        vec![code.build(), domain.build()]
    }
}

/// A domain that is named twice is refused, as every parameter is.
fn domain_of(query: &str, places: &Places) -> Result<Domain, Problem> {
    let wrong = |code, detail| {
        let error = FieldError { pointer: format!("?{DOMAIN}"), code, detail };
        Problem::parameters(vec![error])
    };
    let mut named =
        url::form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name == DOMAIN);
    let Some((_, name)) = named.next() else { return Ok(Domain::service()) };
    if named.next().is_some() {
        return Err(wrong("repeated", "may be given once".to_owned()));
    }
    places.to_find(&name).map_err(|detail| wrong("unknown_domain", detail))
}

//! Forms of browsers.

use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use http_body_util::Limited;
use url::form_urlencoded;

use super::arrival::{self, Patience};
use crate::app::App;
use crate::http::problem::Problem;

/// The largest form, in bytes: a password of 128 characters, each written as four times `%XX`, and what else a
/// browser may add.
const FORM_BYTES_MAX: usize = 4 * 1024;

/// The media type of forms.
const FORM: &str = "application/x-www-form-urlencoded";

/// A field of a form; `None`: it has none of that name.
///
/// # Errors
/// When it is no form, is too large, or does not arrive.
pub async fn form_field(
    app: &App,
    headers: &HeaderMap,
    body: Body,
    name: &str,
) -> Result<Option<String>, Problem> {
    let fields = form_fields(app, headers, body, FORM_BYTES_MAX).await?;
    Ok(fields.into_iter().find(|(field, _)| field == name).map(|(_, text)| text))
}

/// All fields of a form of at most so many bytes.
///
/// # Errors
/// When it is no form, is too large, or does not arrive.
pub async fn form_fields(
    app: &App,
    headers: &HeaderMap,
    body: Body,
    bytes_max: usize,
) -> Result<Vec<(String, String)>, Problem> {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media_type = content_type.and_then(|value| value.split(';').next()).unwrap_or_default();
    if !media_type.trim().eq_ignore_ascii_case(FORM) {
        let detail = format!("send Content-Type: {FORM}");
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        return Err(Problem::new(status, "unsupported_media_type", detail));
    }
    let body = Body::new(Limited::new(body, bytes_max)).into_data_stream();
    let form = arrival::read(body, &app.shutdown, Patience::USUAL).await?;
    Ok(form_urlencoded::parse(&form).into_owned().collect())
}

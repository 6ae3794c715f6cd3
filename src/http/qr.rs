//! `GET /{code}.qr`: the QR code of a short link.

use std::net::IpAddr;

use axum::http::header;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use fast_qr::convert::{Builder, Shape, image::ImageBuilder, svg::SvgBuilder};
use fast_qr::{ECL, QRBuilder, QRCode};

use super::fields::Parameters;
use super::origin::Origin;
use super::problem::Problem;
use super::visit::{NotServed, served};
use crate::app::App;
use crate::queries::resolve_link::Resolved;

/// How wide the PNG is, in pixels.
const PNG_WIDTH_PX: u32 = 512;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Svg,
    Png,
}

/// Draws the QR code of a link.
#[utoipa::path(
    get, path = "/{code}.qr", tag = "redirect",
    params(
        ("code" = String, Path, description = "a link's code"),
        ("format" = Option<String>, Query, description = "`svg` or `png`; otherwise PNG where `Accept` names it and not SVG"),
    ),
    responses(
        (status = 200, description = "the picture", content(
            (String = "image/svg+xml"),
            (Vec<u8> = "image/png"),
        )),
        (status = 400, description = "a parameter that is not known", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "there is no such link", body = Problem, content_type = "application/problem+json"),
        (status = 410, description = "the link expired, was deleted, or has been followed as often as it may be", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "too many requests, or too many codes that nobody has, from one address; Retry-After says when to come back", body = Problem, content_type = "application/problem+json"),
        (status = 451, description = "the link is in quarantine; a page for browsers", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn qr_code(
    app: &App,
    address: IpAddr,
    request: &Parts,
    code: &str,
) -> Result<Response, NotServed> {
    let mut parameters = Parameters::new(request.uri.query());
    let choices = [("svg", Format::Svg), ("png", Format::Png)];
    let format = parameters.choice("format", &choices, accepted(request));
    parameters.finish()?;
    let (Resolved { target, .. }, _) = served(app, address, request, code).await?;
    let text = Origin::of(app, request).short_url(&target.key);
    let (content_type, picture) = match format {
        Format::Png => ("image/png", png(&text)),
        Format::Svg => ("image/svg+xml", svg(&text).map(String::into_bytes)),
    };
    let picture = picture.ok_or_else(Problem::internal)?;
    Ok(([(header::CONTENT_TYPE, content_type), (header::VARY, "Accept")], picture).into_response())
}

fn accepted(request: &Parts) -> Format {
    let accept = request.headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    let only_png = |accept: &str| accept.contains("image/png") && !accept.contains("image/svg");
    if accept.is_some_and(only_png) { Format::Png } else { Format::Svg }
}

/// A picture of a text that cameras can read; level M repairs 15 % damage.
/// `None`: the text is too long for any QR code.
fn code(text: &str) -> Option<QRCode> {
    QRBuilder::new(text).ecl(ECL::M).build().ok()
}

/// The QR code as SVG.
#[must_use]
pub fn svg(text: &str) -> Option<String> {
    Some(SvgBuilder::default().shape(Shape::Square).to_str(&code(text)?))
}

/// The QR code as PNG.
#[must_use]
pub fn png(text: &str) -> Option<Vec<u8>> {
    let mut builder = ImageBuilder::default();
    builder.shape(Shape::Square).fit_width(PNG_WIDTH_PX);
    builder.to_bytes(&code(text)?).ok()
}

#[cfg(test)]
mod tests {
    #[test]
    fn pictures_have_their_format() {
        assert!(super::svg("https://go.example.com/abc").unwrap().starts_with("<svg"));
        assert_eq!(&super::png("https://go.example.com/abc").unwrap()[..4], b"\x89PNG");
        assert!(super::svg(&"x".repeat(5000)).is_none());
    }
}

//! QR codes of short links.

use fast_qr::convert::{Builder, Shape, image::ImageBuilder, svg::SvgBuilder};
use fast_qr::{ECL, QRBuilder, QRCode};

/// How wide the PNG is, in pixels.
const PNG_WIDTH_PX: u32 = 512;

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

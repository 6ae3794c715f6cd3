//! The few pages that visitors (not API clients) see: a link that leads nowhere, and the
//! preview of where a link leads. No scripts, no cookies, nothing from elsewhere.

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};

use super::problem::Problem;

mod own_preview;
mod preview;

pub use own_preview::{Below, own_preview};
pub use preview::{Told, preview, preview_limited, preview_locked};

/// Pages may show themselves and nothing more.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The one page with a form. What the form is answered with leads elsewhere, and browsers hold that against where
/// forms may lead; to name the destination would tell it.
const CONTENT_SECURITY_POLICY_OF_FORM: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'self' https: http:; frame-ancestors 'none'";

/// The form of a report comes back here and leads nowhere.
const CONTENT_SECURITY_POLICY_OF_REPORT: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// Asks for the password of a link. The form goes to the address of the page, with whatever is behind the code.
const PASSWORD_FORM: &str = "<form method=\"post\"><p><label>Password <input type=\"password\" name=\"password\" \
     required autofocus></label> <button>Go on</button></p></form>";

/// The heading of that form.
const LOCKED: &str = "This short link asks for a password";

/// What is told of a link with a number of clicks.
const LIMITED: &str =
    "can be followed a limited number of times, and says where it leads to who follows it";

/// A problem as a page for browsers, as problem+json for everybody else.
#[must_use]
pub fn problem_for_visitor(problem: Problem, headers: &HeaderMap) -> Response {
    if !wants_html(headers) {
        return problem.into_response();
    }
    let status = problem.status();
    let title = match status {
        StatusCode::NOT_FOUND => "This short link does not exist",
        StatusCode::GONE => "This short link is gone",
        StatusCode::FORBIDDEN => "This short link is switched off",
        StatusCode::UNAVAILABLE_FOR_LEGAL_REASONS => "This short link is blocked",
        _ => "This short link can't be followed right now",
    };
    let mut response = page(status, title, "");
    response.headers_mut().extend(problem.into_headers());
    response
}

/// The page that asks for the password of a link.
#[must_use]
pub fn password(status: StatusCode, wrong: Option<&str>) -> Response {
    let wrong = wrong.map(|wrong| format!("<p role=\"alert\">{wrong}</p>")).unwrap_or_default();
    let body = format!("{wrong}{PASSWORD_FORM}");
    let mut response = page(status, LOCKED, &body);
    let policy = HeaderValue::from_static(CONTENT_SECURITY_POLICY_OF_FORM);
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    response
}

/// Asks what harm a link does.
#[must_use]
pub fn report(short_url: &str) -> Response {
    let body = format!(
        "<p>{}</p><form method=\"post\"><p><label>It is <select name=\"category\">\
         <option value=\"phishing\">asking for passwords</option>\
         <option value=\"malware\">bringing harmful programs</option>\
         <option value=\"spam\">sent to people who do not want it</option>\
         <option value=\"other\">something else</option></select></label></p>\
         <p><label>What else there is to say; the owner of the link may read it<br>\
         <textarea name=\"text\" rows=\"5\" cols=\"40\" maxlength=\"2000\"></textarea></label></p>\
         <p><button>Report</button></p></form>",
        escape(short_url)
    );
    let mut response = page(StatusCode::OK, "Report a short link", &body);
    let policy = HeaderValue::from_static(CONTENT_SECURITY_POLICY_OF_REPORT);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    // With "no-referrer" the form would not say either that it is of this page.
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    response
}

/// The report has arrived.
#[must_use]
pub fn reported() -> Response {
    page(StatusCode::OK, "Thank you", "<p>Whoever runs this service will look at the link.</p>")
}

/// Where a link would lead that may do harm. Whoever wants to go there anyway does so by themselves.
#[must_use]
pub fn warning(status: StatusCode, destination: &str) -> Response {
    let body = format!(
        "<p>It may do harm: ask for passwords, or bring harmful programs. It would lead to</p>\
         <p><strong>{}</strong></p>\
         <p><a rel=\"noreferrer nofollow\" href=\"{}\">Go there at my own risk</a></p>",
        escape(destination),
        escape(destination)
    );
    page(status, "This short link is blocked", &body)
}

/// Whether a browser asks: problem+json is for programs.
#[must_use]
pub fn wants_html(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    accept.is_some_and(|accept| accept.contains("text/html"))
}

fn page(status: StatusCode, title: &str, body: &str) -> Response {
    page_with(status, title, "", body)
}

/// All of it is HTML.
fn page_with(status: StatusCode, title: &str, head: &str, body: &str) -> Response {
    let html = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta name=\"robots\" content=\"noindex\"><title>{title}</title>{head}\
         <style>body{{font:1.1rem/1.5 system-ui,sans-serif;max-width:40rem;margin:20vh auto;\
         padding:0 1rem;overflow-wrap:anywhere}}</style><h1>{title}</h1>{body}</html>"
    );
    let headers = [
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (status, headers, Html(html)).into_response()
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_keeps_what_its_problem_says_to_programs() {
        let mut browser = HeaderMap::new();
        browser.insert(header::ACCEPT, HeaderValue::from_static("text/html"));
        for headers in [browser, HeaderMap::new()] {
            let away = Problem::unavailable("clicks_unavailable", "later", 7);
            let response = problem_for_visitor(away, &headers);
            assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
            assert_eq!(response.headers()[header::RETRY_AFTER], "7");
            assert_eq!(response.headers()[header::CACHE_CONTROL], "no-store");
        }
    }

    #[test]
    fn nothing_in_a_destination_becomes_markup() {
        assert_eq!(escape("<a href='\"&\">"), "&lt;a href=&#39;&quot;&amp;&quot;&gt;");
    }
}

//! The pages of `/{code}+`: where a link leads, or why that is not told.

use axum::http::StatusCode;
use axum::response::Response;

use super::{LIMITED, escape, page};
use crate::http::preview::Safety;

/// Where a link leads that asks for a password, for `/{code}+`: that is told to nobody.
#[must_use]
pub fn preview_locked(short_url: &str, created: &str) -> Response {
    let body = format!(
        "<p>{}</p><p>asks for a password before it says where it leads, since {}.</p>",
        escape(short_url),
        escape(created)
    );
    page(StatusCode::OK, "This short link asks for a password", &body)
}

/// Where a link leads that can be followed so many times only, for `/{code}+` and for whoever is no person.
#[must_use]
pub fn preview_limited(short_url: &str, created: &str) -> Response {
    let body = format!("<p>{}</p><p>{LIMITED}, since {}.</p>", escape(short_url), escape(created));
    page(StatusCode::OK, "This short link can be followed a limited number of times", &body)
}

/// What is told of where a link leads.
#[derive(Debug, Clone, Copy)]
pub struct Told<'a> {
    /// Where it leads whoever asks, as the log has it: hosts in punycode, so that a look-alike letter is seen.
    pub destination: &'a str,
    /// What the page there calls itself.
    pub title: Option<&'a str>,
    /// Whether it leads others elsewhere: it has rules or a split.
    pub leads_apart: bool,
    /// What can be said of how safe that is.
    pub safety: &'a Safety,
}

/// Where a link leads, for `/{code}+`.
#[must_use]
pub fn preview(short_url: &str, told: Told<'_>, created: &str) -> Response {
    let (you, apart) = if told.leads_apart {
        (
            " you",
            "<p>It has several destinations: others may be led elsewhere, and so may you another time.</p>",
        )
    } else {
        ("", "")
    };
    // Apart from our words: no title goes on as if it were ours, or turns them around.
    let title = told.title.map(|title| {
        format!("<p>which calls itself</p><blockquote><bdi>{}</bdi></blockquote>", escape(title))
    });
    let destination = escape(told.destination);
    let body = format!(
        "<p>{} leads{you} to</p><p><strong>{destination}</strong></p>{}<p>since {}.</p>{apart}<ul>{}</ul>\
         <p><a rel=\"noreferrer nofollow\" href=\"{destination}\">Go there without being counted</a></p>\
         <p><a rel=\"nofollow\" href=\"/report/{}\">Report this link</a></p>",
        escape(short_url),
        title.unwrap_or_default(),
        escape(created),
        remarks(told.safety),
        escape(short_url.rsplit('/').next().unwrap_or_default())
    );
    page(StatusCode::OK, "Where this short link leads", &body)
}

/// What is known, and no more: that no list has a destination says nothing of what is there.
fn remarks(safety: &Safety) -> String {
    let host = escape(&safety.host);
    let named = safety.unicode_host.as_ref().map(|unicode| {
        let unicode = escape(unicode);
        let imitates = if safety.imitates {
            " <strong>It looks like another name: it mixes alphabets, or imitates Latin letters.</strong>"
        } else {
            ""
        };
        format!("<li>Its host {host} may be shown as <bdi>{unicode}</bdi>.{imitates}</li>")
    });
    let named = named.unwrap_or_else(|| format!("<li>Its host is {host}.</li>"));
    let way = if safety.encrypted {
        "<li>The way there is encrypted (https).</li>"
    } else {
        "<li>The way there is not encrypted (http): others on it can read and change what is sent.</li>"
    };
    let listed = match safety.blocked {
        Some(true) => "<li><strong>It is on a block list of this service.</strong></li>",
        Some(false) => {
            "<li>It is on none of the block lists of this service, which does not say that it is harmless.</li>"
        }
        None => "",
    };
    format!("{named}{way}{listed}")
}

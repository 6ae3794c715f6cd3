//! The page that chats and networks read, for links whose owner says what they show (Open Graph). A person who gets here by a
//! program that calls itself like one of theirs has a way on.

use std::fmt::Write;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use hoplog_events::link::OwnPreview;

use super::{CONTENT_SECURITY_POLICY_OF_FORM, LIMITED, LOCKED, PASSWORD_FORM, escape, page_with};
use crate::titles::is_hidden;

/// What stands below the owner's words.
#[derive(Debug, Clone, Copy)]
pub enum Below<'a> {
    /// The way to where the link leads.
    Destination(&'a str),
    /// The form that asks for the password.
    Password,
    /// That the link can be followed so many times.
    Limited,
}

/// The owner's words. The address is that of the short link: with another one the destination's words would be shown.
#[must_use]
pub fn own_preview(short_url: &str, preview: &OwnPreview, below: Below<'_>) -> Response {
    let title = preview.title.as_ref().map(|title| shown(title.as_str()));
    let description = preview.description.as_ref().map(|text| shown(text.as_str()));
    let image = preview.image.as_ref().map(|url| escape(url.as_str()));
    let card = if image.is_some() { "summary_large_image" } else { "summary" };
    let mut head = String::new();
    for (kind, name, content) in [
        ("property", "og:type", Some("website")),
        ("property", "og:url", Some(&*escape(short_url))),
        ("property", "og:title", title.as_deref()),
        ("property", "og:description", description.as_deref()),
        ("property", "og:image", image.as_deref()),
        ("name", "description", description.as_deref()),
        ("name", "twitter:card", Some(card)),
    ] {
        if let Some(content) = content {
            // To a text nothing fails to be written.
            let _ = write!(head, "<meta {kind}=\"{name}\" content=\"{content}\">");
        }
    }
    let asks = matches!(below, Below::Password);
    let below = match below {
        Below::Destination(url) => {
            let url = escape(url);
            format!("<p><a rel=\"noreferrer nofollow\" href=\"{url}\">{url}</a></p>")
        }
        Below::Password => PASSWORD_FORM.to_owned(),
        Below::Limited => format!("<p>{LIMITED}.</p>"),
    };
    let words = description.map(|text| format!("<p>{text}</p>")).unwrap_or_default();
    // No owner's words are the heading of a form that asks for something.
    let (title, words) = match title {
        Some(title) if asks => (LOCKED.to_owned(), format!("<p>{title}</p>{words}")),
        None if asks => (LOCKED.to_owned(), words),
        title => (title.unwrap_or_else(|| escape(short_url)), words),
    };
    let mut response = page_with(StatusCode::OK, &title, &head, &format!("{words}{below}"));
    if asks {
        let policy = HeaderValue::from_static(CONTENT_SECURITY_POLICY_OF_FORM);
        response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}

/// Without what turns text around or is not seen: chats show it as it comes.
fn shown(text: &str) -> String {
    escape(&text.chars().filter(|c| !is_hidden(*c)).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::to_bytes;

    async fn html(preview: &OwnPreview, below: Below<'_>) -> String {
        let response = own_preview("https://go.example/a", preview, below);
        let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        String::from_utf8(body.to_vec()).unwrap()
    }

    #[tokio::test]
    async fn nothing_that_an_owner_writes_becomes_markup() {
        let evil = "\"><script>alert('1')</script>&";
        let preview = OwnPreview {
            title: Some(evil.parse().unwrap()),
            description: Some(evil.parse().unwrap()),
            image: Some("https://e.example/?a='\"<&b".parse().unwrap()),
        };
        let html = html(&preview, Below::Destination("https://d.example/?a='&b")).await;
        assert!(!html.contains("<script") && !html.contains("alert('"), "{html}");
        let escaped = "&quot;&gt;&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&amp;";
        assert!(html.contains(&format!("<meta property=\"og:title\" content=\"{escaped}\">")));
        assert!(
            html.contains(&format!("<meta property=\"og:description\" content=\"{escaped}\">"))
        );
        assert!(html.contains("href=\"https://d.example/?a=&#39;&amp;b\""), "{html}");
    }

    #[tokio::test]
    async fn no_owner_s_words_are_the_heading_of_a_form_nor_turn_text_around() {
        let preview = OwnPreview {
            title: Some("Sign in \u{202e}here".parse().unwrap()),
            description: Some("a\u{2066}b".parse().unwrap()),
            image: None,
        };
        let locked = html(&preview, Below::Password).await;
        assert!(
            locked.contains(&format!("<h1>{LOCKED}</h1><p>Sign in here</p><p>ab</p>")),
            "{locked}"
        );
        assert!(locked.contains("property=\"og:title\" content=\"Sign in here\""), "{locked}");
        let open = html(&preview, Below::Limited).await;
        assert!(open.contains("<h1>Sign in here</h1>"), "{open}");
    }

    #[tokio::test]
    async fn what_the_owner_does_not_say_is_not_said() {
        let none = html(&OwnPreview::default(), Below::Limited).await;
        assert!(!none.contains("og:title") && !none.contains("og:image"), "{none}");
        assert!(none.contains("<title>https://go.example/a</title>"), "{none}");
        assert!(none.contains("content=\"summary\""), "{none}");
    }
}

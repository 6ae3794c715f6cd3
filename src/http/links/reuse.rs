//! `reuse`: the requester's own live link to the same URL with the same settings, or a new one.
//!
//! The read model is asked when it has everything that was on the log when the request came. Of
//! several requests that come at the same moment, and find nothing, one creates the link and the
//! others meet it: what they want seeds the code, as an idempotency key would.

use hoplog_events::link::{Extras, LinkState};
use hoplog_events::position::{Position, Topic};
use hoplog_projections::link_directory;

use super::create::{Made, create};
use crate::app::App;
use crate::commands::create_link::WantedLink;
use crate::commands::{IdempotencyKey, Issuer};
use crate::domain::link::Link;
use crate::execute::load_link_at;
use crate::http::problem::Problem;

/// How many links that were wanted like this, and have ended or changed since, are looked at. Who
/// has more of them gets a link of a random code.
const EARLIER_MAX: u32 = 8;

/// Finds a link that will do, or creates it.
///
/// # Errors
/// What the client has to know.
pub(super) async fn find_or_create(
    app: &App,
    issuer: &Issuer,
    host: Option<&str>,
    idempotency: Option<&IdempotencyKey>,
    wanted: WantedLink,
) -> Result<Made, Problem> {
    let head = app.log.head(Topic::Links).await?;
    app.wait_for(link_directory::NAME, Some(head)).await?;
    let directory = app.read_models.link_directory();
    let rows =
        directory.find_reusable(&issuer.owner, (&wanted.domain, &wanted.url), issuer.now).await?;
    if let Some(link) = rows.into_iter().map(Link::from).find(|link| is_like(link, &wanted)) {
        return found(app, link, head).await;
    }
    if idempotency.is_some() {
        return create(app, issuer, host, idempotency, wanted).await;
    }
    for earlier in 0..EARLIER_MAX {
        let key = key_of(&wanted, earlier);
        let made = create(app, issuer, host, Some(&key), wanted.clone()).await?;
        if !made.repeated {
            return Ok(made);
        }
        // Made a moment ago by a request like this, or long ago: as it is now.
        let now = load_link_at(app.log.as_ref(), &made.link.key).await?;
        let fits = |(link, _): &(Link, Position)| lives(link, issuer) && is_like(link, &wanted);
        if let Some((link, position)) = now.filter(fits) {
            return found(app, link, position).await;
        }
    }
    create(app, issuer, host, None, wanted).await
}

async fn found(app: &App, link: Link, position: Position) -> Result<Made, Problem> {
    let totals = app.totals_of(&link.key).await?;
    Ok(Made {
        link,
        totals,
        position: Some(position),
        reused: true,
        updated: false,
        repeated: false,
    })
}

/// What its destination calls itself is nobody's wish.
fn is_like(link: &Link, wanted: &WantedLink) -> bool {
    let extras = Extras { fetched_title: None, ..link.extras.clone() };
    // Made for the same on another domain it would do for nobody here.
    link.key.domain == wanted.domain
        && (&link.url, link.expires_at, link.redirect, &extras)
            == (&wanted.url, wanted.expires_at, wanted.redirect, &wanted.extras)
}

fn lives(link: &Link, issuer: &Issuer) -> bool {
    let ended = link.expires_at.is_some_and(|end| end <= issuer.now);
    link.state == LinkState::Active && !ended
}

/// What is wanted, as a key that no header can spell: a line's end is in it.
fn key_of(wanted: &WantedLink, earlier: u32) -> IdempotencyKey {
    let end = wanted.expires_at.map(|end| end.timestamp_micros());
    let (url, redirect) = (wanted.url.as_str(), u16::from(wanted.redirect));
    // Nothing where there are none: a link of before they were is found again.
    let extras = serde_json::to_string(&wanted.extras).unwrap_or_default();
    let extras = if wanted.extras.is_empty() { "" } else { &extras };
    let domain = &wanted.domain;
    let domain = if domain.is_service() { String::new() } else { format!("{domain} ") };
    let key = format!("\nreuse {domain}{redirect} {end:?} {earlier} {url}{extras}");
    IdempotencyKey { request: key.clone(), key }
}

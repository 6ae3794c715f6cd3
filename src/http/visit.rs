//! `GET /{code}`: the redirect. What hangs on it (`+`, `.qr`) is answered elsewhere.
//!
//! This is the hot path: one count for the limits, one cache look-up, one hand-over to the click
//! recorder, one small answer. No rate-limit fields and no request id are sent here: clients may delay following.

use std::net::IpAddr;
use std::sync::Arc;

mod asked;
pub mod asking;
mod budget;
mod elsewhere;
pub(super) mod forwarding;
mod lost;
mod not_served;
mod own_preview;
mod pass;
pub(super) mod password;
mod quarantine;

use asking::choose;
use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use chrono::{DateTime, Utc};
use hoplog_events::link::LinkState;
use hoplog_events::orphan::OrphanKind;

use super::limits::visitor_refused;
use super::preview::{Preview, preview};
use super::problem::Problem;
use super::qr::qr_code;
use super::site::{Site, leads_home, leads_in_a_circle};
use crate::app::App;
use crate::clicks::address::client_address;
use crate::clicks::visit::Visit;
use crate::domain::choice::Choice;
use crate::limits::Look;
use crate::queries::resolve_link::{AtHand, LinkPath, Resolved, Target};
pub(super) use lost::note_base_url;
pub(super) use not_served::NotServed;
use not_served::{End, after_end, gone_by_expiry};

/// On a redirect that may have changed, as nobody could be asked.
const STALE: HeaderName = HeaderName::from_static("hoplog-stale");

/// Follows a short link.
#[utoipa::path(
    get, path = "/{code}", tag = "redirect",
    params(("code" = String, Path, description = "a link's code")),
    responses(
        (status = 302, description = "where the link leads (301, 307 or 308 if the link says so), or where it leads once it has expired", headers(
            ("Hoplog-Stale" = String, description = "true: the link may have changed, as neither read model nor log could be asked"),
        )),
        (status = 200, description = "for chats and networks that show links (by their User-Agent): a page with the link's own `preview`, if it has one; for browsers: the page that asks for the link's password, and sends it back by POST; of a link that is good for so many clicks: for bots, previews, prefetches and HEAD requests, which are no clicks, what `/{code}+` says", content(
            (String = "text/html"),
            (Preview = "application/json"),
        )),
        (status = 403, description = "the link asks for a password", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "there is no such link, or none yet", body = Problem, content_type = "application/problem+json"),
        (status = 410, description = "the link expired, was deleted, or has been followed as often as it may be", body = Problem, content_type = "application/problem+json"),
        (status = 414, description = "the destination would be too long with what is forwarded", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "too many requests, or too many codes that nobody has, from one address; Retry-After says when to come back", body = Problem, content_type = "application/problem+json"),
        (status = 451, description = "the link is in quarantine; a page for browsers", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "the click can't be recorded or counted right now", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn visit(app: &App, peer: IpAddr, request: &Parts) -> Response {
    let address = client_address(peer, &request.headers, &app.trusted_proxies);
    if let Err(refused) = app.limits.redirect(&request.method, address) {
        return visitor_refused(refused);
    }
    let answer = answer(app, address, request).await;
    answer.unwrap_or_else(|not_served| elsewhere::told(app, request, not_served))
}

/// A link that is served at an instant.
pub(super) type Served = (Resolved, DateTime<Utc>);

async fn answer(app: &App, address: IpAddr, request: &Parts) -> Result<Response, NotServed> {
    let path = request.uri.path().strip_prefix('/').unwrap_or_default();
    if let Some(code) = path.strip_suffix('+') {
        return Box::pin(preview(app, address, request, code)).await;
    }
    if let Some(code) = path.strip_suffix(".qr") {
        return Box::pin(qr_code(app, address, request, code)).await;
    }
    let served = served(app, address, request, path).await;
    follow(app, address, request, (served, None)).await
}

/// Sends a visitor on to where a link leads, `rest` behind it.
async fn follow(
    app: &App,
    address: IpAddr,
    request: &Parts,
    (served, rest): (Result<Served, NotServed>, Option<&str>),
) -> Result<Response, NotServed> {
    // As a whole: what is left of a part of it would be carried along by every redirect.
    let served = match served.map_err(|it| led_nowhere(app, address, request, it)) {
        Ok(served) => served,
        Err(answer) => return answer,
    };
    // Most links have nothing of all this, and are asked for all of it at once.
    if let Some(extras) = served.0.target.extras.as_deref() {
        if let Some(preview) = extras.preview.as_deref()
            && own_preview::is_asked_for(app, request)
        {
            let shown = own_preview::show(app, address, (request, rest), &served, preview);
            return Box::pin(shown).await;
        }
        password::check(request, &served)?;
    }
    lead_on(app, address, (&request.method, request), &served, rest).await
}

/// What is answered in the place of the redirect. It is noted, but nobody waits for that.
fn led_nowhere(
    app: &App,
    address: IpAddr,
    request: &Parts,
    not_served: NotServed,
) -> Result<Response, NotServed> {
    lost::note(app, address, request, &not_served);
    match not_served {
        NotServed::Ended(found, end) => after_end(app, found, end),
        NotServed::Quarantined(found) => quarantine::warned(app, address, request, found),
        other => Err(other),
    }
}

/// The click, and the way on.
async fn lead_on(
    app: &App,
    address: IpAddr,
    (method, request): (&Method, &Parts),
    (found, now): &Served,
    rest: Option<&str>,
) -> Result<Response, NotServed> {
    let choice = choose(app, (address, *now), (method, request), &found.target);
    let location = location(&found.target, choice, (rest, request.uri.query()))?;
    if leads_home(app, location.as_bytes()) {
        return Err(leads_in_a_circle().into());
    }
    if found.target.is_limited() {
        Box::pin(budget::spend(app, address, (method, request), found)).await?;
    }
    record(app, (address, *now), (method, request), (&found.target, choice)).await?;
    Ok(redirect(app, found, location)?)
}

/// The link, if it is served at an instant, and that instant: after it was looked for, which may take
/// long when its source is slow.
pub(super) async fn served(
    app: &App,
    address: IpAddr,
    request: &Parts,
    code: &str,
) -> Result<Served, NotServed> {
    let found = find(app, address, request, code).await?;
    admit(app, (&request.method, address), found).await
}

/// The link of a code, on the domain that was asked.
async fn find(
    app: &App,
    address: IpAddr,
    request: &Parts,
    code: &str,
) -> Result<Resolved, NotServed> {
    let (site, visitor) = (Site::of(app, request), (&request.method, address));
    // Nothing is looked for, so nothing is charged: these are visitors of links that were good once.
    if site.is_gone() {
        return Err(Problem::link_not_found().into());
    }
    let path = LinkPath { domain: site.name(), code };
    match app.links.at_hand(path, app.clock.now()) {
        AtHand::Value(target) => Ok(Resolved { target, is_stale: false }),
        AtHand::Absent => Err(Box::pin(in_vain(app, visitor)).await),
        AtHand::Nothing => Box::pin(look_for(app, visitor, path)).await,
    }
}

/// Whether a link is served at this instant.
async fn admit(
    app: &App,
    visitor: (&Method, IpAddr),
    found: Resolved,
) -> Result<Served, NotServed> {
    let now = app.clock.now();
    let target = &found.target;
    // Whatever else is to be said of it: nobody learns that it will be there.
    if target.extras.as_ref().is_some_and(|extras| extras.is_before_validity(now)) {
        return Err(Box::pin(in_vain(app, visitor)).await.because(OrphanKind::NotYet));
    }
    let expired = target.expires_at.is_some_and(|expires_at| expires_at <= now);
    match target.state {
        LinkState::Deleted => Err(NotServed::lost(OrphanKind::Deleted, Problem::link_deleted())),
        LinkState::Quarantined => Err(NotServed::Quarantined(found)),
        LinkState::Disabled if expired => {
            Err(NotServed::lost(OrphanKind::Expired, gone_by_expiry()))
        }
        LinkState::Expired => Err(NotServed::Ended(found, End::Expired)),
        _ if expired => Err(NotServed::Ended(found, End::Expired)),
        LinkState::Disabled => Err(NotServed::lost(OrphanKind::Disabled, app.disabled_problem())),
        LinkState::Active if is_spent(target) => Err(NotServed::Ended(found, End::Spent)),
        LinkState::Active => Ok((found, now)),
    }
}

/// Once it is, only its owner changes that, which other nodes notice as they notice every change.
fn is_spent(target: &Target) -> bool {
    target.extras.as_ref().is_some_and(|extras| extras.is_spent())
}

/// Looks for a code that is not at hand. It is charged before, and given back if it is somebody's: whoever
/// looked for too many that are nobody's, or looks for too many at once, gets no further look.
async fn look_for(
    app: &App,
    (method, address): (&Method, IpAddr),
    path: LinkPath<'_>,
) -> Result<Resolved, NotServed> {
    // What can't be a code is looked for nowhere: browsers ask for such things on their own.
    let key = path.key().ok_or_else(unknown)?;
    let look = app.limits.may_look(method, address).map_err(NotServed::Refused)?;
    match app.links.look_up(&key, app.clock.now()).await? {
        Some(found) => {
            app.limits.found(look);
            Ok(found)
        }
        None => Err(nobodys(app, look).await),
    }
}

/// A code that is known to be nobody's costs as much as one that has to be looked for.
async fn in_vain(app: &App, (method, address): (&Method, IpAddr)) -> NotServed {
    match app.limits.may_look(method, address) {
        Ok(look) => nobodys(app, look).await,
        Err(refused) => NotServed::Refused(refused),
    }
}

async fn nobodys(app: &App, look: Look) -> NotServed {
    match app.limits.found_nobody(look).await {
        Ok(()) => unknown(),
        Err(refused) => NotServed::Refused(refused),
    }
}

fn unknown() -> NotServed {
    NotServed::lost(OrphanKind::UnknownCode, Problem::link_not_found())
}

/// The redirect is answered when its click is as safe as the settings ask for.
async fn record(
    app: &App,
    (address, now): (IpAddr, DateTime<Utc>),
    (method, request): (&Method, &Parts),
    (target, choice): (&Arc<Target>, Choice),
) -> Result<(), Problem> {
    let headers = &request.headers;
    let raw = (method, request.uri.query(), headers);
    let visit = Visit::new(Arc::clone(target), now, Some(address), raw).led_to(choice);
    app.clicks.record(visit).await.map_err(Problem::from)
}

/// Where a visitor is sent; with what was asked for behind the code, if the owner wants it forwarded.
fn location(
    target: &Target,
    choice: Choice,
    asked: (Option<&str>, Option<&str>),
) -> Result<HeaderValue, Problem> {
    let forwarded = match &target.extras {
        None => None,
        Some(extras) => forwarding::forwarded_to(target.destination(choice), extras, asked)?,
    };
    let location = forwarded.unwrap_or_else(|| target.location(choice));
    HeaderValue::from_maybe_shared(location).map_err(|_| Problem::internal())
}

fn redirect(app: &App, found: &Resolved, location: HeaderValue) -> Result<Response, Problem> {
    let target = &*found.target;
    let is_guarded = target.is_guarded();
    let status = target.answered_redirect();
    let status = StatusCode::from_u16(status.into()).map_err(|_| Problem::internal())?;
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::LOCATION, location);
    if is_guarded {
        // Whoever has the browser next is asked again, and the destination is not told where visitors come from.
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    }
    let shows_card = target.extras.as_ref().is_some_and(|extras| extras.preview.is_some());
    let varies = target.leads_apart() || shows_card;
    if varies {
        // The next one may be led elsewhere, also by a browser that many use, or be shown the owner's card: nobody keeps this.
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    }
    if found.is_stale {
        // Nobody may keep for longer what may have changed already.
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(STALE, HeaderValue::from_static("true"));
    } else if !is_guarded && !varies {
        headers.insert(header::CACHE_CONTROL, app.redirect_cache_control(target));
    }
    Ok(response)
}

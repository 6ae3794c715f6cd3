//! Links that visitors have to know a password for: a page asks for it, and its form comes back to the address
//! that was asked for, by POST only. What is in a query is never taken for a password: it would be in logs,
//! histories and what is forwarded.

use std::net::IpAddr;

use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hoplog_events::link::ShortCode;
use serde::Deserialize;
use utoipa::ToSchema;

use super::asked::{nothing_asked, refused, required, wrong};
use super::pass::Lock;
use super::{NotServed, Served, admit, after_end, find, in_vain, lead_on, lost};
use crate::app::App;
use crate::clicks::address::client_address;
use crate::config::Role;
use crate::domain::alias::is_reserved;
use crate::domain::password::Password;
use crate::http::body::form_field;
use crate::http::limits::visitor_refused;
use crate::http::origin::Origin;
use crate::http::preview::Preview;
use crate::http::problem::Problem;
use crate::http::roles::wrong_role;
use crate::passwords::{HashingError, Lane};
use crate::queries::resolve_link::{Resolved, Target};

/// The field of the form.
const FIELD: &str = "password";

/// What a browser says of who made it send a request.
const SEC_FETCH_SITE: &str = "sec-fetch-site";

/// The form, for the contract.
#[derive(Debug, Deserialize, ToSchema)]
#[expect(dead_code, reason = "describes the form; the value is read by its name")]
pub(in crate::http) struct PasswordForm {
    /// The password of the link.
    #[schema(format = Password)]
    password: String,
}

/// A visitor at a link that asks for a password, with a form that has not been read yet.
pub(in crate::http) struct Knock {
    address: IpAddr,
    found: Resolved,
}

/// Whether a visitor may pass: nobody is asked, has a pass, or is asked now.
pub(super) fn check(request: &Parts, (found, now): &Served) -> Result<(), NotServed> {
    let Some(password) = found.target.password() else { return Ok(()) };
    let lock = Lock { link: &found.target.key, password };
    if lock.is_open_to(&request.headers, *now) {
        return Ok(());
    }
    Err(NotServed::Asked(required()))
}

/// A form that is sent to the bare code of a link.
pub(in crate::http) async fn knock(
    app: &App,
    peer: IpAddr,
    request: &Parts,
) -> Result<Knock, Response> {
    let address = client_address(peer, &request.headers, &app.trusted_proxies);
    app.limits.redirect(&request.method, address).map_err(visitor_refused)?;
    match locked(app, address, request).await {
        Ok((found, _)) => Ok(Knock { address, found }),
        Err(not_served) => Err(turned_away(app, address, request, not_served)),
    }
}

/// The answer to a form that does not lead where the link does.
fn turned_away(app: &App, address: IpAddr, request: &Parts, not_served: NotServed) -> Response {
    lost::note_form(app, address, request, &not_served);
    let answer = match not_served {
        NotServed::Ended(found, end) => after_end(app, found, end).map(by_get),
        other => Err(other),
    };
    answer.unwrap_or_else(|not_served| not_served.into_answer(&request.headers))
}

/// A redirect that is followed by GET, whatever it was: nobody sends the form on.
fn by_get(mut redirect: Response) -> Response {
    if redirect.status().is_redirection() {
        *redirect.status_mut() = StatusCode::SEE_OTHER;
    }
    redirect
}

/// The same below a code. `None`: there is nothing of the kind, and nobody learns whether there is a link.
pub(in crate::http) async fn knock_below(
    app: &App,
    peer: IpAddr,
    request: &Parts,
) -> Option<Result<Knock, Response>> {
    let (code, _) = code_and_rest(request)?;
    if request.method != Method::POST || is_reserved(code) || code.parse::<ShortCode>().is_err() {
        return None;
    }
    if !app.roles.has(Role::Query) {
        return Some(Err(wrong_role(app, Role::Query).into_response()));
    }
    match knock(app, peer, request).await {
        Err(answer) if answer.status() == StatusCode::NOT_FOUND => None,
        Err(answer) if answer.status() == StatusCode::METHOD_NOT_ALLOWED => None,
        knock => Some(knock),
    }
}

fn code_and_rest(request: &Parts) -> Option<(&str, &str)> {
    request.uri.path().strip_prefix('/')?.split_once('/')
}

/// The link, if it is served now and asks for a password.
async fn locked(app: &App, address: IpAddr, request: &Parts) -> Result<Served, NotServed> {
    let visitor = (&request.method, address);
    let path = request.uri.path().strip_prefix('/').unwrap_or_default();
    let (code, rest) =
        code_and_rest(request).map_or((path, None), |(code, rest)| (code, Some(rest)));
    let found = find(app, address, request, code).await?;
    let forwards = |target: &Target| target.extras.as_ref().is_some_and(|it| it.forward_path);
    if rest.is_some() && !forwards(&found.target) {
        return Err(in_vain(app, visitor).await);
    }
    let served = admit(app, visitor, found).await?;
    if served.0.target.password().is_none() { Err(nothing_asked().into()) } else { Ok(served) }
}

/// Follows a short link that asks for a password.
///
/// The form that its page sends, here or to `/{code}/more` where paths are forwarded.
#[utoipa::path(
    post, path = "/{code}", tag = "redirect",
    params(("code" = String, Path, description = "a link's code")),
    request_body(content = PasswordForm, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "no click, of a link that is good for so many: what `/{code}+` says", body = Preview),
        (status = 303, description = "where the link leads, or where it leads once it has expired", headers(
            ("Set-Cookie" = String, description = "for ten minutes the link asks for no password"),
        )),
        (status = 400, description = "the form did not arrive whole", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "the password is wrong; a page for browsers", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "there is no such link, or none yet", body = Problem, content_type = "application/problem+json"),
        (status = 405, description = "the link asks for no password", body = Problem, content_type = "application/problem+json"),
        (status = 408, description = "the form did not arrive in time", body = Problem, content_type = "application/problem+json"),
        (status = 410, description = "the link expired, was deleted, or has been followed as often as it may be", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "no such form has more than 4,096 bytes", body = Problem, content_type = "application/problem+json"),
        (status = 414, description = "the destination would be too long with what is forwarded", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "not a form", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "too many requests, or too many wrong passwords from one address or for one link; Retry-After says when to come back", body = Problem, content_type = "application/problem+json"),
        (status = 451, description = "the link is in quarantine; a page for browsers", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "the click can't be recorded right now, or too many passwords are being checked", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(in crate::http) async fn open(
    app: &App,
    knock: Knock,
    request: &Parts,
    body: Body,
) -> Response {
    let address = knock.address;
    let answer = try_open(app, knock, request, body).await;
    by_get(answer.unwrap_or_else(|it| turned_away(app, address, request, it)))
}

async fn try_open(
    app: &App,
    Knock { address, found }: Knock,
    request: &Parts,
    body: Body,
) -> Result<Response, NotServed> {
    // Another site does not guess by the hands of its visitors.
    if request.headers.get(SEC_FETCH_SITE).is_some_and(|site| site == "cross-site") {
        return Err(NotServed::Asked(required()));
    }
    let given = form_field(app, &request.headers, body, FIELD).await?;
    // What can't be a password is none, and is no guess either.
    let given: Option<Password> = given.and_then(|text| text.parse().ok());
    let given = given.ok_or_else(|| NotServed::Asked(wrong()))?;
    guess(app, (&request.method, address), &found, given).await?;
    // Meanwhile the link may have ended, or have got another password.
    let served = locked(app, address, request).await?;
    if served.0.target.password() != found.target.password() {
        return Err(NotServed::Asked(required()));
    }
    let_in(app, address, request, served).await
}

/// Whether the password is the link's. Only a wrong one is charged in the end.
async fn guess(
    app: &App,
    visitor: (&Method, IpAddr),
    found: &Resolved,
    given: Password,
) -> Result<(), NotServed> {
    let Some(hash) = found.target.password().cloned() else { return Ok(()) };
    let link = found.target.key.to_string();
    let guess = app.limits.may_guess(visitor, &link).await.map_err(refused)?;
    match app.passwords.is_right(Lane::Visitor, given, hash).await {
        Ok(false) => return Err(NotServed::Asked(wrong())),
        Ok(true) => app.limits.forgive(guess),
        Err(error @ HashingError::Busy) => {
            app.limits.forgive(guess);
            return Err(error.into());
        }
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

/// The way on, and a pass for the next time.
async fn let_in(
    app: &App,
    address: IpAddr,
    request: &Parts,
    served: Served,
) -> Result<Response, NotServed> {
    let rest = code_and_rest(request).map(|(_, rest)| rest);
    let mut response = lead_on(app, address, (&Method::GET, request), &served, rest).await?;
    let (Resolved { target, .. }, now) = served;
    let is_secure = Origin::of(app, request).scheme_and_authority().0 == "https";
    let lock = target.password().map(|password| Lock { link: &target.key, password });
    if let Some(cookie) = lock.and_then(|lock| lock.cookie(now, is_secure)) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    Ok(response)
}

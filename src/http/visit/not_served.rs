//! Visitors who do not get where a link leads.

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hoplog_events::orphan::OrphanKind;

use super::STALE;
use super::asked::asked;
use super::quarantine::quarantined;
use crate::app::App;
use crate::http::limits::visitor_refused;
use crate::http::page;
use crate::http::problem::Problem;
use crate::http::site::{leads_home, leads_in_a_circle};
use crate::limits::Refused;
use crate::queries::resolve_link::Resolved;

/// Why a visitor does not get where the link leads.
#[derive(Debug)]
pub(in crate::http) enum NotServed {
    /// There is something to say about it.
    Problem(Problem),
    /// There is nothing, or nothing any more, where it would lead.
    Lost(Box<(OrphanKind, Problem)>),
    /// It has ended. It may lead somewhere else now, but only visitors of the link itself.
    Ended(Resolved, End),
    /// It is in quarantine.
    Quarantined(Resolved),
    /// They have to know a password: nothing was said yet, or nothing right.
    Asked(Problem),
    /// They are not those it is for, or come too late: they get this.
    Instead(Box<Response>),
    /// They have looked for too many codes that nobody has.
    Refused(Refused),
}

/// How a link has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) enum End {
    /// Its instant has passed.
    Expired,
    /// It was followed as often as it may be.
    Spent,
}

impl NotServed {
    /// There is nothing where it would lead. Boxed: every redirect has room for what few come to.
    pub(super) fn lost(kind: OrphanKind, problem: Problem) -> Self {
        Self::Lost(Box::new((kind, problem)))
    }

    /// Why the visit leads nowhere, if it does.
    pub(super) fn orphan(&self) -> Option<OrphanKind> {
        match self {
            Self::Lost(lost) => Some(lost.0),
            Self::Ended(_, End::Expired) => Some(OrphanKind::Expired),
            Self::Ended(_, End::Spent) => Some(OrphanKind::Spent),
            Self::Quarantined(_) => Some(OrphanKind::Quarantined),
            Self::Problem(_) | Self::Asked(_) | Self::Instead(_) | Self::Refused(_) => None,
        }
    }

    /// The same answer, for another reason.
    pub(super) fn because(self, kind: OrphanKind) -> Self {
        match self {
            Self::Lost(lost) => Self::lost(kind, lost.1),
            other => other,
        }
    }

    /// Whether nobody learns that there is a link.
    pub(super) fn is_not_found(&self) -> bool {
        let status = match self {
            Self::Lost(lost) => lost.1.status(),
            Self::Problem(problem) => problem.status(),
            _ => return false,
        };
        status == StatusCode::NOT_FOUND
    }

    /// What the visitor is told.
    pub(super) fn into_answer(self, headers: &HeaderMap) -> Response {
        match self {
            Self::Ended(_, End::Expired) => page::problem_for_visitor(gone_by_expiry(), headers),
            Self::Ended(_, End::Spent) => page::problem_for_visitor(Problem::link_spent(), headers),
            Self::Quarantined(_) => page::problem_for_visitor(quarantined(), headers),
            Self::Asked(problem) => asked(problem, headers),
            Self::Instead(response) => *response,
            Self::Lost(lost) => page::problem_for_visitor(lost.1, headers),
            Self::Problem(problem) => page::problem_for_visitor(problem, headers),
            Self::Refused(refused) => visitor_refused(refused),
        }
    }
}

impl<P: Into<Problem>> From<P> for NotServed {
    fn from(problem: P) -> Self {
        Self::Problem(problem.into())
    }
}

/// What an expired link is answered with that leads nowhere else.
pub(super) fn gone_by_expiry() -> Problem {
    Problem::new(StatusCode::GONE, "link_expired", "the link has expired")
}

/// Where a link leads once it has ended. That is no click of the link but an orphan visit, and nobody may keep it: the end
/// can be moved.
pub(super) fn after_end(app: &App, found: Resolved, end: End) -> Result<Response, NotServed> {
    let extras = found.target.extras.as_ref();
    let expired_url = extras.and_then(|extras| extras.expired_url.as_ref());
    let Some(expired_url) = expired_url else { return Err(NotServed::Ended(found, end)) };
    if leads_home(app, expired_url.as_str().as_bytes()) {
        return Err(leads_in_a_circle().into());
    }
    let location = HeaderValue::from_str(expired_url.as_str());
    let location = location.map_err(|_| Problem::internal())?;
    let headers = [
        (header::LOCATION, location),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    let mut response = (StatusCode::FOUND, headers).into_response();
    if found.is_stale {
        response.headers_mut().insert(STALE, HeaderValue::from_static("true"));
    }
    Ok(response)
}

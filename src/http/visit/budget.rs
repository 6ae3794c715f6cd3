//! Links that are good for so many clicks: who spends one, and who is shown something else.
//!
//! Only people spend: the same visits that statistics count as theirs. What is none gets no redirect either, or a
//! changed `User-Agent` would be a way to the destination that costs nothing.

use std::net::IpAddr;

use axum::http::request::Parts;
use axum::http::{Method, header};
use axum::response::Response;
use hoplog_events::orphan::OrphanKind;

use super::{End, NotServed, after_end, lost};
use crate::app::App;
use crate::clicks::visit::Visit;
use crate::commands::grant_clicks::Grant;
use crate::domain::choice::Choice;
use crate::http::preview;
use crate::queries::resolve_link::Resolved;

/// Takes a click of the link's budget for a visitor, and is done when that is on the log.
///
/// # Errors
/// Also what is answered in the place of the redirect, if there is none for them.
pub(super) async fn spend(
    app: &App,
    address: IpAddr,
    (method, request): (&Method, &Parts),
    found: &Resolved,
) -> Result<(), NotServed> {
    let instead = |response: Response| NotServed::Instead(Box::new(response));
    if !is_click(app, method, request, found) {
        return Err(instead(preview::of(app, request, (&found.target, Choice::Url), None)));
    }
    let (target, era) = (&found.target, app.links.era());
    match app.budgets.ask(target.key.clone(), target.version, era.number()).await? {
        Grant::Given => Ok(()),
        Grant::Last(last) => {
            // From now on it is spent here, for whoever asks in whatever way.
            let (link, position) = *last;
            app.links.remember(era, link, position, app.clock.now());
            Ok(())
        }
        Grant::Spent => {
            // Others have just taken the last ones. It leads nowhere as any visit after theirs does.
            lost::note_of(app, (OrphanKind::Spent, address), (method, request));
            let answer = after_end(app, found.clone(), End::Spent);
            Err(instead(answer.unwrap_or_else(|ended| ended.into_answer(&request.headers))))
        }
    }
}

/// Whether a person follows the link with this request, as far as one can tell. Who asks for a part of an answer, or
/// for one that has changed, does not open a link.
fn is_click(app: &App, method: &Method, request: &Parts, found: &Resolved) -> bool {
    const CONDITIONS: [header::HeaderName; 6] = [
        header::RANGE,
        header::IF_RANGE,
        header::IF_MATCH,
        header::IF_NONE_MATCH,
        header::IF_MODIFIED_SINCE,
        header::IF_UNMODIFIED_SINCE,
    ];
    if CONDITIONS.iter().any(|condition| request.headers.contains_key(condition)) {
        return false;
    }
    let raw = (method, request.uri.query(), &request.headers);
    let visit = Visit::new(found.target.clone(), app.clock.now(), None, raw);
    let agent = app.agents.recognise(visit.user_agent().unwrap_or_default());
    !agent.class(Some(method.as_str()), visit.purpose()).is_bot()
}

//! Which of one's links are counted together.

use hoplog_events::link::OwnerId;
use hoplog_projections::click_statistics::{Scope, Selection};
use utoipa::IntoParams;

use crate::http::fields::Parameters;
use crate::http::links::place::Places;

/// What narrows the links that are counted together.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes the query; the values are read one by one")]
pub struct SelectionParameters {
    /// Only the links that have this tag now.
    tag: Option<String>,
    /// Only the links of this domain, by its host or as `default` for the service's own.
    domain: Option<String>,
}

/// The links of an owner (`None`: of all) that a query selects.
pub(super) fn selected(query: &mut Parameters, owner: Option<OwnerId>, places: &Places) -> Scope {
    let (tag, domain) = (query.optional("tag"), places.take_filter(query));
    match (owner, &tag, &domain) {
        (None, None, None) => Scope::All,
        (owner, ..) => Scope::Selected(Selection { owner, tag, domain }),
    }
}

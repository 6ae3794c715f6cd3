//! What limits are set for: parts of the service, or single routes by their template. Never the path
//! that somebody sent, which has no end of values.

/// A part of the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// `GET /{code}`, `/{code}+` and `/{code}.qr`.
    Redirect,
    /// The same, where nobody has the code.
    UnknownCode,
    /// Any request to the API.
    Api,
    /// Links that are made one by one.
    Create,
    /// Links that are made many at once.
    Bulk,
    /// Tags that get another name, on many links at once.
    Rename,
    /// A request with a key that does not work.
    AuthFailure,
    /// A guess at the password of a link that is wrong.
    WrongPassword,
    /// A report of a link.
    Report,
    /// What other services ask about.
    Service,
    /// One route of the API.
    Route(&'static str),
}

/// The words for the parts, as they stand in a policy file.
pub const WORDS: [(&str, Place); 10] = [
    ("redirect", Place::Redirect),
    ("unknown-code", Place::UnknownCode),
    ("api", Place::Api),
    ("create", Place::Create),
    ("bulk", Place::Bulk),
    ("rename", Place::Rename),
    ("auth-failure", Place::AuthFailure),
    ("wrong-password", Place::WrongPassword),
    ("report", Place::Report),
    ("service", Place::Service),
];

/// The routes of the API, by their templates.
pub const ROUTES: [&str; 49] = [
    "/api/analytics/{code}",
    "/api/shorten",
    "/api/v1/clicks/import",
    "/api/v1/domains",
    "/api/v1/domains/{name}",
    "/api/v1/events",
    "/api/v1/keys",
    "/api/v1/keys/{id}",
    "/api/v1/links",
    "/api/v1/links/bulk",
    "/api/v1/links/{code}",
    "/api/v1/links/{code}/appeal",
    "/api/v1/links/{code}/clicks",
    "/api/v1/links/{code}/disable",
    "/api/v1/links/{code}/enable",
    "/api/v1/links/{code}/history",
    "/api/v1/links/{code}/personal-data",
    "/api/v1/links/{code}/quarantine",
    "/api/v1/links/{code}/rank",
    "/api/v1/links/{code}/release",
    "/api/v1/links/{code}/split",
    "/api/v1/links/{code}/stats",
    "/api/v1/orphans",
    "/api/v1/orphans/stats",
    "/api/v1/projections",
    "/api/v1/projections/{name}",
    "/api/v1/projections/{name}/parked",
    "/api/v1/projections/{name}/pause",
    "/api/v1/projections/{name}/rebuild",
    "/api/v1/projections/{name}/resume",
    "/api/v1/projections/{name}/retry",
    "/api/v1/projections/{name}/rollback",
    "/api/v1/projections/{name}/skip",
    "/api/v1/projections/{name}/verify",
    "/api/v1/ratelimit/check",
    "/api/v1/ratelimit/policies",
    "/api/v1/stats",
    "/api/v1/tags",
    "/api/v1/tags/{tag}/rename",
    "/api/v1/top",
    "/api/v1/visitors/{visitor}/personal-data",
    "/api/v1/webhooks",
    "/api/v1/webhooks/{id}",
    "/api/v1/webhooks/{id}/deliveries",
    "/api/v1/webhooks/{id}/deliveries/{messageId}/retry",
    "/api/v1/webhooks/{id}/disable",
    "/api/v1/webhooks/{id}/enable",
    "/api/v1/webhooks/{id}/rotate-secret",
    "/api/v1/webhooks/{id}/test",
];

/// The ways to make one link.
const CREATE: [&str; 2] = ["/api/v1/links", "/api/shorten"];

/// What changes many links in one request.
const RENAME: &str = "/api/v1/tags/{tag}/rename";

impl Place {
    /// The part or the route of that name.
    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        let part = WORDS.iter().find(|(name, _)| *name == word).map(|(_, place)| *place);
        part.or_else(|| ROUTES.iter().find(|route| **route == word).map(|route| Self::Route(route)))
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Route(route) => route,
            part => WORDS.iter().find(|(_, place)| *place == part).map_or("", |(name, _)| name),
        }
    }

    /// Whether a request to the API is looked at there before it is answered.
    #[must_use]
    pub(super) fn is_of_the_api(self) -> bool {
        matches!(self, Self::Api | Self::Create | Self::Rename | Self::Route(_))
    }

    /// Whether who asks may have a key.
    #[must_use]
    pub(super) fn knows_keys(self) -> bool {
        self.is_of_the_api() || self == Self::Bulk
    }

    /// Whether a request to a route of the API is one of those meant.
    #[must_use]
    pub(super) fn takes_in(self, is_post: bool, route: &str) -> bool {
        match self {
            Self::Api => true,
            Self::Create => is_post && CREATE.contains(&route),
            Self::Rename => is_post && route == RENAME,
            Self::Route(template) => template == route,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_has_a_name_that_leads_back_to_it() {
        for (word, place) in WORDS {
            assert_eq!((Place::of(word), place.name()), (Some(place), word));
        }
        for route in ROUTES {
            assert_eq!(Place::of(route), Some(Place::Route(route)));
        }
        assert_eq!(Place::of("/api/v1/links/abc"), None);
    }

    #[test]
    fn making_a_link_is_a_post_to_one_of_two_routes() {
        let makes = |is_post, route| Place::Create.takes_in(is_post, route);
        assert!(makes(true, "/api/v1/links") && makes(true, "/api/shorten"));
        assert!(!makes(false, "/api/v1/links") && !makes(true, "/api/v1/links/bulk"));
        assert!(Place::Rename.takes_in(true, "/api/v1/tags/{tag}/rename"));
        assert!(!Place::Rename.takes_in(true, "/api/v1/links"));
        assert!(Place::Api.takes_in(false, "/api/v1/links"));
        assert!(Place::Route("/api/v1/top").takes_in(false, "/api/v1/top"));
        assert!(!Place::Redirect.takes_in(false, "/api/v1/top"));
    }
}

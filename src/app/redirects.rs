//! What the settings say of redirects.

use axum::http::{HeaderValue, StatusCode};

use super::App;
use crate::clicks::country::Locator;
use crate::http::problem::Problem;
use crate::queries::resolve_link::Target;

impl App {
    /// Where addresses are.
    #[must_use]
    pub fn locator(&self) -> &Locator {
        self.enricher.locator()
    }

    /// What a disabled link is answered with.
    #[must_use]
    pub fn disabled_problem(&self) -> Problem {
        let status =
            if self.disabled_is_forbidden { StatusCode::FORBIDDEN } else { StatusCode::NOT_FOUND };
        Problem::new(status, "link_disabled", "the link is switched off")
    }

    /// How long a browser may keep a redirect: never beyond the link's end.
    #[must_use]
    pub fn redirect_cache_control(&self, target: &Target) -> HeaderValue {
        if self.redirect_max_age_s == 0 {
            return HeaderValue::from_static("private, max-age=0");
        }
        let left = target.expires_at.map(|end| (end - self.clock.now()).num_seconds());
        let left = left.map_or(u32::MAX, |left| u32::try_from(left).unwrap_or(0));
        let max_age = self.redirect_max_age_s.min(left);
        crate::http::headers::ascii(&format!("private, max-age={max_age}"))
    }
}

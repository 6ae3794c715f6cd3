//! Codes that people choose.

use std::str::FromStr;

use hoplog_events::link::{CodeError, ShortCode};

/// First path segments that belong to the service, or that browsers, crawlers and scanners ask
/// for on their own. Compared without case, because people read `API` and `api` as the same.
pub(crate) const RESERVED: &[&str] = &[
    "about",
    "account",
    "accounts",
    "admin",
    "api",
    "apple-app-site-association",
    "apple-touch-icon",
    "assets",
    "asyncapi",
    "auth",
    "billing",
    "browserconfig",
    "callback",
    "contact",
    "dashboard",
    "docs",
    "events",
    "favicon",
    "graphql",
    "health",
    "healthz",
    "help",
    "home",
    "humans",
    "index",
    "legal",
    "link",
    "links",
    "live",
    "login",
    "logout",
    "manifest",
    "me",
    "metrics",
    "null",
    "oauth",
    "openapi",
    "ping",
    "privacy",
    "public",
    "qr",
    "ready",
    "readyz",
    "register",
    "report",
    "robots",
    "root",
    "rpc",
    "security",
    "settings",
    "shorten",
    "signin",
    "signup",
    "sitemap",
    "static",
    "stats",
    "status",
    "support",
    "swagger",
    "system",
    "terms",
    "undefined",
    "user",
    "users",
    "v1",
    "v2",
    "version",
    "webhook",
    "webhooks",
    "well-known",
    "www",
];

/// Whether a code belongs to the service, in whatever case it is written.
#[must_use]
pub fn is_reserved(code: &str) -> bool {
    RESERVED.iter().any(|reserved| reserved.eq_ignore_ascii_case(code))
}

/// A code that a person chose and may have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alias(ShortCode);

/// Why a person can't have a code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AliasError {
    /// Write it with other characters.
    #[error(transparent)]
    Code(#[from] CodeError),
    /// Choose another.
    #[error("is reserved for the service itself")]
    Reserved,
}

impl Alias {
    /// The code.
    #[must_use]
    pub fn into_code(self) -> ShortCode {
        self.0
    }
}

impl FromStr for Alias {
    type Err = AliasError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let code: ShortCode = text.parse()?;
        if is_reserved(text) {
            return Err(AliasError::Reserved);
        }
        Ok(Self(code))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Trap 9 (U13): the service's own routes, in any case.
    #[test]
    fn trap_9_routes_of_the_service_are_nobodys_alias() {
        for text in ["api", "API", "Health", "metrics", "docs", "robots", "www"] {
            assert_eq!(text.parse::<Alias>(), Err(AliasError::Reserved), "{text}");
        }
        for text in ["apis", "launch", "my-health"] {
            assert!(text.parse::<Alias>().is_ok(), "{text}");
        }
        assert_eq!("a b".parse::<Alias>(), Err(AliasError::Code(CodeError::Character(' '))));
    }

    #[test]
    fn the_reserved_words_are_in_order_and_each_once() {
        assert!(RESERVED.is_sorted_by(|one, next| one < next));
    }
}

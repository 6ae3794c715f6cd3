//! Passwords of links, as their owners give them.

use hoplog_events::link::PasswordHash;
use serde_json::{Map, Value};

use crate::app::App;
use crate::domain::link::Link;
use crate::domain::password::Password;
use crate::execute::ExecuteError;
use crate::http::problem::Problem;
use crate::passwords::{HashingError, Lane};

/// The field that has it in clear.
pub(super) const PASSWORD: &str = "password";

/// A request in one fixed spelling (the fields of a JSON object are sorted), to tell whether it is the same
/// again. The hash of that is on the log, and takes a moment to compute: whoever reads it could guess passwords
/// at leisure. So of a password it says that there is one; [`check_repeated`] tells another one.
pub(super) fn spelled(body: &Map<String, Value>) -> String {
    let spelled = match body.get(PASSWORD) {
        Some(Value::String(_)) => {
            let mut body = body.clone();
            body.insert(PASSWORD.to_owned(), true.into());
            serde_json::to_string(&body)
        }
        _ => serde_json::to_string(body),
    };
    spelled.unwrap_or_default()
}

/// The hash of a password that is to be set. Where it is the one that the link has, nothing changes.
pub(super) async fn hash(
    app: &App,
    lane: Lane,
    password: &Password,
    before: Option<PasswordHash>,
) -> Result<PasswordHash, Problem> {
    Ok(app.passwords.kept_or_hashed(lane, password.clone(), before).await?)
}

/// Whether a request that was done before was this one: with the same password. `link`: as it left the link.
pub(super) async fn check_repeated(
    app: &App,
    lane: Lane,
    password: &Password,
    link: &Link,
) -> Result<(), Problem> {
    let is_same = match &link.extras.password {
        Some(hash) => app.passwords.is_right(lane, password.clone(), hash.clone()).await?,
        None => false,
    };
    if is_same { Ok(()) } else { Err(ExecuteError::IdempotencyKeyReused.into()) }
}

impl From<HashingError> for Problem {
    fn from(error: HashingError) -> Self {
        match error {
            HashingError::Busy => Self::unavailable("passwords_busy", error.to_string(), 1),
            HashingError::Broken(_) => {
                tracing::error!(%error, "a password can't be looked at");
                Self::internal()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Fault 6 of passwords in the field: what is kept of a request must not be a quick way to guess its password.
    #[test]
    fn a_request_is_spelled_without_its_password() {
        let spelled = |body: Value| super::spelled(body.as_object().unwrap());
        let one = spelled(json!({ "url": "https://e.com/", "password": "sesame" }));
        assert_eq!(one, r#"{"password":true,"url":"https://e.com/"}"#);
        assert_eq!(one, spelled(json!({ "url": "https://e.com/", "password": "other" })));
        assert_ne!(one, spelled(json!({ "url": "https://e.com/", "password": null })));
        assert_ne!(one, spelled(json!({ "url": "https://e.com/" })));
    }
}

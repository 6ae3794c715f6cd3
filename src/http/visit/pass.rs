//! The pass that a visitor gets for the right password, so that it is not asked for again for some minutes: a
//! cookie that says until when, signed.
//!
//! It is signed with the hash of the password, whose salt and sum nobody is shown: 128 random bits that every
//! node has with the link, that a restart keeps, and that are others as soon as the password is changed.

use axum::http::{HeaderMap, HeaderValue, header};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use hoplog_events::link::{LinkKey, PasswordHash};
use sha2::Sha256;

/// The cookie's name.
const NAME: &str = "hoplog-pass";

/// How long a pass is good for, in seconds.
const LIFETIME_S: i64 = 10 * 60;

/// Passes in one request that are looked at: a browser has one for a path, or two where there is one of a path
/// above.
const PASSES_MAX: usize = 4;

/// What a link's passes are signed with and for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lock<'a> {
    pub(super) link: &'a LinkKey,
    pub(super) password: &'a PasswordHash,
}

impl Lock<'_> {
    /// `None` never happens: a key may have any length.
    fn mac(&self, until: i64) -> Option<Hmac<Sha256>> {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.password.as_str().as_bytes()).ok()?;
        mac.update(format!("hoplog pass\n{}\n{until}", self.link).as_bytes());
        Some(mac)
    }

    /// The cookie with a pass from now on. Browsers send it for the path of the link and what is below, also when
    /// they come from elsewhere, and show it to no script. `is_secure`: over https only.
    pub(super) fn cookie(&self, now: DateTime<Utc>, is_secure: bool) -> Option<HeaderValue> {
        let until = now.timestamp() + LIFETIME_S;
        let signature = URL_SAFE_NO_PAD.encode(self.mac(until)?.finalize().into_bytes());
        let (code, secure) = (&self.link.code, if is_secure { "; Secure" } else { "" });
        let cookie = format!(
            "{NAME}={until}.{signature}; Path=/{code}; Max-Age={LIFETIME_S}; HttpOnly; SameSite=Lax{secure}"
        );
        HeaderValue::from_str(&cookie).ok()
    }

    /// Whether a request has a pass that is good now.
    pub(super) fn is_open_to(&self, headers: &HeaderMap, now: DateTime<Utc>) -> bool {
        passes(headers).take(PASSES_MAX).any(|pass| self.is_good(pass, now).unwrap_or(false))
    }

    fn is_good(&self, pass: &str, now: DateTime<Utc>) -> Option<bool> {
        let (until, signature) = pass.split_once('.')?;
        let until: i64 = until.parse().ok()?;
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        Some(now.timestamp() < until && self.mac(until)?.verify_slice(&signature).is_ok())
    }
}

/// The values of all cookies with that name.
fn passes(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let given = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let pairs = given.flat_map(|list| list.split(';')).filter_map(|pair| pair.split_once('='));
    pairs.filter(|(name, _)| name.trim() == NAME).map(|(_, value)| value.trim())
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeDelta;
    use proptest::prelude::*;

    const HASH: &str = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA$aGFzaGhhc2hoYXNo";

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
    }

    fn sent(cookies: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, HeaderValue::from_str(cookies).unwrap());
        headers
    }

    /// What a browser sends back of a cookie.
    fn pair(lock: &Lock<'_>) -> String {
        let cookie = lock.cookie(at(0), true).unwrap();
        cookie.to_str().unwrap().split_once("; ").unwrap().0.to_owned()
    }

    #[test]
    fn a_pass_is_good_for_its_link_its_password_and_its_time() {
        let (link, password) = ("default/a".parse().unwrap(), HASH.parse().unwrap());
        let lock = Lock { link: &link, password: &password };
        let headers = sent(&format!("x=1; {}; y", pair(&lock)));
        assert!(lock.is_open_to(&headers, at(0)) && lock.is_open_to(&headers, at(599)));
        assert!(!lock.is_open_to(&headers, at(600)), "over");
        let (other, changed) = ("default/b".parse().unwrap(), format!("{HASH}A").parse().unwrap());
        assert!(!Lock { link: &other, ..lock }.is_open_to(&headers, at(0)), "another link");
        assert!(
            !Lock { password: &changed, ..lock }.is_open_to(&headers, at(0)),
            "another password"
        );
        assert!(!lock.is_open_to(&HeaderMap::new(), at(0)));
    }

    #[test]
    fn a_pass_is_for_the_path_of_its_link_and_for_no_script() {
        let (link, password) = ("default/a".parse().unwrap(), HASH.parse().unwrap());
        let lock = Lock { link: &link, password: &password };
        let cookie = |is_secure| lock.cookie(at(0), is_secure).unwrap();
        let attributes = "; Path=/a; Max-Age=600; HttpOnly; SameSite=Lax";
        assert!(cookie(false).to_str().unwrap().ends_with(attributes));
        assert!(cookie(true).to_str().unwrap().ends_with(&format!("{attributes}; Secure")));
    }

    proptest! {
        /// Nobody makes a pass longer, or another one, by changing any of its characters.
        #[test]
        fn a_pass_that_was_changed_is_none(place in any::<prop::sample::Index>(), new in "[0-9A-Za-z._-]") {
            let (link, password) = ("default/a".parse().unwrap(), HASH.parse().unwrap());
            let lock = Lock { link: &link, password: &password };
            let pair = pair(&lock);
            let value_at = NAME.len() + 1;
            let place = value_at + place.index(pair.len() - value_at);
            let mut changed = pair.clone();
            changed.replace_range(place..=place, &new);
            prop_assume!(changed != pair);
            let is_open = lock.is_open_to(&sent(&changed), at(0) + TimeDelta::seconds(1));
            prop_assert!(!is_open, "{changed}");
        }
    }
}

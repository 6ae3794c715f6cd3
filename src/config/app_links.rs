//! The apps that open this host's links where they are installed.

use std::str::FromStr;

use super::SettingsError;
use super::parse::wrong;

/// How long the prefix of an app's identifier is at Apple, in characters.
const PREFIX_CHARS: usize = 10;

/// How many bytes a certificate's SHA-256 has.
const FINGERPRINT_BYTES: usize = 32;

const APPLE_ALLOWED: &str = "apps such as ABCDE12345.com.example.app (prefix of ten capitals and \
                             digits, then the bundle id), several with commas, each once";

const ANDROID_ALLOWED: &str = "apps such as com.example.app=14:6D:E9:… (package, then the SHA-256 \
                               of its certificate: 32 pairs of hexadecimal digits; further ones \
                               with +), several with commas, each once";

/// The apps that open this host's links.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AppLinks {
    /// On Apple's systems.
    pub apple: Vec<AppleApp>,
    /// On Android.
    pub android: Vec<AndroidApp>,
}

impl AppLinks {
    pub(super) fn of(apple: Option<&str>, android: Option<&str>) -> Result<Self, SettingsError> {
        Ok(Self {
            apple: apps("HOPLOG_APPLE_APPS", apple, APPLE_ALLOWED)?,
            android: apps("HOPLOG_ANDROID_APPS", android, ANDROID_ALLOWED)?,
        })
    }
}

/// The one that is wrong is named, not the whole list.
fn apps<App: FromStr + PartialEq>(
    name: &'static str,
    given: Option<&str>,
    allowed: &'static str,
) -> Result<Vec<App>, SettingsError> {
    let mut apps = Vec::new();
    let parts = given.unwrap_or_default().split(',').map(str::trim);
    for part in parts.filter(|part| !part.is_empty()) {
        match part.parse() {
            Ok(app) if !apps.contains(&app) => apps.push(app),
            _ => return wrong(name, part, allowed),
        }
    }
    Ok(apps)
}

/// An app's identifier at Apple: a prefix, mostly the team's, and the bundle id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppleApp(Box<str>);

impl AppleApp {
    /// As Apple writes it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for AppleApp {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (prefix, bundle) = text.split_once('.').ok_or(())?;
        let prefix_fits = prefix.len() == PREFIX_CHARS
            && prefix.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
        let part_fits = |part: &str| {
            !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        };
        // A wildcard of a provisioning profile would be no app.
        (prefix_fits && bundle.split('.').all(part_fits)).then(|| Self(text.into())).ok_or(())
    }
}

/// An Android app, as who signed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AndroidApp {
    /// Its application id.
    pub package: Box<str>,
    /// The SHA-256 of each certificate that it may be signed with, in capitals, with colons.
    pub fingerprints: Vec<Box<str>>,
}

impl FromStr for AndroidApp {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (package, certificates) = text.split_once('=').ok_or(())?;
        let fingerprints: Option<Vec<_>> =
            certificates.split('+').map(str::trim).map(fingerprint).collect();
        let fingerprints = fingerprints.ok_or(())?;
        let package = package.trim();
        is_package(package).then(|| Self { package: package.into(), fingerprints }).ok_or(())
    }
}

/// Two parts at least, each of which begins with a letter.
fn is_package(text: &str) -> bool {
    let part_fits = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_alphabetic())
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    };
    text.contains('.') && text.split('.').all(part_fits)
}

/// Android takes capitals only. The SHA-1 that stands beside it in most
/// places is too short.
fn fingerprint(text: &str) -> Option<Box<str>> {
    let is_byte = |pair: &str| pair.len() == 2 && pair.bytes().all(|b| b.is_ascii_hexdigit());
    let fits = text.split(':').count() == FINGERPRINT_BYTES && text.split(':').all(is_byte);
    fits.then(|| text.to_ascii_uppercase().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate(pair: &str) -> String {
        [pair; FINGERPRINT_BYTES].join(":")
    }

    #[test]
    fn apps_stand_in_a_list_as_their_makers_write_them() {
        assert_eq!(AppLinks::of(None, Some(" ")), Ok(AppLinks::default()));
        let (one, two) = (certificate("0a"), certificate("FF"));
        let android = format!("com.example.app = {one} + {two}, org.example.a_2={two}");
        let apple = "ABCDE12345.com.example.app,\n 0123456789.Example-2,";
        let apps = AppLinks::of(Some(apple), Some(&android)).unwrap();
        let apple: Vec<&str> = apps.apple.iter().map(AppleApp::as_str).collect();
        assert_eq!(apple, ["ABCDE12345.com.example.app", "0123456789.Example-2"]);
        let android: Vec<_> =
            apps.android.iter().map(|app| (&*app.package, app.fingerprints.len())).collect();
        assert_eq!(android, [("com.example.app", 2), ("org.example.a_2", 1)]);
        assert_eq!(*apps.android[0].fingerprints[0], certificate("0A"), "in capitals");
    }

    #[test]
    fn what_is_no_app_is_named_with_what_would_be_one() {
        for wrong in [
            "com.example.app",
            "ABCDE12345",
            "ABCDE12345.",
            "ABCDE12345..app",
            "ABCDE12345.*",
            "ABCDE12345.com.exa mple",
            "ABCDE1234.com.example.app",
            "abcde12345.com.example.app",
            "ABCDE12345.com.example.äpp",
        ] {
            let list = format!("ABCDE12345.com.example.other,{wrong}");
            let error = AppLinks::of(Some(&list), None).unwrap_err().to_string();
            let expected = format!("HOPLOG_APPLE_APPS is {wrong:?}; allowed: apps such as ABC");
            assert!(error.starts_with(&expected), "{error}");
        }
        let (sha256, sha1) = (certificate("0A"), ["0A"; 20].join(":"));
        for wrong in [
            "com.example.app".to_owned(),
            "com.example.app=".to_owned(),
            format!("com.example.app={sha1}"),
            format!("com.example.app={sha256}:0A"),
            format!("com.example.app={}", sha256.replace(':', "")),
            format!("com.example.app={}", sha256.replace("0A", "0G")),
            format!("com.example.app={sha256}+"),
            format!("app={sha256}"),
            format!("com.2example={sha256}"),
            format!("com.example-app={sha256}"),
            format!("com.example.={sha256}"),
            format!("={sha256}"),
        ] {
            let error = AppLinks::of(None, Some(&wrong)).unwrap_err().to_string();
            let expected = format!("HOPLOG_ANDROID_APPS is {wrong:?}; allowed: apps such as com.");
            assert!(error.starts_with(&expected) && !error.contains('\n'), "{error}");
        }
    }

    #[test]
    fn an_app_stands_in_its_list_once() {
        let twice = "ABCDE12345.com.example.app,ABCDE12345.com.example.app";
        assert!(AppLinks::of(Some(twice), None).is_err());
        let app = |pair: &str| format!("com.example.app={}", certificate(pair));
        let list = |pairs: [&str; 2]| AppLinks::of(None, Some(&pairs.map(&app).join(",")));
        assert!(list(["0a", "0A"]).is_err());
        assert!(list(["0a", "0b"]).is_ok(), "signed by another");
    }
}

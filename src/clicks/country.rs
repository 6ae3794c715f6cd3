//! Where an address is: the built-in table, or a database of the operator's.
//!
//! The built-in table (crate `iptocc`) is made from the registries' own delegation files: it
//! says where an address is *registered*, which is usually, not always, where it is used.

use std::borrow::Cow;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwapOption;
use maxminddb::{MaxMindDbError, PathElement, Reader};

/// How often the operator's file is looked at.
const RELOAD_INTERVAL: Duration = Duration::from_secs(5);

/// Where an address is, as far as is known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// ISO 3166 code, in upper case.
    pub country: Option<Cow<'static, str>>,
    /// The region's name or code.
    pub region: Option<Cow<'static, str>>,
    /// The city's name.
    pub city: Option<Cow<'static, str>>,
}

/// What a file looked like when it was read.
type Stamp = Option<(SystemTime, u64)>;

struct Database {
    reader: Reader<Vec<u8>>,
    stamp: Stamp,
}

/// Answers where addresses are.
pub struct Locator {
    path: Option<PathBuf>,
    database: ArcSwapOption<Database>,
}

impl std::fmt::Debug for Locator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Locator").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Locator {
    /// Uses the operator's database, or the built-in table without one.
    ///
    /// # Errors
    /// When the file can't be read or is no database.
    pub fn open(path: Option<PathBuf>) -> Result<Self, MaxMindDbError> {
        let database = path.as_deref().map(read).transpose()?;
        Ok(Self { path, database: ArcSwapOption::from(database.map(Arc::new)) })
    }

    /// Where an address is.
    #[must_use]
    pub fn locate(&self, address: IpAddr) -> Place {
        match &*self.database.load() {
            Some(database) => look_up(&database.reader, address),
            None => {
                Place { country: iptocc::country_code(address).map(Into::into), ..Place::default() }
            }
        }
    }

    /// Reads the file again whenever it changes, for as long as this is polled.
    pub async fn reload_on_change(&self) {
        loop {
            tokio::time::sleep(RELOAD_INTERVAL).await;
            self.reload();
        }
    }

    /// Reads the file again if it has changed; one that is broken leaves the old in use.
    pub fn reload(&self) {
        let Some(path) = &self.path else { return };
        let current = self.database.load();
        if current.as_ref().is_some_and(|database| database.stamp == stamp(path)) {
            return;
        }
        match read(path) {
            Ok(database) => {
                self.database.store(Some(Arc::new(database)));
                tracing::info!(path = %path.display(), "the address database was read again");
            }
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "the address database can't be read; the old one stays in use");
            }
        }
    }
}

fn read(path: &Path) -> Result<Database, MaxMindDbError> {
    // The stamp first: if the file changes while it is read, it is read once more.
    let stamp = stamp(path);
    Ok(Database { reader: Reader::open_readfile(path)?, stamp })
}

fn stamp(path: &Path) -> Stamp {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

/// The same fact has another place in each vendor's files.
fn look_up(reader: &Reader<Vec<u8>>, address: IpAddr) -> Place {
    use PathElement::{Index, Key};
    let Ok(found) = reader.lookup(address) else { return Place::default() };
    let first = |paths: &[&[PathElement<'_>]]| {
        paths
            .iter()
            .find_map(|path| found.decode_path::<String>(path).ok().flatten())
            .map(Into::into)
    };
    Place {
        country: first(&[&[Key("country"), Key("iso_code")], &[Key("country_code")]]),
        region: first(&[
            &[Key("subdivisions"), Index(0), Key("names"), Key("en")],
            &[Key("subdivisions"), Index(0), Key("iso_code")],
            &[Key("state1")],
        ]),
        city: first(&[&[Key("city"), Key("names"), Key("en")], &[Key("city")]]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_table_knows_registries_and_says_nothing_of_private_addresses() {
        let locator = Locator::open(None).unwrap();
        let country = |address: &str| locator.locate(address.parse().unwrap()).country;
        assert_eq!(country("193.0.6.139").as_deref(), Some("NL"));
        assert_eq!(country("2001:4860:4860::8888").as_deref(), Some("US"));
        assert_eq!(country("10.0.0.1"), None);
    }

    #[test]
    fn a_file_that_is_no_database_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "no database").unwrap();
        assert!(Locator::open(Some(file.path().into())).is_err());
    }
}

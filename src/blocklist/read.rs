//! Reading a source.

use std::error::Error;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use reqwest::header::{ETAG, HeaderValue, IF_NONE_MATCH};
use reqwest::{Client, StatusCode, Url};

use super::Source;
use crate::domain::blocklist::{BlockList, BlockListReader, LineError};

/// The longest list, in bytes: some five million names.
const SOURCE_BYTES_MAX: u64 = 128 * 1024 * 1024;

/// How many wrong lines of a list are told one by one.
const BAD_LINES_TOLD_MAX: u64 = 10;

/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A list that was read.
pub(super) struct Reading {
    pub(super) list: Arc<BlockList>,
    pub(super) version: Version,
    /// How many lines are wrong.
    pub(super) bad: u64,
}

/// What tells a list from a later one without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Version {
    File(Option<(SystemTime, u64)>),
    Tag(Option<HeaderValue>),
}

/// Why a list is not read.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadingError {
    /// Look at the file.
    #[error(transparent)]
    File(#[from] io::Error),
    /// Look at the server; it is asked again.
    #[error("{0}")]
    Fetch(String),
    /// Look at where it comes from, or say that nothing is listed.
    #[error("it is empty; a list of nothing has a comment, such as # empty")]
    Empty,
    /// Use another one: this is no list.
    #[error("it is no list: {bad} of its lines are wrong, {right} are right")]
    NoList {
        /// How many lines list something.
        right: u64,
        /// How many are wrong.
        bad: u64,
    },
    /// Divide it.
    #[error("it is longer than {SOURCE_BYTES_MAX} bytes")]
    TooLong,
    /// This is a mistake in the program.
    #[error("the reading was broken off: {0}")]
    Task(#[from] tokio::task::JoinError),
}

impl Source {
    /// The list; `None`: it is the one of a version that is known. `patience`: how long a server has for all of it.
    pub(super) async fn read(
        &self,
        known: Option<&Version>,
        patience: Duration,
    ) -> Result<Option<Reading>, ReadingError> {
        let (bytes, version) = match self {
            Source::File(path) => {
                // First: if it changes while it is read, it is read once more.
                let version = Version::File(stamp(path));
                if known == Some(&version) {
                    return Ok(None);
                }
                let path = path.clone();
                (tokio::task::spawn_blocking(move || file(&path)).await??, version)
            }
            Source::Url(url) => match fetch(url, known, patience).await? {
                Some((bytes, tag)) => (bytes, Version::Tag(tag)),
                None => return Ok(None),
            },
        };
        let name = self.name();
        let parsed = tokio::task::spawn_blocking(move || parse(&name, &bytes)).await?;
        let (list, bad) = parsed?;
        Ok(Some(Reading { list: Arc::new(list), version, bad }))
    }
}

fn stamp(path: &Path) -> Option<(SystemTime, u64)> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

fn file(path: &Path) -> Result<Vec<u8>, ReadingError> {
    let mut bytes = Vec::new();
    File::open(path)?.take(SOURCE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > SOURCE_BYTES_MAX { Err(ReadingError::TooLong) } else { Ok(bytes) }
}

type Fetched = Option<(Vec<u8>, Option<HeaderValue>)>;

async fn fetch(
    url: &Url,
    known: Option<&Version>,
    patience: Duration,
) -> Result<Fetched, ReadingError> {
    let mut request = client(patience)?.get(url.clone());
    if let Some(Version::Tag(Some(tag))) = known {
        request = request.header(IF_NONE_MATCH, tag);
    }
    let mut response = request.send().await.map_err(|error| failed(&error))?;
    if response.status() == StatusCode::NOT_MODIFIED && known.is_some() {
        return Ok(None);
    }
    if response.status() != StatusCode::OK {
        return Err(ReadingError::Fetch(format!("the server answers {}", response.status())));
    }
    let tag = response.headers().get(ETAG).cloned();
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| failed(&error))? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() as u64 > SOURCE_BYTES_MAX {
            return Err(ReadingError::TooLong);
        }
    }
    Ok(Some((bytes, tag)))
}

/// A new one for each list: there are minutes between them.
fn client(patience: Duration) -> Result<Client, ReadingError> {
    // A second call finds the first one's provider: the same.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder()
        .referer(false)
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(patience)
        .user_agent(concat!("hoplog-blocklist/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| failed(&error))
}

/// The innermost reason: the outer ones repeat the URL.
fn failed(error: &reqwest::Error) -> ReadingError {
    let mut reason: &dyn Error = error;
    while let Some(inner) = reason.source() {
        reason = inner;
    }
    ReadingError::Fetch(reason.to_string())
}

/// The list, and how many of its lines are wrong. What is no list at all, such as nothing, or a page that asks to log in,
/// does not take the place of one, though some of its words may look like names.
fn parse(name: &str, bytes: &[u8]) -> Result<(BlockList, u64), ReadingError> {
    if bytes.trim_ascii().is_empty() {
        return Err(ReadingError::Empty);
    }
    let (mut reader, mut right, mut bad) = (BlockListReader::default(), 0, 0);
    for (line, number) in bytes.split(|byte| *byte == b'\n').zip(1_u64..) {
        let text = std::str::from_utf8(line).map_err(|_| LineError::Encoding);
        let error = match text.and_then(|line| reader.line(line)) {
            Ok(lists) => {
                right += u64::from(lists);
                continue;
            }
            Err(error) => error,
        };
        if bad < BAD_LINES_TOLD_MAX {
            tracing::warn!(source = name, line = number, %error, "a line of a block list is left out");
        }
        bad += 1;
    }
    if bad > right { Err(ReadingError::NoList { right, bad }) } else { Ok((reader.finish(), bad)) }
}

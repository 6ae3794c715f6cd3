//! Where a list is.

use std::path::PathBuf;
use std::str::FromStr;

use url::Url;

/// Where a list is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A file.
    File(PathBuf),
    /// A page of somebody's server.
    Url(Url),
}

/// Name a file, or an http or https URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is neither a file nor an http or https URL")]
pub struct SourceError;

impl FromStr for Source {
    type Err = SourceError;

    fn from_str(text: &str) -> Result<Self, SourceError> {
        if !text.contains("://") {
            let path = PathBuf::from(text);
            return if path.is_file() { Ok(Self::File(path)) } else { Err(SourceError) };
        }
        let url: Url = text.parse().map_err(|_| SourceError)?;
        let is_http = matches!(url.scheme(), "http" | "https");
        if is_http { Ok(Self::Url(url)) } else { Err(SourceError) }
    }
}

impl Source {
    /// What people call it: without what may be a password in it.
    #[must_use]
    pub fn name(&self) -> Box<str> {
        match self {
            Self::File(path) => path.display().to_string().into(),
            Self::Url(url) => {
                let host = url.host_str().unwrap_or_default();
                format!("{}://{host}{}", url.scheme(), url.path()).into()
            }
        }
    }
}

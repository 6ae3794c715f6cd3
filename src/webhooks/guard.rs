//! The one way to hosts that somebody else has named: a name is resolved here, and the connection is made to an address that
//! was looked at, never to the name. So a name that leads elsewhere a moment later leads nowhere.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use futures::future::BoxFuture;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::targets::{Targets, Way};

/// Who says which addresses a name has. Their ports mean nothing.
pub type Names =
    Arc<dyn Fn(String) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> + Send + Sync>;

/// The names that this machine knows.
#[must_use]
pub fn names() -> Names {
    Arc::new(|name| {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name, 0)).await?;
            Ok(found.collect())
        })
    })
}

/// Resolves names, and gives only addresses that may be connected to: what is looked at is what
/// is used.
pub struct Guard {
    targets: Arc<Targets>,
    way: Way,
    names: Names,
}

/// A name that does not exist and one that leads where nothing may go are told alike: nobody
/// finds out which names there are inside.
#[derive(Debug, thiserror::Error)]
#[error("the host is not known, or has no address that is allowed (HOPLOG_WEBHOOK_ALLOW)")]
pub struct NoAddress;

impl Guard {
    /// A guard of what these targets admit by this way.
    #[must_use]
    pub fn new(targets: Arc<Targets>, way: Way, names: Names) -> Self {
        Self { targets, way, names }
    }
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let (targets, way) = (Arc::clone(&self.targets), self.way);
        let found = (self.names)(name.as_str().to_owned());
        Box::pin(async move {
            let found = found.await.map_err(|_| NoAddress)?;
            let admitted: Vec<SocketAddr> =
                found.into_iter().filter(|address| targets.admit(address.ip(), way)).collect();
            if admitted.is_empty() {
                return Err(NoAddress.into());
            }
            Ok(Box::new(admitted.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A name that leads to this machine is resolved, and then not connected to.
    #[tokio::test]
    async fn a_name_gives_only_addresses_that_are_admitted() {
        for (allow, way, admitted) in [
            ("", Way::Encrypted, false),
            ("10.0.0.0/8", Way::Encrypted, false),
            ("private", Way::Encrypted, true),
            ("private", Way::Plain, true),
        ] {
            let targets = Arc::new(Targets::parse(allow).unwrap());
            let guard = Guard::new(targets, way, names());
            let found = guard.resolve("localhost".parse().unwrap()).await;
            match found {
                Ok(mut addresses) => {
                    assert!(admitted && addresses.all(|one| one.ip().is_loopback()), "{allow}");
                }
                Err(error) => assert!(!admitted && error.is::<NoAddress>(), "{allow}: {error}"),
            }
        }
    }
}

//! What pages call themselves: fetched when their links are there already, and never while somebody waits.
//!
//! Whoever makes a link chooses an address that this server then connects to. So it goes through the guard of webhooks
//! ([`crate::webhooks::guard`]), at every hop, and everything about it has a bound: time, bytes, hops, look-ups, attempts.
//!
//! ```text
//! fetch: hops, each looked at ──► page: finds <title> in what has come ──► text: letters, references, one line
//! ```
//!
//! Which links are looked at, and when, is in `src/app/serve/titles.rs`.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::webhooks::guard::Names;
use crate::webhooks::targets::Targets;

mod fetch;
mod page;
#[cfg(test)]
mod tests;
mod text;

pub use fetch::{FetchError, Fetcher};

/// How many names are looked up at once: a look-up that nobody waits for any more keeps its thread until the system gives up.
const LOOK_UPS_MAX: usize = 8;

/// Whether pages are asked what they call themselves, and which.
#[derive(Debug, Clone, Default)]
pub struct TitleSettings {
    /// Whether they are.
    pub fetch: bool,
    /// Which networks inside may be asked as well.
    pub targets: Targets,
}

/// The names that this machine knows, a few at a time.
fn names() -> Names {
    let room = Arc::new(Semaphore::new(LOOK_UPS_MAX));
    Arc::new(move |name| {
        let room = Arc::clone(&room);
        Box::pin(async move {
            let place = room.acquire_owned().await.map_err(io::Error::other)?;
            let look_up = move || {
                let _place = place;
                let found: io::Result<Vec<SocketAddr>> =
                    (name.as_str(), 0).to_socket_addrs().map(Iterator::collect);
                found
            };
            tokio::task::spawn_blocking(look_up).await.map_err(io::Error::other)?
        })
    })
}

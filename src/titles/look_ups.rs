//! Looks up names, a few at a time. A look-up that nobody waits for any more keeps its thread until the system gives up, which
//! may be long after a page's time is over; so whoever asks a page waits for a place first, and its time begins then.

use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use url::{Host, Url};

use crate::webhooks::guard::Names;

/// How many names are looked up at once.
const LOOK_UPS_MAX: usize = 16;

/// Places for look-ups.
#[derive(Debug)]
pub(super) struct Places {
    room: Arc<Semaphore>,
    /// Places that are taken for names which are about to be looked up.
    taken: Mutex<HashMap<Box<str>, Vec<OwnedSemaphorePermit>>>,
}

impl Default for Places {
    fn default() -> Self {
        let room = Arc::new(Semaphore::new(LOOK_UPS_MAX));
        Self { room, taken: Mutex::default() }
    }
}

/// A place that is taken for a name; given back with this, unless the look-up has it.
pub(super) struct Taken<'a> {
    places: &'a Places,
    name: Box<str>,
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.places.take(&self.name);
    }
}

impl Places {
    /// Waits for a place for the look-up of a URL's host, if it has a name.
    pub(super) async fn of(&self, url: &Url) -> Option<Taken<'_>> {
        let Some(Host::Domain(name)) = url.host() else { return None };
        let place = Arc::clone(&self.room).acquire_owned().await.ok()?;
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.entry(name.into()).or_default().push(place);
        Some(Taken { places: self, name: name.into() })
    }

    fn take(&self, name: &str) -> Option<OwnedSemaphorePermit> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let places = taken.get_mut(name)?;
        let place = places.pop();
        if places.is_empty() {
            taken.remove(name);
        }
        place
    }

    /// The names that this machine knows.
    pub(super) fn names(self: &Arc<Self>) -> Names {
        let places = Arc::clone(self);
        Arc::new(move |name| {
            let places = Arc::clone(&places);
            Box::pin(async move {
                let place = match places.take(&name) {
                    place @ Some(_) => place,
                    None => Arc::clone(&places.room).acquire_owned().await.ok(),
                };
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
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A place is waited for before the time of a page begins, and given back whether it was used or not.
    #[tokio::test]
    async fn every_place_comes_back() {
        let places = Arc::new(Places::default());
        let url = "http://localhost/".parse().unwrap();
        let all = futures::future::join_all((0..LOOK_UPS_MAX).map(|_| places.of(&url))).await;
        assert_eq!(places.room.available_permits(), 0);
        let one_more = places.of(&url);
        assert!(futures::FutureExt::now_or_never(one_more).is_none(), "it waits");
        assert!((places.names())("localhost".to_owned()).await.is_ok());
        assert_eq!(places.room.available_permits(), 1, "the look-up had it");
        drop(all);
        assert_eq!(places.room.available_permits(), LOOK_UPS_MAX);
        assert!(places.taken.lock().unwrap().is_empty());
        assert!(places.of(&"http://127.0.0.1/".parse().unwrap()).await.is_none());
    }
}

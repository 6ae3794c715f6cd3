//! Who is reading streams: how many there may be, how many there are, and who was cut off.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::http::problem::Problem;
use crate::http::server::Cut;

/// How many streams are read at once: half of the connections that there may be, so that redirects
/// always find a place.
const READERS_MAX: usize = 5_000;

/// When to come again while there are as many readers as there may be, in seconds.
const RETRY_AFTER_S: u32 = 5;

/// Places for readers.
#[derive(Debug)]
pub struct Readers(Arc<Semaphore>);

/// A reader's place, free again when this is dropped.
#[derive(Debug)]
pub(in crate::http) struct Reading {
    cut: Cut,
    _place: OwnedSemaphorePermit,
}

impl Default for Readers {
    fn default() -> Self {
        Self::new(READERS_MAX)
    }
}

impl Readers {
    fn new(count: usize) -> Self {
        Self(Arc::new(Semaphore::new(count)))
    }

    /// A place for one more.
    pub(in crate::http) fn enter(&self, cut: Cut) -> Result<Reading, Problem> {
        let place = Arc::clone(&self.0).try_acquire_owned().map_err(|_| {
            let detail = "as many streams are being read as there may be";
            Problem::unavailable("too_many_readers", detail, RETRY_AFTER_S)
        })?;
        metrics::gauge!("hoplog_event_readers").increment(1.0);
        Ok(Reading { cut, _place: place })
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        metrics::gauge!("hoplog_event_readers").decrement(1.0);
        if self.cut.was_made() {
            metrics::counter!("hoplog_event_readers_cut_total").increment(1);
            tracing::info!("a reader of a stream took nothing for too long and was cut off");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::StatusCode;

    #[test]
    fn who_finds_no_place_is_told_to_come_again() {
        let readers = Readers::new(2);
        let one = readers.enter(Cut::default()).unwrap();
        let _other = readers.enter(Cut::default()).unwrap();
        let problem = readers.enter(Cut::default()).unwrap_err();
        assert_eq!(
            (problem.status(), problem.code()),
            (StatusCode::SERVICE_UNAVAILABLE, "too_many_readers")
        );
        drop(one);
        readers.enter(Cut::default()).unwrap();
    }
}

//! How a body arrives: whole, within the limit of its route, and in time.

use std::error::Error;
use std::time::Duration;

use axum::body::BodyDataStream;
use axum::http::{HeaderValue, StatusCode, header};
use futures::StreamExt;
use http_body_util::LengthLimitError;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;

use super::too_large;
use crate::http::problem::Problem;

/// How many pieces of a body that is too large are read and thrown away. A client that is still
/// sending when the connection is closed would never see the answer.
const DISCARDED_PIECES_MAX: usize = 256;

/// How long a body is waited for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// In any case.
    pub(super) timeout: Duration,
    /// And a second more for as many bytes as this that have arrived: who sends a large body must
    /// send it at this pace at least.
    pub(super) pace_bytes: u64,
    /// Without a byte, once the server has been told to stop.
    pub(super) leaving: Duration,
}

impl Patience {
    /// The headers of a request have as long. The largest body may take four and a half minutes.
    pub(super) const USUAL: Self = Self {
        timeout: Duration::from_secs(10),
        pace_bytes: 64 * 1024,
        leaving: Duration::from_secs(1),
    };

    fn after(self, bytes: usize) -> Duration {
        self.timeout + Duration::from_secs(bytes as u64 / self.pace_bytes)
    }
}

/// The whole body.
pub(super) async fn read(
    mut body: BodyDataStream,
    stop: &CancellationToken,
    patience: Patience,
) -> Result<Vec<u8>, Problem> {
    let started = Instant::now();
    let mut bytes = Vec::new();
    loop {
        let deadline = started + patience.after(bytes.len());
        let piece = tokio::select! {
            biased;
            piece = body.next() => piece,
            () = sleep_until(deadline) => return Err(too_slow()),
            () = stalls(stop, patience.leaving) => return Err(too_slow()),
        };
        match piece {
            None => return Ok(bytes),
            Some(Ok(piece)) => bytes.extend_from_slice(&piece),
            Some(Err(error)) if is_too_large(&error) => {
                let rest = body.take(DISCARDED_PIECES_MAX);
                let _ = timeout_at(deadline, rest.for_each(|_| std::future::ready(()))).await;
                return Err(too_large());
            }
            Some(Err(_)) => {
                let detail = "the body did not arrive";
                return Err(Problem::new(StatusCode::BAD_REQUEST, "incomplete_body", detail));
            }
        }
    }
}

/// A server that stops waits for a body that is on its way, and not for one that stands still.
async fn stalls(stop: &CancellationToken, leaving: Duration) {
    stop.cancelled().await;
    sleep(leaving).await;
}

/// What is still to come is not read any more, so the connection ends with this answer.
fn too_slow() -> Problem {
    let detail = "the body did not arrive in time";
    Problem::new(StatusCode::REQUEST_TIMEOUT, "body_timeout", detail)
        .with_header(header::CONNECTION, HeaderValue::from_static("close"))
}

fn is_too_large(error: &axum::Error) -> bool {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if error.is::<LengthLimitError>() {
            return true;
        }
        cause = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;
    use futures::stream;
    use std::convert::Infallible;

    const SHORT: Patience = Patience {
        timeout: Duration::from_millis(20),
        pace_bytes: 1_000,
        leaving: Duration::from_millis(20),
    };

    /// Pieces of 1,000 bytes, and then nothing more, but no end either.
    fn half_a_body(pieces: usize) -> BodyDataStream {
        let pieces = stream::iter(vec![Ok::<_, Infallible>("x".repeat(1_000)); pieces]);
        Body::from_stream(pieces.chain(stream::pending())).into_data_stream()
    }

    #[tokio::test]
    async fn a_body_that_does_not_come_is_given_up() {
        let stop = CancellationToken::new();
        let problem = read(half_a_body(0), &stop, SHORT).await.unwrap_err();
        assert_eq!(
            (problem.status(), problem.code()),
            (StatusCode::REQUEST_TIMEOUT, "body_timeout")
        );
        let whole = Body::from("whole").into_data_stream();
        assert_eq!(read(whole, &stop, SHORT).await.unwrap(), b"whole");
    }

    #[tokio::test]
    async fn a_body_that_is_on_its_way_is_given_longer() {
        let started = Instant::now();
        let stop = CancellationToken::new();
        read(half_a_body(1), &stop, SHORT).await.unwrap_err();
        assert!(started.elapsed() >= Duration::from_secs(1));
    }

    #[tokio::test]
    async fn a_server_that_stops_waits_for_no_body_that_stands_still() {
        let stop = CancellationToken::new();
        let ages = Patience { timeout: Duration::from_hours(1), ..SHORT };
        let (result, ()) = tokio::join!(read(half_a_body(9), &stop, ages), async { stop.cancel() });
        assert_eq!(result.unwrap_err().code(), "body_timeout");
    }
}

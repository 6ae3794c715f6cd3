//! Deadlines of connections that cost a request nothing: they are looked at when the connection
//! is polled, and each connection is polled once a second at least. A timer of the runtime would
//! be made, registered and taken back for every request; without, a redirect costs a tenth less
//! of the server's own time.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper::rt::{Sleep, Timer};

/// How much later than its end a deadline may be noticed.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Gives deadlines that wake nobody: poll what holds them with [`look_now_and_then`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadlines;

struct Deadline(Instant);

impl Timer for Deadlines {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(Instant::now() + duration)
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        Box::pin(Deadline(deadline))
    }
}

impl Sleep for Deadline {}

impl Future for Deadline {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if Instant::now() >= self.0 { Poll::Ready(()) } else { Poll::Pending }
    }
}

/// Polls a future whenever it asks for it, and once a second.
pub(super) async fn look_now_and_then<F: Future>(future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    let mut looks = tokio::time::interval(LOOK_INTERVAL);
    loop {
        tokio::select! {
            biased;
            output = &mut future => return output,
            _ = looks.tick() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_deadline_is_noticed_although_nothing_else_happens() {
        look_now_and_then(Deadlines.sleep_until(Instant::now())).await;
        look_now_and_then(Deadlines.sleep(Duration::from_millis(20))).await;
    }
}

//! Answers that are made on other threads than those of redirects: all of an answer, also what is sent of it
//! piece by piece. A connection only writes out what it is given.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::Error;
use axum::body::{Body, Bytes};
use axum::response::{IntoResponse, Response};
use http_body_util::BodyExt;
use hyper::body::{Body as _, Frame};
use tokio::runtime::Handle;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::task::JoinError;
use tokio_util::task::AbortOnDropHandle;

use crate::http::problem::Problem;

type Piece = Result<Frame<Bytes>, Error>;

/// An answer, made on the threads of `aside`. When nobody waits for it any more, the work on it ends.
pub(super) async fn answered(
    aside: &Handle,
    answer: impl Future<Output = Response> + Send + 'static,
) -> Response {
    let answer = async { answer.await.map(in_pieces) };
    let answer = AbortOnDropHandle::new(aside.spawn(answer));
    answer.await.unwrap_or_else(|error| lost(&error))
}

/// The task that was to answer is gone: a panic that nobody caught.
fn lost(error: &JoinError) -> Response {
    tracing::error!(%error, "a request was not answered");
    Problem::internal().into_response()
}

/// A body of unknown length is made while it is sent: by a task of its own, on the threads of the caller.
fn in_pieces(body: Body) -> Body {
    if body.size_hint().exact().is_some() {
        return body;
    }
    // One piece is sent while the next is made.
    let (sender, pieces) = mpsc::channel(1);
    let maker = Some(AbortOnDropHandle::new(tokio::spawn(make(body, sender))));
    Body::new(Pieces { pieces, maker })
}

async fn make(mut body: Body, pieces: Sender<Piece>) {
    while let Some(piece) = body.frame().await {
        if pieces.send(piece).await.is_err() {
            return;
        }
    }
}

/// What a task makes of a body.
struct Pieces {
    pieces: Receiver<Piece>,
    /// Gone as soon as it is known how it ended.
    maker: Option<AbortOnDropHandle<()>>,
}

impl hyper::body::Body for Pieces {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Piece>> {
        if let Some(piece) = ready!(self.pieces.poll_recv(context)) {
            return Poll::Ready(Some(piece));
        }
        // A body that breaks off must not look like one that is whole.
        let Some(maker) = &mut self.maker else { return Poll::Ready(None) };
        let ended = ready!(Pin::new(maker).poll(context));
        self.maker = None;
        Poll::Ready(ended.err().map(|error| Err(Error::new(error))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::{StreamExt as _, stream};
    use std::convert::Infallible;
    use tokio::runtime::{Builder, Runtime};

    fn threads(name: &str) -> Runtime {
        Builder::new_multi_thread().worker_threads(1).thread_name(name).build().unwrap()
    }

    async fn thread_name() -> Result<String, Infallible> {
        tokio::task::yield_now().await;
        Ok(std::thread::current().name().unwrap_or_default().to_owned() + " ")
    }

    /// An answer of two pieces, each the name of the thread that made it.
    async fn names() -> Response {
        let head = thread_name().await.unwrap_or_default();
        let pieces = stream::once(thread_name());
        let body = stream::iter([Ok(head)]);
        Body::from_stream(body.chain(pieces)).into_response()
    }

    #[test]
    fn no_piece_of_an_answer_is_made_on_the_threads_of_redirects() {
        let (redirects, others) = (threads("redirects"), threads("others"));
        let aside = others.handle().clone();
        let answer = redirects.spawn(async move {
            let answer = answered(&aside, names()).await;
            answer.into_body().collect().await.unwrap().to_bytes()
        });
        let told = redirects.block_on(answer).unwrap();
        assert_eq!(told, "others others ");
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_is_an_error() {
        let pieces = stream::iter(0..2).map(|n| match n {
            0 => Ok::<_, Infallible>("a piece"),
            _ => panic!("a mistake"),
        });
        let answer = async { Body::from_stream(pieces).into_response() };
        let mut body = answered(&Handle::current(), answer).await.into_body();
        assert!(body.frame().await.unwrap().is_ok());
        assert!(body.frame().await.unwrap().is_err());
        assert!(body.frame().await.is_none());
    }

    #[tokio::test]
    async fn a_panic_before_the_answer_is_answered() {
        let answer = async { panic!("a mistake") };
        let answer = answered(&Handle::current(), answer).await;
        assert_eq!(answer.status(), 500);
    }
}

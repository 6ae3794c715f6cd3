//! Connections and calls.

use std::convert::Infallible;
use std::future::{Future, pending, ready};
use std::pin::Pin;
use std::sync::Arc;

use futures::{Stream, TryStreamExt};
use http::Response;
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpListener, TcpStream};
use tonic::body::BoxBody;
use tonic::codec::{ProstCodec, Streaming};
use tonic::server::{ClientStreamingService, Grpc, ServerStreamingService, UnaryService};
use tonic::{Request, Status};

use super::messages::{
    AppendRequest, AppendResponse, DeleteResponse, Nothing, ReadRequest, ReadResponse,
};
use super::prompt::Prompt;
use super::reading::{self, Part};
use super::{Fault, State};

type Answer<T> = Pin<Box<dyn Future<Output = Result<tonic::Response<T>, Status>> + Send>>;

/// Takes connections until it is aborted.
pub(super) async fn accept(listener: TcpListener, state: Arc<State>) {
    while let Ok((connection, _)) = listener.accept().await {
        tokio::spawn(serve(connection, Arc::clone(&state)));
    }
}

/// Answers one connection until it is cut.
async fn serve(connection: TcpStream, state: Arc<State>) {
    // Small parts of answers are sent at once, as real servers do.
    let _ = connection.set_nodelay(true);
    let connection = TokioIo::new(Prompt(connection));
    let mut cut = state.cut.subscribe();
    let calls = service_fn(|request| call(Arc::clone(&state), request));
    let serving = http2::Builder::new(TokioExecutor::new()).serve_connection(connection, calls);
    tokio::select! {
        // The client has gone, or the server: there is nobody to tell.
        _ = serving => {}
        _ = cut.changed() => {}
    }
}

async fn call(
    state: Arc<State>,
    request: http::Request<Incoming>,
) -> Result<Response<BoxBody>, Infallible> {
    Ok(match request.uri().path() {
        "/event_store.client.streams.Streams/Append" => {
            let codec = ProstCodec::<AppendResponse, AppendRequest>::default();
            Grpc::new(codec)
                .max_decoding_message_size(usize::MAX)
                .client_streaming(Append(state), request)
                .await
        }
        "/event_store.client.streams.Streams/Read" => {
            let codec = ProstCodec::<ReadResponse, ReadRequest>::default();
            Grpc::new(codec).server_streaming(Read(state), request).await
        }
        "/event_store.client.streams.Streams/Delete" => {
            let codec = ProstCodec::<DeleteResponse, AppendRequest>::default();
            Grpc::new(codec).unary(Delete(state), request).await
        }
        // What servers can do is asked first; they need not say.
        _ => Status::unimplemented("the double has no such call").into_http(),
    })
}

struct Append(Arc<State>);

impl ClientStreamingService<AppendRequest> for Append {
    type Response = AppendResponse;
    type Future = Answer<AppendResponse>;

    fn call(&mut self, request: Request<Streaming<AppendRequest>>) -> Self::Future {
        let state = Arc::clone(&self.0);
        Box::pin(async move {
            let requests: Vec<AppendRequest> = request.into_inner().try_collect().await?;
            let fault = state.take_fault();
            if fault == Fault::Silence {
                return pending().await;
            }
            let mut requests = requests.into_iter();
            let options = requests.next().and_then(|first| first.options).unwrap_or_default();
            let events = requests.filter_map(|request| request.event).collect();
            let answer = state.store().append(&options, events)?;
            state.changed.send_modify(|count| *count += 1);
            if fault == Fault::AnswerLost {
                state.cut.send_modify(|count| *count += 1);
                return pending().await;
            }
            Ok(tonic::Response::new(answer))
        })
    }
}

struct Delete(Arc<State>);

impl UnaryService<AppendRequest> for Delete {
    type Response = DeleteResponse;
    type Future = Answer<DeleteResponse>;

    fn call(&mut self, request: Request<AppendRequest>) -> Self::Future {
        let stream = request.into_inner().options.and_then(|options| options.stream);
        self.0.store().hide(&stream.unwrap_or_default().bytes, true);
        let answer = DeleteResponse { no_position: Some(Nothing {}) };
        Box::pin(ready(Ok(tonic::Response::new(answer))))
    }
}

struct Read(Arc<State>);

impl ServerStreamingService<ReadRequest> for Read {
    type Response = ReadResponse;
    type ResponseStream = Pin<Box<dyn Stream<Item = Part> + Send>>;
    type Future = Answer<Self::ResponseStream>;

    fn call(&mut self, request: Request<ReadRequest>) -> Self::Future {
        let options = request.into_inner().options.unwrap_or_default();
        let answer = reading::answer(&self.0, &options);
        Box::pin(async move {
            let parts: Self::ResponseStream = Box::pin(answer?.into_stream());
            Ok(tonic::Response::new(parts))
        })
    }
}

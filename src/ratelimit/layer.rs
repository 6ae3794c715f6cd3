//! Rate limits as a layer of `tower`, for any service over HTTP: it asks its [`Terms`] what a request
//! costs, decides, gives back what is due when it knows how the request ended, and tells how things
//! stand in the answer's fields.
//!
//! ```text
//! request ──► Terms::charges ──► Limiter::decide ──► service ──► refund ──► fields ──► answer
//!                                      └─ refused ──► Terms::refuse ───────────┘
//! ```

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper::{Request, Response};
use tower::{Layer, Service};

use super::fields::{Fields, may_tell};
use super::{Charge, ChargeError, Decision, Limiter, Outcome};

/// What a service charges for its requests, and how it refuses them.
pub trait Terms<Q, A>: Send + Sync + 'static {
    /// What a request costs whom; nothing: it passes, and its answer has no fields.
    ///
    /// # Errors
    /// When there can be no such charge: the request is refused.
    fn charges(&self, request: &Request<Q>) -> Result<Vec<Charge>, ChargeError>;

    /// The answer to a request that is refused, with `Retry-After`.
    fn refuse(&self, request: Request<Q>, refusal: Refusal<'_>) -> Response<A>;

    /// Seconds since 1970.
    fn now_s(&self) -> u64;

    /// How a request ended that passed.
    fn outcome(&self, answer: &Response<A>) -> Outcome {
        let status = answer.status();
        let failed = status.is_client_error() || status.is_server_error();
        if failed { Outcome::Failure } else { Outcome::Success }
    }

    /// Is told of every decision, and how long it took.
    fn decided(&self, charges: &[Charge], decision: &Decision, took: Duration) {
        let _ = (charges, decision, took);
    }
}

/// Why a request is refused.
#[derive(Debug, Clone, Copy)]
pub enum Refusal<'a> {
    /// By limits.
    Limited(&'a [Charge], &'a Decision),
    /// It can't be charged: never a reason to let it pass.
    Uncharged(&'a ChargeError),
}

/// Guards services with a limiter.
#[derive(Debug)]
pub struct RateLimitLayer<T> {
    limiter: Arc<Limiter>,
    terms: Arc<T>,
}

/// A service that is guarded.
#[derive(Debug)]
pub struct RateLimited<S, T> {
    inner: S,
    limiter: Arc<Limiter>,
    terms: Arc<T>,
}

impl<T> RateLimitLayer<T> {
    /// One limiter may guard several services.
    #[must_use]
    pub fn new(limiter: Arc<Limiter>, terms: Arc<T>) -> Self {
        Self { limiter, terms }
    }
}

impl<T> Clone for RateLimitLayer<T> {
    fn clone(&self) -> Self {
        Self { limiter: Arc::clone(&self.limiter), terms: Arc::clone(&self.terms) }
    }
}

impl<S: Clone, T> Clone for RateLimited<S, T> {
    fn clone(&self) -> Self {
        let (limiter, terms) = (Arc::clone(&self.limiter), Arc::clone(&self.terms));
        Self { inner: self.inner.clone(), limiter, terms }
    }
}

impl<S, T> Layer<S> for RateLimitLayer<T> {
    type Service = RateLimited<S, T>;

    fn layer(&self, inner: S) -> Self::Service {
        RateLimited { inner, limiter: Arc::clone(&self.limiter), terms: Arc::clone(&self.terms) }
    }
}

/// What a service is going to answer.
type Answer<A, E> = Pin<Box<dyn Future<Output = Result<Response<A>, E>> + Send>>;

impl<S, T, Q, A> Service<Request<Q>> for RateLimited<S, T>
where
    S: Service<Request<Q>, Response = Response<A>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send,
    T: Terms<Q, A>,
    Q: Send + 'static,
    A: Send + 'static,
{
    type Response = Response<A>;
    type Error = S::Error;
    type Future = Answer<A, S::Error>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Q>) -> Self::Future {
        // The one that is ready takes the request; its copy has to be asked first.
        let copy = self.inner.clone();
        let inner = std::mem::replace(&mut self.inner, copy);
        let (limiter, terms) = (Arc::clone(&self.limiter), Arc::clone(&self.terms));
        Box::pin(guarded(inner, limiter, terms, request))
    }
}

async fn guarded<S, T, Q, A>(
    mut inner: S,
    limiter: Arc<Limiter>,
    terms: Arc<T>,
    request: Request<Q>,
) -> Result<Response<A>, S::Error>
where
    S: Service<Request<Q>, Response = Response<A>>,
    T: Terms<Q, A>,
{
    let charges = match terms.charges(&request) {
        Ok(charges) if charges.is_empty() => {
            let mut answer = inner.call(request).await?;
            tell(&mut answer, Fields::default(), terms.now_s());
            return Ok(answer);
        }
        Ok(charges) => charges,
        Err(error) => return Ok(terms.refuse(request, Refusal::Uncharged(&error))),
    };
    let began = Instant::now();
    let mut decision = match limiter.decide(&charges).await {
        Ok(decision) => decision,
        Err(error) => return Ok(terms.refuse(request, Refusal::Uncharged(&error))),
    };
    terms.decided(&charges, &decision, began.elapsed());
    let mut answer = if decision.is_allowed() {
        let answer = inner.call(request).await?;
        if let Some(receipt) = decision.take_receipt() {
            // Nobody's answer waits for it.
            limiter.refund_soon(receipt, terms.outcome(&answer));
        }
        answer
    } else {
        terms.refuse(request, Refusal::Limited(&charges, &decision))
    };
    tell(&mut answer, Fields::of(&charges, &decision), terms.now_s());
    Ok(answer)
}

/// A handler that has decided something itself leaves it with its answer, as [`Fields`].
fn tell<A>(answer: &mut Response<A>, fields: Fields, now_s: u64) {
    if !may_tell(answer) {
        return;
    }
    let fields = match answer.extensions_mut().remove::<Fields>() {
        Some(more) => fields.and(&more),
        None => fields,
    };
    fields.write(answer.headers_mut(), now_s);
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::num::NonZeroUsize;

    use hyper::StatusCode;
    use tower::{ServiceExt, service_fn};

    use super::*;
    use crate::ratelimit::{Algorithm, MonotonicClock, Policy, Refund, Subject, Tier};

    /// A service of somebody else's: everybody has two requests a day that fail.
    struct TwoFailures(Arc<Policy>);

    impl Terms<u16, String> for TwoFailures {
        fn charges(&self, request: &Request<u16>) -> Result<Vec<Charge>, ChargeError> {
            if request.uri().path() == "/free" {
                return Ok(Vec::new());
            }
            let cost = u32::from(request.uri().path() != "/nothing");
            let charge = Charge::new(Arc::clone(&self.0), Subject::everybody("everybody"), cost)?;
            Ok(vec![charge])
        }

        fn refuse(&self, _: Request<u16>, refusal: Refusal<'_>) -> Response<String> {
            let (status, text) = match refusal {
                Refusal::Limited(_, decision) => (429, format!("{:?}", decision.retry_after())),
                Refusal::Uncharged(error) => (500, error.to_string()),
            };
            answer(status, text)
        }

        fn now_s(&self) -> u64 {
            1_000_000
        }
    }

    fn answer(status: u16, text: String) -> Response<String> {
        let mut answer = Response::new(text);
        *answer.status_mut() = StatusCode::from_u16(status).unwrap();
        answer
    }

    /// Answers with the status that the request asks for.
    fn service()
    -> impl Service<Request<u16>, Response = Response<String>, Error = Infallible, Future: Send>
    + Clone
    + Send
    + 'static {
        let tier = Tier::new(Algorithm::Gcra, 2, Duration::from_hours(24), None).unwrap();
        let policy = Policy::new("failures".parse().unwrap(), vec![tier]).unwrap();
        let policy = Arc::new(policy.with_refund(Refund::OnSuccess));
        let limiter = Limiter::in_process(NonZeroUsize::MIN, MonotonicClock::set_by_hand());
        let layer = RateLimitLayer::new(Arc::new(limiter), Arc::new(TwoFailures(policy)));
        layer.layer(service_fn(async |request: Request<u16>| {
            Ok::<_, Infallible>(answer(request.into_body(), "done".to_owned()))
        }))
    }

    async fn ask(
        service: &(impl Service<Request<u16>, Response = Response<String>, Error = Infallible> + Clone),
        path: &str,
        status: u16,
    ) -> Response<String> {
        let request = Request::builder().uri(path).body(status).unwrap();
        service.clone().oneshot(request).await.unwrap()
    }

    #[tokio::test]
    async fn a_service_is_guarded_and_tells_how_things_stand() {
        let service = service();
        for _ in 0..5 {
            assert_eq!(ask(&service, "/", 200).await.status(), 200, "it is given back");
        }
        for left in ["1", "0"] {
            let failed = ask(&service, "/", 500).await;
            assert_eq!((failed.status().as_u16(), failed.body().as_str()), (500, "done"));
            assert_eq!(failed.headers()["x-ratelimit-remaining"], left);
            assert_eq!(failed.headers()["ratelimit-policy"], "\"failures\";q=2;w=86400");
        }
        let refused = ask(&service, "/", 200).await;
        assert_eq!((refused.status().as_u16(), refused.body().as_str()), (429, "Some(43200s)"));
        assert_eq!(refused.headers()["ratelimit"], "\"failures\";r=0;t=43200");
        assert_eq!(refused.headers()["x-ratelimit-reset"], "1086400");
        let free = ask(&service, "/free", 200).await;
        assert!(free.status() == 200 && free.headers().is_empty());
    }

    /// Trap 12 (R1): a mistake of the program lets nobody pass.
    #[tokio::test]
    async fn trap_12_what_can_t_be_charged_does_not_pass() {
        assert_eq!(ask(&service(), "/nothing", 200).await.status(), 500);
    }
}

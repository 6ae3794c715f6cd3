//! A whole redirect in the process: from the head of the request to the answer, without sockets.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::LazyLock;

use axum::http::request::Parts;
use axum::http::{HeaderValue, Request, StatusCode, header};
use chrono::DateTime;
use hoplog::app::App;
use hoplog::commands::Issuer;
use hoplog::config::RawSettings;
use hoplog::domain::domains::DomainCommand;
use hoplog::http::visit::visit;
use hoplog::telemetry::start_metrics;
use hoplog_events::envelope::{CommandId, Metadata, NewEvent};
use hoplog_events::link::{Domain, LinkCreated, LinkKey, RedirectStatus, Tags};
use hoplog_events::log::{Append, ExpectedVersion};
use hoplog_events::position::{StreamId, Topic, Version};
use metrics_exporter_prometheus::PrometheusHandle;
use tempfile::TempDir;
use tokio::runtime::{Builder, Handle, Runtime};
use uuid::Uuid;

use crate::pieces::{URL, headers, key};

/// Where the visitor is: not on this machine, which limits do not count.
const VISITOR: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 9));

/// The public origin, and a domain beside it.
const BASE_URL: &str = "https://own.example";
const DOMAIN: &str = "go.example";

/// Answered as soon as the click is `queued`: what the recorder does with it is not a part of it, as its task
/// has no turn meanwhile.
pub(crate) fn answer_a_redirect() -> impl FnMut() {
    let service = Service::with(Domain::service());
    move || service.answer()
}

/// The same on a domain beside the service's own.
pub(crate) fn answer_a_redirect_of_a_domain() -> impl FnMut() {
    let service = Service::with(DOMAIN.parse().expect("a domain"));
    move || service.answer()
}

/// A service with one link, and a request for it.
struct Service {
    runtime: Runtime,
    app: App,
    parts: Parts,
    _dir: TempDir,
}

impl Service {
    fn with(domain: Domain) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        let dir = tempfile::tempdir().expect("a directory");
        let app = runtime.block_on(open(&dir, domain));
        Self { runtime, app, parts: request(), _dir: dir }
    }

    fn answer(&self) {
        let answer = self.runtime.block_on(visit(&self.app, VISITOR, black_box(&self.parts)));
        assert_eq!(black_box(answer).status(), StatusCode::FOUND);
    }
}
async fn open(dir: &TempDir, domain: Domain) -> App {
    static METRICS: LazyLock<PrometheusHandle> =
        LazyLock::new(|| start_metrics().expect("nobody did"));
    let settings = RawSettings {
        data_dir: Some(dir.path().to_str().expect("a plain path").to_owned()),
        clicks_ack: Some("queued".to_owned()),
        base_url: Some(BASE_URL.to_owned()),
        ..RawSettings::default()
    };
    let settings = settings.resolve().expect("they are right");
    let app = App::open(&settings, METRICS.clone(), &Handle::current()).await;
    let app = app.expect("it is a new one");
    if domain != Domain::service() {
        let issuer = Issuer {
            owner: "ann".parse().expect("an owner"),
            admin: true,
            actor: "bench".into(),
            correlation_id: "bench".into(),
            now: DateTime::UNIX_EPOCH,
        };
        let add = DomainCommand::Add(Box::default());
        let added = app.commands.manage_domain(&issuer, None, None, (&domain, add)).await;
        let position = added.expect("it is new").position.expect("it is on the log");
        app.keys.catch_up(&app.log, position.sequence).await.expect("the log can be read");
    }
    app.log.append(creation(domain)).await.expect("the log can be written");
    app
}

fn request() -> Parts {
    let mut request = Request::builder().uri("/code1").body(()).expect("a request");
    *request.headers_mut() = headers();
    request.headers_mut().insert(header::HOST, HeaderValue::from_static(DOMAIN));
    request.into_parts().0
}

fn creation(domain: Domain) -> Append {
    let key = LinkKey { domain, ..key(1) };
    let command_id = CommandId(Uuid::nil());
    let metadata =
        Metadata { actor: "bench".into(), command_id, command_hash: None, correlation_id: None };
    let created = LinkCreated {
        domain: key.domain.clone(),
        code: key.code.clone(),
        url: URL.parse().expect("a URL"),
        owner: "ann".parse().expect("an owner"),
        expires_at: None,
        redirect: RedirectStatus::Found,
        title: None,
        tags: Tags::default(),
        note: None,
        external_id: None,
        extras: hoplog_events::link::Extras::default(),
    };
    let (stream, time) = (StreamId::new(Topic::Links, key.to_string()), DateTime::UNIX_EPOCH);
    let event = NewEvent::write(&stream, &created.into(), Uuid::nil(), time, time, &metadata);
    let events = vec![event.expect("it is written")];
    Append { stream, expected: ExpectedVersion::Exact(Version::NONE), command_id, events }
}

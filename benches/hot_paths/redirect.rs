//! A whole redirect in the process: from the head of the request to the answer, without sockets.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};

use axum::http::request::Parts;
use axum::http::{Request, StatusCode};
use chrono::DateTime;
use hoplog::app::App;
use hoplog::config::RawSettings;
use hoplog::http::visit::visit;
use hoplog::telemetry::start_metrics;
use hoplog_events::envelope::{CommandId, Metadata, NewEvent};
use hoplog_events::link::{LinkCreated, RedirectStatus, Tags};
use hoplog_events::log::{Append, ExpectedVersion};
use hoplog_events::position::{StreamId, Topic, Version};
use tokio::runtime::{Builder, Handle};
use uuid::Uuid;

use crate::pieces::{URL, headers, key};

/// Where the visitor is: not on this machine, which limits do not count.
const VISITOR: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 9));

/// Answered as soon as the click is `queued`: what the recorder does with it is not a part of it, as its task
/// has no turn meanwhile.
pub(crate) fn answer_a_redirect() -> impl FnMut() {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().to_str().expect("a plain path").to_owned();
    let settings = RawSettings {
        data_dir: Some(path),
        clicks_ack: Some("queued".to_owned()),
        ..RawSettings::default()
    };
    let app = runtime.block_on(async {
        let settings = settings.resolve().expect("they are right");
        let metrics = start_metrics().expect("nobody did");
        let app = App::open(&settings, metrics, &Handle::current()).await.expect("it is a new one");
        app.log.append(creation()).await.expect("the log can be written");
        app
    });
    let parts = request();
    move || {
        let _ = &dir;
        let answer = runtime.block_on(visit(&app, VISITOR, black_box(&parts)));
        assert_eq!(black_box(answer).status(), StatusCode::FOUND);
    }
}

fn request() -> Parts {
    let mut request = Request::builder().uri("/code1").body(()).expect("a request");
    *request.headers_mut() = headers();
    request.into_parts().0
}

fn creation() -> Append {
    let key = key(1);
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

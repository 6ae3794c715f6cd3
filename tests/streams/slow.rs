//! Subscribers that do not take what they are sent.

use futures::future::join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use super::{make_heavy_links, metric, metric_is};
use crate::support::{ADMIN_KEY, Live, Server, Settings, sent};

/// More than what fits into the buffers of a connection.
const MEGABYTES: usize = 14;

const READERS: usize = 20;

/// Asks for a live stream, and reads nothing of it.
async fn subscribe(server: &Server) -> TcpStream {
    let address = server.url.strip_prefix("http://").unwrap();
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(64 * 1024).unwrap();
    let mut stream = socket.connect(address.parse().unwrap()).await.unwrap();
    let request = format!(
        "GET /api/v1/events HTTP/1.1\r\nHost: {address}\r\nAccept: text/event-stream\r\n\
         Authorization: Bearer {ADMIN_KEY}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

/// What a chunked answer says, as far as it came.
fn unchunked(answer: &[u8]) -> String {
    let head = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
    let (mut rest, mut body) = (&answer[head + 4..], Vec::new());
    while let Some(end) = rest.windows(2).position(|two| two == b"\r\n") {
        let size = std::str::from_utf8(&rest[..end]).unwrap();
        let size = usize::from_str_radix(size, 16).expect("a chunk's size");
        rest = &rest[end + 2..];
        body.extend_from_slice(&rest[..size.min(rest.len())]);
        rest = rest.get(size + 2..).unwrap_or_default();
    }
    String::from_utf8_lossy(&body).into_owned()
}

/// Whoever takes nothing for too long is cut off, and goes on behind what it had; meanwhile it
/// keeps nothing from others, and little in memory.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscriber_that_takes_nothing_is_cut_off_and_resumes() {
    let server = Settings::new().with("HOPLOG_STALL_SECONDS", "2").start();
    let client = &server.client;
    make_heavy_links(client, MEGABYTES).await;
    let log = client.events("links").await;
    // As many who do read show what reading takes.
    join_all((0..READERS).map(|_| async {
        Live::open(client, "topic=links", None).await.take(log.len()).await.len()
    }))
    .await;
    #[cfg(target_os = "linux")]
    let before = server.peak_memory_bytes();
    let mut stalled = Vec::new();
    for _ in 0..READERS {
        stalled.push(subscribe(&server).await);
    }
    let all = READERS as u64;
    metric_is(client, "hoplog_event_readers", |readers| readers >= 1).await;
    // Somebody who reads gets everything.
    let mut live = Live::open(client, "topic=links", None).await;
    let seen = live.take(log.len()).await;
    assert!(seen.iter().map(|sent| &sent.event).eq(&log));
    drop(live);
    metric_is(client, "hoplog_event_readers_cut_total", |cut| cut == all).await;
    metric_is(client, "hoplog_event_readers", |readers| readers == 0).await;
    #[cfg(target_os = "linux")]
    {
        // The system's own count of the most there was is not exact, and may be less than before.
        let held = server.peak_memory_bytes().saturating_sub(before);
        // A reader that were sent all of it without being asked would take MEGABYTES.
        let allowed = READERS as u64 * 4 * 1024 * 1024;
        assert!(held < allowed, "{held} bytes are held for {READERS} readers of {MEGABYTES} MB");
    }

    let mut answer = Vec::new();
    // A reset says the same as an end.
    let _ = stalled.remove(0).read_to_end(&mut answer).await;
    let mut had = sent(&unchunked(&answer));
    assert!((1..log.len()).contains(&had.len()), "{} of {}", had.len(), log.len());
    let mut live = Live::open(client, "topic=links", had.last().map(|last| &*last.id)).await;
    had.extend(live.take(log.len() - had.len()).await);
    assert!(had.iter().map(|sent| &sent.event).eq(&log), "no gap, no repeat");
}

/// A pause is no reason: only who takes nothing at all is cut off.
#[tokio::test]
async fn a_subscriber_with_nothing_to_take_stays() {
    let server = Settings::new().with("HOPLOG_STALL_SECONDS", "1").start();
    let client = &server.client;
    let mut live = Live::open(client, "topic=links&after=latest", None).await;
    let taking = live.take(MEGABYTES * 128);
    let (taken, ()) = tokio::join!(taking, make_heavy_links(client, MEGABYTES));
    assert_eq!(taken.len(), MEGABYTES * 128);
    // Another one is cut off meanwhile, so there was time enough.
    let stalled = subscribe(&server).await;
    metric_is(client, "hoplog_event_readers_cut_total", |cut| cut == 1).await;
    super::make_link(client, "late").await;
    assert_eq!(live.next().await.event["subject"], "default/late");
    assert_eq!(metric(client, "hoplog_event_readers").await, 1);
    drop(stalled);
}

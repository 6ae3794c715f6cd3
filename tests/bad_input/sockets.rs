//! What no HTTP client would send: bytes on a socket.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{ADMIN_KEY, NewLink, Server, Settings};

/// How long an answer may take: longer than the server's own limits.
const PATIENCE: Duration = Duration::from_secs(30);

/// A connection to a server.
async fn connect(server: &Server) -> TcpStream {
    let address = server.url.trim_start_matches("http://");
    TcpStream::connect(address).await.expect("the server accepts")
}

/// A connection that is given these bytes: everything that comes back until the server closes it.
async fn exchange(server: &Server, bytes: &[u8]) -> String {
    let mut socket = connect(server).await;
    // The server may hang up before it has read everything.
    let _ = socket.write_all(bytes).await;
    let mut answer = Vec::new();
    let read = tokio::time::timeout(PATIENCE, socket.read_to_end(&mut answer)).await;
    let start = String::from_utf8_lossy(&bytes[..bytes.len().min(60)]);
    // A reset is an end, too.
    let _ = read.unwrap_or_else(|_| panic!("{start:?} is neither answered nor closed"));
    String::from_utf8_lossy(&answer).into_owned()
}

/// A POST that creates a link, with these headers and this body.
fn post(headers: &str, body: &str) -> Vec<u8> {
    format!(
        "POST /api/v1/links HTTP/1.1\r\nhost: a\r\nconnection: close\r\nauthorization: Bearer {ADMIN_KEY}\r\n\
         content-type: application/json\r\n{headers}\r\n{body}"
    )
    .into_bytes()
}

fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").into_bytes()
}

/// Bodies that the server waits for the rest of, for as long as it gives a body.
const HALVES: [&str; 3] =
    ["a length that promises more", "a chunk that promises more", "chunks without an end"];

/// What may be answered by hanging up: it is no HTTP/1.1 or has no end, and what is unread when
/// the server closes can cost the client the answer.
const CUT_OFF: [&str; 5] =
    ["TLS", "HTTP/2 with rubbish behind", "too many headers", "a large header", "a long path"];

const CHUNKED: &str = "transfer-encoding: chunked\r\n";

/// Requests that are none.
fn requests() -> Vec<(&'static str, Vec<u8>)> {
    let link = r#"{"url":"https://example.com/"}"#;
    let length = format!("content-length: {}\r\n", link.len());
    vec![
        ("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec()),
        ("HTTP/2 with rubbish behind", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nrubbish".to_vec()),
        ("a NUL in the path", get("/\0")),
        ("a space in the path", get("/a b")),
        ("a version of the future", b"GET / HTTP/9.9\r\n\r\n".to_vec()),
        ("no version", b"GET /\r\n\r\n".to_vec()),
        ("no request", b"nonsense\r\n\r\n".to_vec()),
        ("a name with a space", b"GET / HTTP/1.1\r\nhost : a\r\n\r\n".to_vec()),
        ("a folded header", b"GET / HTTP/1.1\r\nhost: a\r\nx: a\r\n b\r\n\r\n".to_vec()),
        ("a header without a name", b"GET / HTTP/1.1\r\n: a\r\n\r\n".to_vec()),
        ("too many headers", get(&format!("/ HTTP/1.1\r\n{}x: ", "x-a: b\r\n".repeat(2_000)))),
        ("a large header", post(&format!("x-a: {}\r\n", "b".repeat(1_000_000)), "")),
        ("a long path", get(&format!("/{}", "a".repeat(100_000)))),
        (
            "a tunnel",
            b"CONNECT example.com:443 HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n".to_vec(),
        ),
        ("everything", b"OPTIONS * HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n".to_vec()),
        ("a path that climbs", get("/../../etc/passwd")),
        ("two slashes", get("//example.org/")),
        ("a path with a line end", get("/kept%0d%0aset-cookie:%20a=b")),
        ("half a percent", get("/%")),
        ("a negative length", post("content-length: -1\r\n", link)),
        ("a length that is none", post("content-length: 1e2\r\n", link)),
        ("two lengths", post("content-length: 1\r\ncontent-length: 2\r\n", link)),
        ("a length that overflows", post("content-length: 99999999999999999999999\r\n", link)),
        ("a length that promises more", post("content-length: 1000\r\n", link)),
        (
            "a length and chunks",
            post(&format!("{length}transfer-encoding: chunked\r\n"), "0\r\n\r\n"),
        ),
        ("an unknown coding", post("transfer-encoding: rot13\r\n", link)),
        ("chunked, but not last", post("transfer-encoding: chunked, gzip\r\n", "0\r\n\r\n")),
        ("a chunk that promises more", post(CHUNKED, &format!("ff\r\n{link}"))),
        ("a chunk that promises less", post(CHUNKED, &format!("5\r\n{link}\r\n0\r\n\r\n"))),
        ("a chunk size that is none", post(CHUNKED, &format!("xyz\r\n{link}\r\n0\r\n\r\n"))),
        (
            "a chunk size that overflows",
            post(CHUNKED, &format!("fffffffffffffffff\r\n{link}\r\n0\r\n\r\n")),
        ),
        ("chunks without an end", post(CHUNKED, &format!("{:x}\r\n{link}\r\n", link.len()))),
        ("no length at all", post("", link)),
    ]
}

/// The same requests without their lies are done, so that it is the lies that are refused.
#[tokio::test]
async fn requests_that_are_well_formed_are_done() {
    let server = Server::start();
    let link = r#"{"url":"https://example.com/"}"#;
    let length = format!("content-length: {}\r\n", link.len());
    let chunked = format!("{:x}\r\n{link}\r\n0\r\n\r\n", link.len());
    // Some clients send a line end behind the body; the answer must come all the same.
    let more = format!("{link}\r\n");
    for request in [
        post(&length, link),
        post(&length, &more),
        post("transfer-encoding: chunked\r\n", &chunked),
    ] {
        let answer = exchange(&server, &request).await;
        assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    }
}

#[tokio::test]
async fn requests_that_are_no_http_are_refused_and_survived() {
    // One of them asks for what is nowhere, which would be noted.
    let server = Settings::new().with("HOPLOG_ORPHANS", "off").start();
    server.client.create(NewLink::to("https://example.com/").with("alias", "kept")).await;
    let heads = server.client.heads().await;
    let requests = requests();
    let answers = requests.iter().map(|(_, bytes)| exchange(&server, bytes));
    let answers = futures::future::join_all(answers).await;
    for ((what, _), answer) in requests.iter().zip(answers) {
        let refused = answer.starts_with("HTTP/1.1 4") || answer.starts_with("HTTP/1.0 4");
        let cut_off = answer.is_empty() && CUT_OFF.contains(what);
        assert!(cut_off || refused, "{what} got {answer}");
        let waited_for = answer.starts_with("HTTP/1.1 408") && answer.contains("body_timeout");
        assert_eq!(waited_for, HALVES.contains(what), "{what} got {answer}");
        let head = answer.split("\r\n\r\n").next().unwrap_or_default();
        assert!(!head.to_ascii_lowercase().contains("set-cookie"), "{what} got {answer}");
    }
    assert_eq!(server.client.heads().await, heads, "nothing is stored");
    server.client.visit("/health/ready").await.expect(200);
    server.client.visit("/kept").await.expect(302);
}

/// A body that hides a second request in itself is one request: nothing is smuggled.
#[tokio::test]
async fn a_request_inside_a_request_is_not_done() {
    let server = Server::start();
    let hidden =
        String::from_utf8(post("content-length: 30\r\n", r#"{"url":"https://example.com/"}"#));
    let hidden = hidden.unwrap();
    for headers in [
        format!("content-length: {}\r\ntransfer-encoding: chunked\r\n", 5 + hidden.len()),
        format!("content-length: {}\r\n", 5 + hidden.len()),
        "transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n".to_owned(),
    ] {
        let answer = exchange(&server, &post(&headers, &format!("0\r\n\r\n{hidden}"))).await;
        assert!(!answer.contains("HTTP/1.1 201"), "{headers} got {answer}");
        assert!(server.client.events("links").await.is_empty(), "{headers} got {answer}");
    }
}

/// A body that is not needed is not waited for, and one that does not come holds up neither its
/// connection nor the server's end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_does_not_come_holds_nothing_up() {
    let server = Server::start();
    server.client.create(NewLink::to("https://example.com/").with("alias", "kept")).await;
    let half = String::from_utf8(post("content-length: 1000\r\n", "x")).unwrap();
    let unread = half.replace("/links ", "/links/kept/disable ");
    let started = Instant::now();
    let answer = exchange(&server, unread.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let mut waiting = connect(&server).await;
    waiting.write_all(half.as_bytes()).await.unwrap();
    server.client.visit("/health/ready").await.expect(200);
    tokio::task::spawn_blocking(|| server.stop()).await.unwrap();
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    let mut answer = String::new();
    waiting.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
}

/// Clients that say nothing or little hold a connection each, and nobody else up.
#[tokio::test]
async fn clients_that_say_nothing_hold_nobody_up() {
    let server = Server::start();
    let code = server.client.code(NewLink::to("https://example.com/")).await;
    let address = server.url.trim_start_matches("http://");
    let mut idle = Vec::new();
    for n in 0..300 {
        let mut socket = TcpStream::connect(address).await.expect("the server accepts");
        let start: &[u8] = [&b""[..], b"GET / HT", b"GET / HTTP/1.1\r\nx: "][n % 3];
        socket.write_all(start).await.unwrap();
        idle.push(socket);
    }
    server.client.visit(&format!("/{code}")).await.expect(302);
    drop(idle);
}

/// A connection that never says what it wants is closed by the server, whether it has said
/// nothing, half of a request, or one request and half of the next.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_does_not_end_is_cut_off() {
    let server = Server::start();
    let whole = "GET /health/live HTTP/1.1\r\nhost: a\r\n\r\n";
    let half = "GET /health/live HTTP/1.1\r\nhos";
    let [nothing, cut, behind] = [String::new(), half.to_owned(), format!("{whole}{half}")];
    let answers = [&nothing, &cut, &behind].map(|bytes| exchange(&server, bytes.as_bytes()));
    let answers = futures::future::join_all(answers).await;
    assert!(answers[2].starts_with("HTTP/1.1 200 OK"), "{answers:?}");
    assert!(answers[..2].iter().all(|answer| !answer.contains("200")), "{answers:?}");
}

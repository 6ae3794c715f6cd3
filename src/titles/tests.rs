//! Servers that mean harm, on real sockets. 127.0.0.2 stands for the public network, as the operator may name it; all of
//! 127.0.0.1 is inside, and counts who comes.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::*;
use crate::titles::fetch::{BYTES_MAX, HOPS_MAX};
use crate::webhooks::guard::Names;

mod hosts;

const OUTSIDE: &str = "127.0.0.2";
const INSIDE: &str = "127.0.0.1";

const HTML: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: text/html; charset=utf-8\r\nconnection: close\r\n";
const PAGE: &str = "<html><head><title>A page</title></head><body>x</body></html>";

/// What a server does with a request.
enum Manner {
    /// Says this, and closes.
    Says(String),
    /// Says the first, and then the second for ever.
    Streams(String, Vec<u8>),
    /// The same, a piece at a time and slowly.
    Drips(String, Vec<u8>),
    /// Says nothing, and stays.
    Hangs,
}

fn page() -> Manner {
    Manner::Says(format!("{HTML}\r\n{PAGE}"))
}

fn redirect(to: &str) -> Manner {
    Manner::Says(format!(
        "HTTP/1.1 302 Found\r\nlocation: {to}\r\nset-cookie: a=b\r\nconnection: close\r\n\r\n"
    ))
}

/// A server; ends when it is dropped.
struct Site {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    requests: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Drop for Site {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Site {
    async fn start(at: &str, manner: impl Fn(&str) -> Manner + Send + Sync + 'static) -> Self {
        Self::on(TcpListener::bind(at).await.unwrap(), manner)
    }

    fn on(listener: TcpListener, manner: impl Fn(&str) -> Manner + Send + Sync + 'static) -> Self {
        let address = listener.local_addr().unwrap();
        let (connections, requests) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::default()));
        let (counted, noted, manner) =
            (connections.clone(), Arc::clone(&requests), Arc::new(manner));
        let task = tokio::spawn(async move {
            let mut open = tokio::task::JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                let (noted, manner) = (Arc::clone(&noted), Arc::clone(&manner));
                open.spawn(async move { answer(socket, &noted, &*manner).await });
            }
        });
        Self { address, connections, requests, task }
    }

    /// Two servers behind the same port: what is looked at, and what must not be reached.
    async fn pair(manner: impl Fn(&str) -> Manner + Send + Sync + 'static) -> (Self, Self) {
        loop {
            let outside = TcpListener::bind(format!("{OUTSIDE}:0")).await.unwrap();
            let port = outside.local_addr().unwrap().port();
            if let Ok(inside) = TcpListener::bind(format!("{INSIDE}:{port}")).await {
                return (Self::on(outside, manner), Self::on(inside, |_| page()));
            }
        }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

async fn answer(
    mut socket: TcpStream,
    requests: &Mutex<Vec<String>>,
    manner: &(dyn Fn(&str) -> Manner + Send + Sync),
) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if socket.read(&mut byte).await.unwrap_or(0) == 0 {
            return;
        }
        request.push(byte[0]);
    }
    let request = String::from_utf8(request).unwrap();
    let manner = manner(&request);
    requests.lock().unwrap().push(request);
    // Whoever asked may have gone; that is what these are for.
    let _ = match manner {
        Manner::Says(text) => socket.write_all(text.as_bytes()).await,
        Manner::Hangs => std::future::pending().await,
        Manner::Streams(begin, piece) => {
            let mut sent = socket.write_all(begin.as_bytes()).await;
            while sent.is_ok() {
                sent = socket.write_all(&piece).await;
            }
            sent
        }
        Manner::Drips(begin, piece) => {
            let mut sent = socket.write_all(begin.as_bytes()).await;
            let mut beats = tokio::time::interval(std::time::Duration::from_millis(50));
            while sent.is_ok() {
                beats.tick().await;
                sent = socket.write_all(&piece).await;
            }
            sent
        }
    };
    let _ = socket.shutdown().await;
}

/// One who asks what is outside only. `names`: each look-up of any name gives the next addresses; the last ones stay.
fn fetcher(addresses: &[&[&str]]) -> (Fetcher, Arc<AtomicUsize>) {
    let all: Vec<Vec<SocketAddr>> = addresses
        .iter()
        .map(|answer| answer.iter().map(|ip| SocketAddr::new(ip.parse().unwrap(), 0)).collect())
        .collect();
    let looked_up = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&looked_up);
    let names: Names = Arc::new(move |_| {
        let place = count.fetch_add(1, Ordering::SeqCst);
        let found = all.get(place).or(all.last()).cloned().unwrap_or_default();
        Box::pin(async move { Ok(found) })
    });
    let targets = Targets::parse(OUTSIDE).unwrap();
    (Fetcher::asking((targets, Box::new(|_| true)), (names, Arc::default())), looked_up)
}

async fn title(fetcher: &Fetcher, url: &str) -> Result<String, FetchError> {
    fetcher.title_of(&url.parse().unwrap()).await.map(String::from)
}

/// What one server says, asked once.
async fn told(
    manner: impl Fn(&str) -> Manner + Send + Sync + 'static,
) -> Result<String, FetchError> {
    let site = Site::start(&format!("{OUTSIDE}:0"), manner).await;
    title(&fetcher(&[]).0, &site.url("/")).await
}

#[tokio::test]
async fn a_page_is_asked_for_its_title_and_told_nothing() {
    let site = Site::start(&format!("{OUTSIDE}:0"), |request| {
        if request.starts_with("GET /there") { page() } else { redirect("/there?x=1#part") }
    })
    .await;
    assert_eq!(title(&fetcher(&[]).0, &site.url("/here")).await.as_deref(), Ok("A page"));
    let requests = site.requests.lock().unwrap();
    assert_eq!(requests.len(), 2);
    for request in &*requests {
        let request = request.to_ascii_lowercase();
        assert!(request.contains("\r\naccept-encoding: identity\r\n"), "{request}");
        assert!(request.contains("\r\nuser-agent: hoplog-titles/"), "{request}");
        for header in ["cookie", "referer", "authorization", "#part"] {
            assert!(!request.contains(header), "{request}");
        }
    }
}

/// SSRF: a redirect to this machine, however it is spelled, is not followed.
#[tokio::test]
async fn a_redirect_that_leads_inside_is_never_followed() {
    let inside = Site::start(&format!("{INSIDE}:0"), |_| page()).await;
    let port = inside.address.port();
    for host in [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "0.0.0.0",
        "localhost",
        "localhost.",
        "a.localhost",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "169.254.169.254",
        "10.0.0.1",
        "192.168.0.1",
        "172.16.0.1",
        "100.64.0.1",
        "168.63.129.16",
        "[fd00:ec2::254]",
        "[fe80::1]",
        "224.0.0.1",
    ] {
        for to in [
            format!("http://{host}:{port}/"),
            format!("https://{host}:{port}/"),
            format!("http://{host}/"),
            format!("https://{host}/"),
        ] {
            let url = to.clone();
            let said = told(move |_| redirect(&to)).await;
            assert_eq!(said, Err(FetchError::Refused), "{url}");
        }
    }
    // By a name that leads there, the same.
    let to = format!("http://inside.example:{port}/");
    let site = Site::start(&format!("{OUTSIDE}:0"), move |_| redirect(&to)).await;
    let (fetcher, looked_up) = fetcher(&[&[INSIDE, "::1", "169.254.169.254"]]);
    assert_eq!(title(&fetcher, &site.url("/")).await, Err(FetchError::NoAddress));
    assert_eq!((looked_up.load(Ordering::SeqCst), site.connections()), (1, 1));
    assert_eq!(title(&fetcher, &inside.url("/")).await, Err(FetchError::Refused));
    assert_eq!(inside.connections(), 0, "never reached");
}

/// SSRF: a name that is somewhere else the next time it is looked up. What was looked at is what is connected to.
#[tokio::test]
async fn a_name_that_moves_between_look_ups_leads_nowhere_else() {
    let (outside, inside) = Site::pair(|request| {
        let port = request.split("host: a.example:").nth(1).unwrap_or_default();
        let port = port.split("\r\n").next().unwrap_or_default();
        if request.starts_with("GET /again") {
            redirect(&format!("http://a.example:{port}/"))
        } else {
            page()
        }
    })
    .await;
    let port = outside.address.port();
    let (steady, looked_up) = fetcher(&[&[OUTSIDE], &[INSIDE]]);
    assert_eq!(title(&steady, &format!("http://a.example:{port}/")).await.as_deref(), Ok("A page"));
    assert_eq!(looked_up.load(Ordering::SeqCst), 1, "once for a connection");
    // At the next hop it is looked up, and looked at, again.
    let (moving, looked_up) = fetcher(&[&[OUTSIDE], &[INSIDE]]);
    let again = format!("http://a.example:{port}/again");
    assert_eq!(title(&moving, &again).await, Err(FetchError::NoAddress));
    assert_eq!(looked_up.load(Ordering::SeqCst), 2);
    // Of several addresses those are taken that may be.
    let (mixed, _) = fetcher(&[&[INSIDE, OUTSIDE]]);
    assert_eq!(title(&mixed, &again).await.as_deref(), Ok("A page"));
    assert_eq!((outside.connections(), inside.connections()), (4, 0), "never reached");
}

/// SSRF: a page that does not end is read so far and no farther, and whoever takes his time is not waited for.
#[tokio::test]
async fn a_server_that_never_ends_holds_nobody() {
    let begin = || format!("{HTML}\r\n<!-- ");
    let endless = told(move |_| Manner::Streams(begin(), vec![b'x'; 4_096]));
    let in_title = told(|_| Manner::Streams(format!("{HTML}\r\n<title>"), vec![b'x'; 4_096]));
    let headers =
        told(|_| Manner::Streams("HTTP/1.1 200 OK\r\n".into(), b"x-a: b\r\n".repeat(512)));
    let drips = told(|_| Manner::Drips(format!("{HTML}\r\n<title>"), b"x".to_vec()));
    let slow_headers = told(|_| Manner::Drips("HTTP/1.1 200 OK\r\nx: ".into(), b"x".to_vec()));
    let silent = told(|_| Manner::Hangs);
    let no_handshake = async {
        let site = Site::start(&format!("{OUTSIDE}:0"), |_| Manner::Hangs).await;
        title(&fetcher(&[]).0, &site.url("/").replace("http:", "https:")).await
    };
    let (endless, in_title, headers, drips, slow_headers, silent, no_handshake) =
        tokio::join!(endless, in_title, headers, drips, slow_headers, silent, no_handshake);
    for ended in [endless, in_title] {
        // A machine that is busy may not come so far in its time.
        assert!(matches!(ended, Err(FetchError::NoTitle | FetchError::TimedOut)), "{ended:?}");
    }
    assert!(matches!(headers, Err(FetchError::Unreachable | FetchError::TimedOut)), "{headers:?}");
    for late in [drips, slow_headers, silent, no_handshake] {
        assert_eq!(late, Err(FetchError::TimedOut));
    }
}

/// A title that begins within what is read, and ends behind it, is none.
#[tokio::test]
async fn no_more_of_a_page_is_read_than_its_bound() {
    let page = |filling: usize| format!("{HTML}\r\n<!--{}--><title>A</title>", "x".repeat(filling));
    let overhead = "<!----><title>A</title>".len();
    let fits = page(BYTES_MAX - overhead);
    assert_eq!(told(move |_| Manner::Says(fits.clone())).await.as_deref(), Ok("A"));
    let too_long = page(BYTES_MAX - overhead + 1);
    assert_eq!(told(move |_| Manner::Says(too_long.clone())).await, Err(FetchError::NoTitle));
}

/// SSRF: what says that it is a page and is none, and what is a page and does not say so.
#[tokio::test]
async fn a_server_that_lies_about_its_type_is_not_believed() {
    let of_type = |header: &str, body: &str| {
        format!("HTTP/1.1 200 OK\r\n{header}connection: close\r\n\r\n{body}")
    };
    for (header, body, error) in [
        ("content-type: image/png\r\n", PAGE, FetchError::Type),
        ("content-type: text/plain\r\n", PAGE, FetchError::Type),
        ("content-type: text/htmlx\r\n", PAGE, FetchError::Type),
        ("content-type: application/json, text/html\r\n", PAGE, FetchError::Type),
        ("", PAGE, FetchError::Type),
        (
            "content-type: text/html\r\n",
            "\u{89}PNG\r\n\u{1a}\n\0\0\0\rIHDR<titl",
            FetchError::NoTitle,
        ),
        ("content-type: text/html\r\n", "{\"title\": \"<b>\"}", FetchError::NoTitle),
        // Nobody asked for what has to be unpacked: it may be a bomb.
        (
            "content-type: text/html\r\ncontent-encoding: gzip\r\n",
            "\u{1f}\u{8b}",
            FetchError::Packed,
        ),
        ("content-type: text/html\r\ncontent-encoding: br\r\n", PAGE, FetchError::Packed),
    ] {
        let answer = of_type(header, body);
        assert_eq!(
            told(move |_| Manner::Says(answer.clone())).await,
            Err(error),
            "{header}{body:?}"
        );
    }
    for header in ["Content-Type: TEXT/HTML;x=y\r\n", "content-type: application/xhtml+xml\r\n"] {
        let answer = of_type(header, PAGE);
        assert_eq!(told(move |_| Manner::Says(answer.clone())).await.as_deref(), Ok("A page"));
    }
}

#[tokio::test]
async fn redirects_are_followed_so_far_and_by_the_web_only() {
    let hops = |left: usize| {
        move |request: &str| {
            let path = request.split(' ').nth(1).unwrap_or_default();
            let hop: usize = path.trim_start_matches('/').parse().unwrap_or(0);
            if hop == left { page() } else { redirect(&format!("/{}", hop + 1)) }
        }
    };
    assert_eq!(told(hops(HOPS_MAX)).await.as_deref(), Ok("A page"));
    assert_eq!(told(hops(HOPS_MAX + 1)).await, Err(FetchError::TooManyHops));
    let circle = Site::start(&format!("{OUTSIDE}:0"), |_| redirect("/")).await;
    assert_eq!(title(&fetcher(&[]).0, &circle.url("/")).await, Err(FetchError::TooManyHops));
    assert_eq!(circle.connections(), HOPS_MAX + 1);
    for to in [
        "file:///etc/passwd",
        "ftp://127.0.0.2/",
        "javascript:alert(1)",
        "gopher://127.0.0.2/",
        "data:text/html,<title>x</title>",
        "http://user:word@127.0.0.2/",
        "http://",
    ] {
        let said = told(move |_| redirect(to)).await;
        assert_eq!(said, Err(FetchError::Refused), "{to}");
    }
}

#[tokio::test]
async fn what_may_be_otherwise_later_is_told_from_what_may_not() {
    for (status, error) in [
        (404, FetchError::Status),
        (410, FetchError::Status),
        (304, FetchError::Status),
        (500, FetchError::Busy),
        (503, FetchError::Busy),
        (429, FetchError::Busy),
    ] {
        let said = told(move |_| {
            Manner::Says(format!("HTTP/1.1 {status} X\r\nconnection: close\r\n\r\n"))
        })
        .await;
        assert_eq!(said, Err(error), "{status}");
        assert_eq!(error.may_pass(), error == FetchError::Busy);
    }
    let gone = Site::start(&format!("{OUTSIDE}:0"), |_| page()).await;
    let url = gone.url("/");
    drop(gone);
    let said = title(&fetcher(&[]).0, &url).await;
    assert!(said.clone().is_err_and(FetchError::may_pass), "{said:?}");
}

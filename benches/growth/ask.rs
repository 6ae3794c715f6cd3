//! How long questions take, one after the other, as a dashboard asks them.

use std::time::{Duration, Instant};

use reqwest::Method;

use super::seed::OWNERS;
use super::support::Client;

/// Questions of each kind.
const QUESTIONS: usize = 200;

/// A kind that takes long is asked less often.
const TIME_MAX: Duration = Duration::from_secs(20);

/// The least that a question may take to fail.
const PATIENCE: Duration = Duration::from_mins(10);

/// How long they took.
pub struct Answered {
    pub p50_ms: f64,
    pub p99_ms: f64,
}

/// How the path of a question comes of its number and of how many links there are.
type Path = fn(usize, usize) -> String;

/// The kinds.
pub const KINDS: [(&str, Path); 11] = [
    ("list: a page, newest first", |_, _| "/api/v1/links?limit=50".to_owned()),
    ("list: of one tag", |n, _| format!("/api/v1/links?limit=50&tag=tag{}", n % 50)),
    ("list: most clicked first", |_, _| "/api/v1/links?limit=50&sort=-clicks".to_owned()),
    ("list: of one tag, most clicked first", |n, _| {
        format!("/api/v1/links?limit=50&sort=-clicks&tag=tag{}", n % 50)
    }),
    ("search: a text and a tag, by code", |n, _| {
        format!("/api/v1/links?limit=50&sort=code&q=shop{}&tag=tag{}", n % 100, n % 50)
    }),
    ("search: a text that one link has", |n, links| {
        format!("/api/v1/links?limit=50&q=products/{}%3F", n * 7_919 % links)
    }),
    ("search: a text that many links have", |n, _| {
        format!("/api/v1/links?limit=50&q=shop{}", n % 100)
    }),
    ("search: a text that no link has", |n, _| format!("/api/v1/links?limit=50&q=nowhere{n}")),
    ("statistics: all clicks of the year", |_, _| "/api/v1/links/b0/stats".to_owned()),
    ("statistics: a month", |n, _| {
        let month = n % 11 + 1;
        format!("/api/v1/links/b0/stats?from=2025-{month:02}-01&to=2025-{month:02}-28")
    }),
    ("statistics: all clicks of one country", |_, _| {
        "/api/v1/links/b0/stats?country=DE".to_owned()
    }),
];

/// Keys of owners see few of the links.
pub const OWNED: &str = "list: of one owner of a thousand";

/// Asks questions of a kind.
pub async fn ask(client: &Client, path: impl Fn(usize) -> String) -> Answered {
    let (started, mut took) = (Instant::now(), Vec::new());
    // What the first one has to read from the disk is not asked for.
    get(client, &path(0)).await;
    for n in 1..=QUESTIONS {
        let asked = Instant::now();
        get(client, &path(n)).await;
        took.push(asked.elapsed());
        if started.elapsed() > TIME_MAX {
            break;
        }
    }
    took.sort_unstable();
    let at = |share: f64| {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a place in it"
        )]
        let place = ((took.len() - 1) as f64 * share).round() as usize;
        took[place].as_secs_f64() * 1_000.0
    };
    Answered { p50_ms: at(0.5), p99_ms: at(0.99) }
}

async fn get(client: &Client, path: &str) {
    let request = client.authorized(Method::GET, path).timeout(PATIENCE);
    client.send(request).await.expect(200);
}

/// An owner that has links.
pub fn owner(n: usize) -> String {
    format!("owner{}", n % OWNERS)
}

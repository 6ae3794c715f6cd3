//! Visitors on plain sockets: as many visits as are answered, or a steady number a second.

use std::time::Duration;

use rand::distr::Distribution;
use rand::distr::weighted::WeightedIndex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

/// Different requests each visitor has.
const REQUESTS: usize = 512;

/// Who comes.
#[derive(Debug, Clone, Copy)]
pub struct Traffic {
    /// Visitors at the same time.
    pub connections: u32,
    /// How many links they visit, `b0`, `b1`, …, by Zipf's law.
    pub links: usize,
    /// Visits a second; none: each visitor goes on as soon as they are answered.
    pub rate: Option<u32>,
    /// For how long.
    pub time: Duration,
}

/// What visitors saw.
pub struct Visits {
    /// How many were answered with a redirect.
    pub answered: u64,
    /// For how long they came.
    pub elapsed: Duration,
    /// From when each was due to its answer, sorted.
    latencies: Vec<Duration>,
}

impl Visits {
    pub fn rate(&self) -> f64 {
        self.answered as f64 / self.elapsed.as_secs_f64()
    }

    /// A latency that this share of the visits did not exceed, in milliseconds.
    pub fn percentile_ms(&self, share: f64) -> f64 {
        percentile_ms(&self.latencies, share)
    }
}

/// The value that a share of sorted ones does not exceed, in milliseconds.
pub fn percentile_ms(sorted: &[Duration], share: f64) -> f64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place in it")]
    let place = ((sorted.len() - 1) as f64 * share).round() as usize;
    sorted[place].as_secs_f64() * 1_000.0
}

/// Visits for some time. At a rate, a visit is timed from when it was due: that a visitor waits for an answer
/// makes none of their later visits look faster. It is due at a tick of the clock, which comes up to 1 ms late, too.
pub async fn visit(url: &str, traffic: Traffic) -> Visits {
    let Traffic { connections, links, rate, time } = traffic;
    let address = url.trim_start_matches("http://").to_owned();
    let started = Instant::now();
    let pause = rate.map(|rate| Duration::from_secs(1) * connections / rate);
    let mut visitors = JoinSet::new();
    for number in 0..connections {
        let begin = started + pause.unwrap_or_default() * number / connections;
        let requests = requests(links);
        visitors.spawn(visitor(address.clone(), requests, begin, pause, started + time));
    }
    let mut latencies = Vec::new();
    while let Some(seen) = visitors.join_next().await {
        latencies.extend(seen.expect("a visitor does not panic"));
    }
    latencies.sort_unstable();
    Visits { answered: latencies.len() as u64, elapsed: started.elapsed(), latencies }
}

async fn visitor(
    address: String,
    requests: Vec<Vec<u8>>,
    begin: Instant,
    pause: Option<Duration>,
    end: Instant,
) -> Vec<Duration> {
    let mut stream = TcpStream::connect(&address).await.expect("the server accepts");
    stream.set_nodelay(true).expect("a socket option");
    let mut latencies = Vec::new();
    let (mut due, mut answer) = (begin, vec![0; 4_096]);
    for request in requests.iter().cycle() {
        match pause {
            Some(_) => sleep_until(due).await,
            None => due = Instant::now(),
        }
        if due >= end {
            break;
        }
        stream.write_all(request).await.expect("the server listens");
        read_redirect(&mut stream, &mut answer).await;
        latencies.push(due.elapsed());
        due += pause.unwrap_or_default();
    }
    latencies
}

/// A redirect has no body.
async fn read_redirect(stream: &mut TcpStream, answer: &mut [u8]) {
    let mut length = 0;
    while !answer[..length].ends_with(b"\r\n\r\n") {
        let read = stream.read(&mut answer[length..]).await.expect("the server answers");
        assert!(read > 0, "the server closed a connection");
        length += read;
    }
    assert!(answer.starts_with(b"HTTP/1.1 302"), "{}", String::from_utf8_lossy(answer));
}

/// Visits by three browsers.
fn requests(links: usize) -> Vec<Vec<u8>> {
    let weights = WeightedIndex::new((1..=links).map(|n| 1.0 / n as f64)).expect("weights");
    let agents = [
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0 Safari/537.36",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1",
        "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0",
    ];
    let mut rng = rand::rng();
    let one = |n: usize| {
        let (link, agent, item) = (weights.sample(&mut rng), agents[n % agents.len()], n % 50);
        format!(
            "GET /b{link} HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: {agent}\r\n\
             Accept-Language: en-GB,en;q=0.8\r\n\
             Referer: https://news.example.org/item?id={item}\r\n\r\n"
        )
        .into_bytes()
    };
    (0..REQUESTS).map(one).collect()
}

//! Many at once on two nodes, of which one is killed while Redis is started again: exactly the budget.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::task::JoinSet;

use super::*;
use crate::support::Settings;

/// How many visitors there are at the same time.
const VISITORS: usize = 200;

/// The clicks that the links of a round are good for.
const BUDGETS: [u32; 3] = [1, 10, 1_000];

/// How often all of that is done; `HOPLOG_BUDGET_ROUNDS` says how often otherwise.
const ROUNDS: usize = 3;

/// How long a visitor waits who was not answered.
const REFUSED_PAUSE: Duration = Duration::from_millis(5);

fn rounds() -> usize {
    std::env::var("HOPLOG_BUDGET_ROUNDS").map_or(ROUNDS, |rounds| rounds.parse().unwrap())
}

/// Visitors of the links of a round.
struct Crowd {
    /// Those that run; a node that was started again is another one.
    nodes: Mutex<Vec<Client>>,
    codes: Vec<String>,
    /// How many were led to the destination of each link.
    led: Vec<AtomicUsize>,
    refused: AtomicUsize,
}

impl Crowd {
    async fn new(nodes: &[&Client], round: &str) -> Arc<Self> {
        let codes: Vec<_> = BUDGETS.iter().map(|budget| format!("{round}-{budget}")).collect();
        for (code, budget) in codes.iter().zip(BUDGETS) {
            limited(nodes[0], code, budget, &[]).await;
        }
        let led = codes.iter().map(|_| AtomicUsize::new(0)).collect();
        let nodes = Mutex::new(nodes.iter().map(|node| (*node).clone()).collect());
        Arc::new(Self { nodes, codes, led, refused: AtomicUsize::new(0) })
    }

    fn come(self: &Arc<Self>) -> JoinSet<()> {
        (0..VISITORS).map(|number| Arc::clone(self).visitor(number)).collect()
    }

    fn node(&self, number: usize) -> Client {
        let nodes = self.nodes.lock().unwrap();
        nodes[number % nodes.len()].clone()
    }

    /// Follows each link until it leads nowhere. Whoever is not answered asks somebody else.
    async fn visitor(self: Arc<Self>, number: usize) {
        let mut turn = number;
        for place in (0..BUDGETS.len()).map(|place| (place + number) % BUDGETS.len()) {
            loop {
                let path = format!("/{}", self.codes[place]);
                let sent = self.node(turn).request(Method::GET, &path).send().await;
                match sent.map(|response| response.status().as_u16()) {
                    Ok(302) => {
                        self.led[place].fetch_add(1, Ordering::Relaxed);
                    }
                    Ok(410) => break,
                    Ok(503) | Err(_) => {
                        self.refused.fetch_add(1, Ordering::Relaxed);
                        tokio::time::sleep(REFUSED_PAUSE).await;
                    }
                    Ok(status) => panic!("a visit was answered {status}"),
                }
                turn += 1;
            }
        }
    }

    /// Waits until so many were led anywhere.
    async fn until(&self, led: usize) {
        let all = || self.led.iter().map(|led| led.load(Ordering::Relaxed)).sum::<usize>();
        while all() < led {
            tokio::task::yield_now().await;
        }
    }

    /// What the log says must be the budget, and nobody was led beyond it. `is_calm`: nobody died with an answer
    /// that was not sent, so that all of it arrived.
    async fn check(&self, client: &Client, visitors: JoinSet<()>, is_calm: bool) {
        visitors.join_all().await;
        // Clicks may wait for a log that was away, and whoever was told the end from memory asked it nothing.
        client.recovered().await;
        let head = "/api/v1/events?topic=links&after=latest";
        while client.get(head).await.status != 200 {
            tokio::task::yield_now().await;
        }
        let mut given: BTreeMap<String, u64> = BTreeMap::new();
        for event in client.events("links").await {
            if event["type"] == "hoplog.link.clicks-granted.v1" {
                let link = event["subject"].as_str().unwrap().to_owned();
                *given.entry(link).or_default() += event["data"]["count"].as_u64().unwrap();
            }
        }
        for ((code, budget), led) in self.codes.iter().zip(BUDGETS).zip(&self.led) {
            let led = led.load(Ordering::Relaxed);
            assert_eq!(given[&format!("default/{code}")], u64::from(budget), "{code}");
            assert!(led <= budget as usize, "{code}: {led}");
            let refused = self.refused.load(Ordering::Relaxed);
            assert!(!is_calm || led == budget as usize, "{code}: {led}, {refused} refused");
            let counted = client.stats(code, "").await["totalClicks"].as_u64().unwrap();
            // A node that dies may have counted whom it did not answer any more.
            assert!((led as u64..=budget.into()).contains(&counted), "{code}: {led}, {counted}");
        }
    }
}

/// When something happens in a round: early, late, in the middle.
fn moment(round: usize) -> usize {
    20 + round * 397 % 900
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_led_beyond_a_budget_whatever_becomes_of_a_node_and_of_redis() {
    let settings = Settings::production();
    let second = settings.another_node();
    let (one, mut two) = (settings.start(), second.start());
    for round in 0..rounds() {
        let crowd = Crowd::new(&[&one.client, &two.client], &format!("calm{round}")).await;
        let visitors = crowd.come();
        crowd.until(moment(round)).await;
        one.settings.redis().kill();
        one.settings.redis().start_again();
        crowd.check(&one.client, visitors, true).await;

        let crowd = Crowd::new(&[&one.client, &two.client], &format!("kill{round}")).await;
        let visitors = crowd.come();
        crowd.until(moment(round)).await;
        let killed = two.kill();
        crowd.nodes.lock().unwrap().truncate(1);
        one.settings.redis().kill();
        one.settings.redis().start_again();
        two = killed.start();
        crowd.nodes.lock().unwrap().push(two.client.clone());
        crowd.check(&one.client, visitors, false).await;
    }
    one.client.verify_read_models().await;
}

/// The log's server dies with appends of which nobody knows whether they were kept.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_led_beyond_a_budget_whatever_becomes_of_the_broker() {
    let settings = Settings::embedded().on_jetstream();
    let server = settings.start();
    for round in 0..rounds() {
        let crowd = Crowd::new(&[&server.client], &format!("broker{round}")).await;
        let visitors = crowd.come();
        crowd.until(moment(round)).await;
        server.settings.broker().kill();
        server.settings.broker().restart();
        crowd.check(&server.client, visitors, false).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_led_beyond_a_budget_of_a_node_with_a_log_of_its_own() {
    let mut server = Settings::embedded().start();
    for round in 0..rounds() {
        let crowd = Crowd::new(&[&server.client], &format!("calm{round}")).await;
        crowd.check(&server.client, crowd.come(), true).await;

        let crowd = Crowd::new(&[&server.client], &format!("kill{round}")).await;
        let visitors = crowd.come();
        crowd.until(moment(round)).await;
        server = server.kill().start();
        *crowd.nodes.lock().unwrap() = vec![server.client.clone()];
        crowd.check(&server.client, visitors, false).await;
    }
    server.client.verify_read_models().await;
}

//! Erasures that are broken off, that meet others, and that meet visitors.

use std::collections::BTreeSet;

use super::*;
use crate::support::Load;

/// Many clicks of one visitor in many events.
async fn fill(client: &Client, events: usize) {
    client.create(NewLink::to("https://telltale.example/").with("alias", "a")).await;
    for event in 0..events {
        let past: Vec<Value> = (0..100)
            .map(|n| {
                let agent = if n % 2 == 0 { AGENT } else { OTHER_AGENT };
                json!({
                    "code": "a", "at": format!("2026-03-{:02}T10:00:00Z", 1 + event % 28),
                    "importId": format!("{event}-{n}"), "address": ADDRESS, "userAgent": agent,
                })
            })
            .collect();
        client.import_clicks(&format!("past-{event}"), &past).await;
    }
}

/// Killed at whatever moment: asking again finishes it, and everybody is told of every click, also if tables
/// were built meanwhile that have no trace of who is erased.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_node_began_is_finished_by_asking_again() {
    let mut server = settings().start();
    fill(&server.client, 40).await;
    let before = numbers(&server.client, &["a"]).await;
    let mut was_cut_off = false;
    for round in 0..8_u64 {
        let client = server.client.clone();
        let what = if round < 6 { format!("visitors/{ADDRESS}") } else { "links/a".to_owned() };
        let asked = tokio::spawn(async move {
            let path = format!("/api/v1/{what}/personal-data");
            client.authorized(Method::DELETE, &path).send().await.is_ok()
        });
        tokio::time::sleep(Duration::from_millis(3 + round * round * 5)).await;
        let settings = server.kill();
        was_cut_off |= !asked.await.unwrap();
        server = settings.start();
        caught_up(&server.client).await;
        if round % 3 == 1 {
            rebuilt(&server.client).await;
        }
    }
    assert!(was_cut_off, "every erasure was faster than the kill");
    let client = &server.client;
    finished(client, &format!("visitors/{ADDRESS}")).await;
    finished(client, "links/a").await;
    let secrets = ["Telltale", ADDRESS, "telltale.example"];
    has_none("the disk", &kept(&server.settings), &secrets);
    has_none("the service", &told(&server, &["a"]).await, &secrets);
    let ids = async |kind| BTreeSet::from_iter(events_of(client, kind, "a").await);
    let recorded = ids("hoplog.clicks.recorded.v1").await;
    assert_eq!(recorded.len(), 4_000);
    let untold = recorded.difference(&ids("hoplog.clicks.erased.v1").await).count();
    assert_eq!(untold, 0, "clicks of which nobody is told");
    same_numbers(client, &["a"], &before).await;
    client.verify_read_models().await;
    rebuild(client).await;
    same_numbers(client, &["a"], &before).await;
}

/// Builds the tables of clicks anew, as soon as nobody else does something with them.
async fn rebuilt(client: &Client) {
    for _ in 0..300 {
        let answer = client.post("/api/v1/projections/clicks/rebuild", &json!({})).await;
        if answer.status == 200 {
            return;
        }
        assert_eq!(answer.code(), "build_under_way");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("nothing can be built");
}

/// Whoever asked has gone, and the server is told to stop.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_erasure_that_is_under_way_when_the_server_stops_is_brought_to_its_end() {
    let server = settings().start();
    fill(&server.client, 20).await;
    let recorded = server.client.heads().await;
    let asking = server.client.clone();
    let asked = tokio::spawn(async move { erase(&asking, &format!("visitors/{ADDRESS}")).await });
    // The first of four parts is told.
    while server.client.heads().await == recorded {
        tokio::task::yield_now().await;
    }
    asked.abort();
    let settings = server.stop();
    assert!(!settings.log().contains("did not end in time"), "{}", settings.log());
    // Nothing was left to be finished.
    let server = settings.start();
    let all = events_of(&server.client, "hoplog.clicks.erased.v1", "a").await;
    assert_eq!(all.len(), 2_000);
    assert!(!server.settings.log().contains("an erasure that was begun is finished"));
    // No stop waits for files that are written anew; whoever asks does.
    assert_eq!(erase(&server.client, &format!("visitors/{ADDRESS}")).await.json()["clicks"], 0);
    has_none("the disk", &kept(&server.settings), &["Telltale", ADDRESS]);
}

/// Asks until it is done: what says that it is not finished yet is asked again.
async fn finished(client: &Client, what: &str) -> Value {
    for _ in 0..100 {
        let answer = erase(client, what).await;
        if answer.status != 503 {
            return answer.expect(200).json();
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{what} is not erased");
}

/// Builds tables anew. An erasure that was first has those of clicks, and says so: then it is asked again.
async fn built(client: &Client, projection: &str) {
    for _ in 0..100 {
        let path = format!("/api/v1/projections/{projection}/rebuild");
        let answer = client.post(&path, &json!({})).await;
        if answer.status != 409 {
            answer.expect(200);
            return;
        }
        assert_eq!(answer.json()["code"], "build_under_way");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{projection} is not built");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_erasures_at_once_are_one() {
    let server = settings().start();
    let client = &server.client;
    fill(client, 10).await;
    let before = numbers(client, &["a"]).await;
    let visitor = format!("visitors/{ADDRESS}");
    let answers = tokio::join!(
        finished(client, &visitor),
        finished(client, &visitor),
        finished(client, "links/a"),
        finished(client, "links/a"),
    );
    let clicks = answers.0["clicks"].as_u64().unwrap() + answers.1["clicks"].as_u64().unwrap();
    assert!(clicks >= 1_000, "{answers:?}");
    client.verify_read_models().await;
    has_none("the disk", &kept(&server.settings), &["Telltale", ADDRESS, "telltale.example"]);
    same_numbers(client, &["a"], &before).await;
    rebuild(client).await;
    same_numbers(client, &["a"], &before).await;
}

/// All visitors of a load are one. It never ends, so nobody waits for its last click.
async fn any_visitor(client: &Client, code: &str) -> String {
    for _ in 0..1_000 {
        let page = client.get(&format!("/api/v1/links/{code}/clicks?limit=1")).await.expect(200);
        if let Some(hash) = page.json()["data"][0]["visitor"].as_str() {
            return hash.to_owned();
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("no click is counted");
}

/// Visitors come meanwhile, and tables are built: nothing is lost, nothing is counted twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn visitors_do_not_notice_an_erasure() {
    let server = settings().start();
    let client = &server.client;
    let code = client.code(NewLink::to("https://example.com/")).await;
    // Each of his batches is read, rewritten and told of, twice.
    let pause = Duration::from_millis(20);
    let load = Load::paced(std::slice::from_ref(client), &code, "s", (1, 0), pause);
    load.visits(50).await;
    let hash = any_visitor(client, &code).await;
    for projection in ["link_directory", "clicks"] {
        let visitor = format!("visitors/{hash}");
        let ((), erased) = tokio::join!(built(client, projection), finished(client, &visitor));
        assert!(erased["clicks"].as_u64().unwrap() > 0, "{erased}");
        load.visits(20).await;
    }
    assert_eq!(load.refused(), 0);
    load.stop().await.check_links(client).await;
    finished(client, &format!("visitors/{hash}")).await;
    has_none("the service", &told(&server, &[&code]).await, &[&hash]);
    client.verify_read_models().await;
    let before = numbers(client, &[&code]).await;
    rebuild(client).await;
    same_numbers(client, &[&code], &before).await;
}

//! The promise: an event that can't be handled holds up its own link, and nothing else.

use hoplog_events::envelope::{CommandId, NewEvent};
use hoplog_events::log::jetstream::JetStreamLog;
use hoplog_events::log::{Append, EventLog, ExpectedVersion};
use hoplog_events::position::{StreamId, Topic};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Client, Load, NewLink, Settings};

/// The envelope of an event whose data is not what its type says.
fn poisoned(stream: &StreamId, event_type: &str, data: &Value) -> Append {
    let id = uuid::Uuid::now_v7();
    let command_id = CommandId(uuid::Uuid::new_v4());
    let body = json!({
        "specversion": "1.0", "id": id, "source": "hoplog", "type": event_type,
        "subject": stream.key(), "time": "2026-03-01T12:00:00Z",
        "recordedtime": "2026-03-01T12:00:00Z", "datacontenttype": "application/json",
        "actor": "test", "commandid": command_id.0, "data": data,
    });
    let event = NewEvent { id, event_type: event_type.into(), body: body.to_string().into() };
    Append {
        stream: stream.clone(),
        expected: ExpectedVersion::Any,
        command_id,
        events: vec![event],
    }
}

async fn parked(client: &Client, projection: &str) -> Vec<Value> {
    let path = format!("/api/v1/projections/{projection}/parked");
    client.get(&path).await.expect(200).json()["data"].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_poison_event_in_real_traffic_holds_up_its_link_alone() {
    let server = Settings::embedded().on_jetstream().start();
    let client = &server.client;
    let code = client.code(NewLink::to("https://example.com/")).await;
    client.create(NewLink::to("https://bad.example.com/").with("alias", "bad")).await;
    client.visit("/bad").await.expect(302);
    let options = server.settings.broker().url().parse().unwrap();
    let (log, _) = JetStreamLog::open(&options).await.unwrap();

    let load = Load::start(std::slice::from_ref(client), &code, "p", 8, 2);
    load.visits(50).await;
    let stream = StreamId::new(Topic::Links, "default/bad");
    log.append(poisoned(&stream, "hoplog.link.titled.v1", &json!({ "title": 7 }))).await.unwrap();
    let stream = StreamId::new(Topic::Clicks, "poison/0");
    let clicks = json!({ "clicks": [{ "at": "never", "utm": {} }] });
    log.append(poisoned(&stream, "hoplog.clicks.recorded.v1", &clicks)).await.unwrap();
    load.visits(50).await;
    load.creations(5).await;
    let learned = load.stop().await;

    client.caught_up("link_directory").await;
    // Everybody else's links and clicks are there.
    learned.check_links(client).await;
    let total = client.stats(&code, "").await["totalClicks"].as_u64().unwrap();
    assert_eq!(client.click_marks().await.len() as u64, total + 2, "and two of others");
    for (projection, sequence) in [
        ("link_directory", "default/bad"),
        ("clicks", "poison/0@"),
        ("click_statistics", "poison/0@"),
    ] {
        let parked = parked(client, projection).await;
        assert_eq!(parked.len(), 1, "{parked:?}");
        assert!(parked[0]["sequence"].as_str().unwrap().starts_with(sequence), "{parked:?}");
        assert_eq!((&parked[0]["attempts"], &parked[0]["events"]), (&json!(1), &json!(1)));
        let listed = server.cli_ok(&["projection", "parked", projection]);
        assert!(listed.contains(sequence), "{listed}");
        let path = format!("/api/v1/projections/{projection}");
        assert_eq!(client.get(&path).await.expect(200).json()["parked"], 1);
        let refused = client.post(&format!("{path}/rebuild"), &json!({})).await.expect(409);
        assert_eq!(refused.code(), "event_not_handled");
        assert!(refused.json()["detail"].as_str().unwrap().contains(&sequence[..6]));
    }
    client.verify_read_models().await;
    let metrics = client.get("/metrics").await.expect(200).body;
    assert!(metrics.contains("hoplog_projection_parked{projection=\"clicks\"} 1"), "{metrics}");

    // Trying again changes nothing; it is said so.
    let retried = server.cli(&["projection", "retry", "clicks"]);
    assert_eq!(retried.status.code(), Some(1));
    assert_eq!(parked(client, "clicks").await[0]["attempts"], 2);
    for projection in ["link_directory", "clicks", "click_statistics"] {
        let sequence = parked(client, projection).await[0]["sequence"].clone();
        server.cli_ok(&["projection", "skip", projection, sequence.as_str().unwrap()]);
        assert_eq!(parked(client, projection).await, [] as [Value; 0]);
        server.cli_ok(&["projection", "rebuild", projection]);
    }
    client.verify_read_models().await;
}

/// One link that nobody can read is no reason to tell of no other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_that_can_not_be_read_keeps_its_place_in_a_ranking() {
    let server = Settings::embedded().on_jetstream().start();
    let client = &server.client;
    for code in ["bad", "good"] {
        client.create(NewLink::to("https://example.com/").with("alias", code)).await;
    }
    for code in ["bad", "good", "bad"] {
        let visit = client.request(Method::GET, &format!("/{code}"));
        let browser = "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0";
        client.send(visit.header("user-agent", browser)).await.expect(302);
    }
    let options = server.settings.broker().url().parse().unwrap();
    let (log, _) = JetStreamLog::open(&options).await.unwrap();
    let stream = StreamId::new(Topic::Links, "default/bad");
    log.append(poisoned(&stream, "hoplog.link.titled.v1", &json!({ "title": 7 }))).await.unwrap();
    for projection in ["link_directory", "click_statistics", "top_links"] {
        client.caught_up(projection).await;
    }
    let top = client.get("/api/v1/top").await.expect(200).json();
    let (bad, good) = (&top["data"][0], &top["data"][1]);
    assert_eq!((&bad["rank"], &bad["clicks"]), (&json!(1), &json!(2)));
    assert_eq!((&bad["link"], &bad["unreadable"]), (&json!(null), &json!("bad")));
    assert_eq!((&good["link"]["code"], &good["unreadable"]), (&json!("good"), &json!(null)));
    let rank = client.get("/api/v1/links/good/rank").await.expect(200).json();
    assert_eq!(rank["above"][0]["unreadable"], "bad");
}

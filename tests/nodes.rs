//! The promise: nodes on one log and one database are one service.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use hoplog_projections::postgres_server::free_port;
use serde_json::json;

use crate::support::{Client, Load, NewLink, Server, Settings};

const URL: &str = "https://example.com/";

/// How long one node may take to see what another one did, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// Two nodes with every role.
fn two_nodes() -> (Server, Server) {
    let settings = Settings::production();
    let second = settings.another_node();
    (settings.start(), second.start())
}

/// Which of two nodes keeps a projection.
async fn keeper<'a>(nodes: [&'a Server; 2], projection: &str) -> &'a Server {
    let deadline = Instant::now() + PATIENCE;
    loop {
        for node in nodes {
            if node.client.projection_state(projection).await == "live" {
                return node;
            }
        }
        assert!(Instant::now() < deadline, "nobody keeps {projection}");
        tokio::task::yield_now().await;
    }
}

/// Visits until the answer is as expected.
async fn becomes(client: &Client, code: &str, expected: impl Fn(u16, &str) -> bool) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answer = client.visit(&format!("/{code}")).await;
        if expected(answer.status.as_u16(), answer.header("location")) {
            return;
        }
        assert!(Instant::now() < deadline, "/{code} stays {answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_changed_through_one_node_changes_on_the_other() {
    let (one, two) = two_nodes();
    let (one, two) = (&one.client, &two.client);
    for round in 0..3 {
        let code = one.code(NewLink::to(URL)).await;
        let path = format!("/api/v1/links/{code}");
        // Also where it was asked for before it existed, or is at hand.
        becomes(two, &code, |status, to| (status, to) == (302, URL)).await;
        let to = format!("https://example.org/{round}");
        one.patch(&path, &json!({ "url": to })).await.expect(200);
        becomes(two, &code, |_, location| location == to).await;
        two.post(&format!("{path}/disable"), &json!({})).await.expect(200);
        becomes(one, &code, |status, _| status == 404).await;
        one.post(&format!("{path}/enable"), &json!({})).await.expect(200);
        becomes(two, &code, |status, _| status == 302).await;
        two.delete(&path).await.expect(204);
        becomes(one, &code, |status, _| status == 410).await;
    }
    // Who asks with the position of a change sees it at once, wherever.
    let created = one.post("/api/v1/links", &NewLink::to(URL).0).await.expect(201);
    let code = created.json()["code"].as_str().unwrap().to_owned();
    let request = two.authorized(reqwest::Method::GET, &format!("/api/v1/links/{code}"));
    let request = request.header("hoplog-position", created.position());
    assert_eq!(two.send(request).await.expect(200).json()["url"], URL);
}

/// Trap 3 (U11): two nodes that make a link of the same name at the same moment.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trap_3_one_of_two_nodes_gets_an_alias() {
    let (one, two) = two_nodes();
    for n in 0..20 {
        let link = NewLink::to(URL).with("alias", format!("wanted-{n}"));
        let (first, second) = tokio::join!(
            one.client.post("/api/v1/links", &link.0),
            two.client.post("/api/v1/links", &link.0),
        );
        let mut statuses = [first.status.as_u16(), second.status.as_u16()];
        statuses.sort_unstable();
        assert_eq!(statuses, [201, 409], "{first:?} {second:?}");
    }
}

/// Keys are events as well: what one node revokes, the other refuses.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_one_node_revokes_ends_on_the_other() {
    let (one, two) = two_nodes();
    let body = json!({ "name": "k", "owner": "k", "scopes": ["links:read"] });
    let made = one.client.post("/api/v1/keys", &body).await.expect(201).json();
    let guest = two.client.with_key(made["key"].as_str().unwrap());
    let deadline = Instant::now() + PATIENCE;
    let status = async |expected: u16| {
        while guest.get("/api/v1/links").await.status != expected {
            assert!(Instant::now() < deadline, "not {expected}");
        }
    };
    status(200).await;
    one.client.delete(&format!("/api/v1/keys/{}", made["id"].as_str().unwrap())).await.expect(204);
    status(401).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_does_what_its_roles_say_and_names_the_role_for_the_rest() {
    let all = Settings::production();
    let with = |roles: &str| all.another_node().with("HOPLOG_ROLES", roles).start();
    let (commands, queries, projector) = (with("command"), with("query"), with("projector"));
    let code = commands.client.code(NewLink::to(URL)).await;
    becomes(&queries.client, &code, |status, _| status == 302).await;
    let answer = commands.client.visit(&format!("/{code}")).await.expect(421);
    assert_eq!(answer.code(), "wrong_role");
    for (node, answer) in [
        (&queries, queries.client.post("/api/v1/links", &json!({ "url": URL })).await),
        (&projector, projector.client.get("/api/v1/links").await),
        (&commands, commands.client.get(&format!("/api/v1/links/{code}/stats")).await),
        (&queries, queries.client.post("/api/v1/projections/clicks/pause", &json!({})).await),
    ] {
        assert_eq!(answer.clone().expect(421).code(), "wrong_role", "{answer:?}");
        node.client.visit("/health/ready").await.expect(200);
        node.client.get("/api/v1/projections").await.expect(200);
    }
    projector.client.caught_up("clicks").await;
    assert_eq!(projector.client.projection_state("clicks").await, "live");
    assert_eq!(queries.client.projection_state("clicks").await, "standby");
    assert_eq!(queries.client.stats(&code, "").await["totalClicks"], 1);
    // Roles that the backends don't allow are refused at the start.
    for (name, value) in [("HOPLOG_READ_URL", "sqlite:"), ("HOPLOG_LOG_URL", "embedded:")] {
        let settings = all.another_node().with("HOPLOG_ROLES", "query").with(name, value);
        let output = settings.command().arg("serve").output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && said.contains("HOPLOG_ROLES is"), "{said}");
    }
}

/// Trap 14 (U31): what is done once for all nodes goes on when the one that did it is gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trap_14_a_projector_that_is_killed_is_replaced() {
    let (one, two) = two_nodes();
    let code = one.client.code(NewLink::to(URL)).await;
    becomes(&two.client, &code, |status, _| status == 302).await;
    let nodes = [one.client.clone(), two.client.clone()];
    let load = Load::start(&nodes, &code, "k", 8, 2);
    load.visits(50).await;
    let killed_is_one = keeper([&one, &two], "click_statistics").await.url == one.url;
    let (killed, left) = if killed_is_one { (one, two) } else { (two, one) };
    let at = Instant::now();
    drop(killed.kill());
    while left.client.projection_state("click_statistics").await != "live" {
        assert!(at.elapsed() < PATIENCE, "nobody takes over");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    println!("taken over after {} ms", at.elapsed().as_millis());
    load.visits(50).await;
    let mut ledger = load.stop().await;
    // One more than the load's marks: the visit that warmed the second node has none.
    ledger.unmarked = 1;
    ledger.check(&[&left.client], &code).await;
}

/// How many partitions of a projection each process holds, as a node sees it; none under "".
async fn holders(client: &Client, projection: &str) -> BTreeMap<String, usize> {
    let path = format!("/api/v1/projections/{projection}");
    let status = client.get(&path).await.expect(200).json();
    let mut holders = BTreeMap::new();
    for partition in status["partitions"].as_array().unwrap() {
        let holder = partition["holder"].as_str().unwrap_or_default();
        *holders.entry(holder.to_owned()).or_default() += 1;
    }
    holders
}

/// Waits until so many processes hold so many partitions of every projection, the others none.
async fn shared(client: &Client, spread: &[usize]) {
    let deadline = Instant::now() + PATIENCE;
    for projection in ["link_directory", "clicks", "click_statistics", "top_links"] {
        loop {
            let holders = holders(client, projection).await;
            if !holders.contains_key("") && holders.values().copied().eq(spread.iter().copied()) {
                break;
            }
            assert!(Instant::now() < deadline, "{projection}: {holders:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// Trap 14 for those who share: both work on every projection, and what the one that is killed held
/// is the other's within seconds; every click is counted once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trap_14_two_projectors_share_the_work_and_one_takes_it_all() {
    let settings = Settings::production().with("HOPLOG_PROJECTOR_PARTITIONS", "4");
    let second = settings.another_node();
    let (one, two) = (settings.start(), second.start());
    shared(&one.client, &[2, 2]).await;
    for node in [&one, &two] {
        assert_ne!(node.client.projection_state("click_statistics").await, "standby");
    }
    let code = one.client.code(NewLink::to(URL)).await;
    becomes(&two.client, &code, |status, _| status == 302).await;
    let nodes = [one.client.clone(), two.client.clone()];
    let load = Load::start(&nodes, &code, "p", 8, 4);
    load.visits(100).await;
    load.creations(20).await;
    let at = Instant::now();
    drop(one.kill());
    shared(&two.client, &[4]).await;
    let taken = at.elapsed();
    println!("all partitions taken over after {} ms", taken.as_millis());
    load.visits(100).await;
    let head = two.client.heads().await[1].clone();
    let query = two.client.authorized(reqwest::Method::GET, &format!("/api/v1/links/{code}/stats"));
    two.client.send(query.header("hoplog-position", head)).await.expect(200);
    println!("and every event until then is applied after {} ms", at.elapsed().as_millis());
    assert!(taken < PATIENCE / 2, "{taken:?}");
    // Another one comes in its place, and is given its share.
    let third = two.settings.another_node().start();
    shared(&third.client, &[2, 2]).await;
    load.visits(50).await;
    let mut ledger = load.stop().await;
    ledger.unmarked = 1;
    ledger.check(&[&two.client, &third.client], &code).await;
    // Not only for one of them: each partition's links have clicks that are counted once.
    for (code, _) in ledger.created.iter().take(20) {
        third.client.visit(&format!("/{code}")).await.expect(302);
    }
    third.client.verify_read_models().await;
    for (code, _) in ledger.created.iter().take(20) {
        assert_eq!(two.client.stats(code, "").await["totalClicks"], 1);
    }
}

/// Nodes are stopped and started one after the other, as for an upgrade, while clients go on: a
/// request that reached a node is answered, and whoever finds a node closed goes to the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_restart_answers_no_request_with_an_error() {
    let settings = Settings::production();
    // One that each node keeps over its restarts.
    let listen = |settings: Settings| {
        let address = format!("127.0.0.1:{}", free_port());
        settings.with("HOPLOG_LISTEN", &address).without("HOPLOG_DRAIN_SECONDS")
    };
    let second = settings.another_node();
    let mut nodes = [listen(settings).start(), listen(second).start()];
    let code = nodes[0].client.code(NewLink::to(URL)).await;
    let clients = [nodes[0].client.clone(), nodes[1].client.clone()];
    becomes(&clients[1], &code, |status, _| status == 302).await;
    let load = Load::start(&clients, &code, "r", 8, 2);
    for _ in 0..2 {
        for number in 0..2 {
            load.visits(200).await;
            nodes = restart(nodes, number);
        }
    }
    load.visits(200).await;
    load.creations(5).await;
    let mut ledger = load.stop().await;
    ledger.unmarked = 1;
    let broken: Vec<_> =
        ledger.refused.iter().filter(|refusal| !refusal.contains("ConnectionRefused")).collect();
    assert!(broken.is_empty(), "{broken:?}");
    ledger.check(&[&nodes[0].client, &nodes[1].client], &code).await;
}

fn restart(nodes: [Server; 2], number: usize) -> [Server; 2] {
    let mut number_of = 0..;
    nodes.map(|node| if number_of.next() == Some(number) { node.stop().start() } else { node })
}

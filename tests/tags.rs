//! The promise: a tag is a set of links: counted together, and renamed together.

use serde_json::{Value, json};

use crate::support::{Client, NewLink, Server, Settings};

const URL: &str = "https://example.com/";

fn tagged(alias: &str, tags: &[&str]) -> NewLink {
    NewLink::to(URL).with("alias", alias).with("tags", json!(tags))
}

/// Statistics of links that are counted together, of all that was recorded so far.
async fn counted(client: &Client, admin: &Client, query: &str) -> Value {
    for projection in ["link_directory", "clicks", "click_statistics"] {
        admin.caught_up(projection).await;
    }
    client.get(&format!("/api/v1/stats?{query}")).await.expect(200).json()
}

/// Those of the links that the key may read, with every parameter that statistics take.
#[tokio::test]
async fn a_tag_is_counted_for_whoever_may_read_its_links() {
    let server = Server::start();
    let admin = &server.client;
    let ann = &admin.keyed("ann", &["links:read", "links:write", "stats:read"]).await;
    let bob = &admin.keyed("bob", &["links:read", "links:write", "stats:read"]).await;
    ann.create(tagged("a1", &["sale", "mail"])).await;
    ann.create(tagged("a2", &["sale"])).await;
    ann.create(tagged("a3", &[])).await;
    bob.create(tagged("b1", &["sale"])).await;
    let mut clicks = Vec::new();
    let visits = [("a1", "DE", 3), ("a2", "IN", 4), ("a3", "DE", 5), ("b1", "DE", 6)];
    for (code, country, count) in visits {
        for n in 0..count {
            clicks.push(json!({
                "code": code, "at": format!("2026-03-0{}T10:00:00Z", 1 + n), "country": country,
                "importId": format!("{code}{n}"), "address": "192.0.2.1",
                "userAgent": "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0",
            }));
        }
    }
    assert_eq!(admin.import_clicks("test", &clicks).await.json()["added"], 18);
    for (client, query, expected) in [
        (ann, "tag=sale", 7),
        (bob, "tag=sale", 6),
        (admin, "tag=sale", 13),
        (ann, "tag=mail", 3),
        (bob, "tag=mail", 0),
        (ann, "tag=sale&country=DE", 3),
        (ann, "tag=sale&from=2026-03-03&to=2026-03-04&tz=Asia/Kolkata", 3),
        (admin, "tag=sale&bots=only", 0),
        (ann, "domain=default", 12),
        (admin, "domain=default", 18),
        (admin, "domain=default&tag=mail", 3),
    ] {
        let counted = counted(client, admin, query).await;
        assert_eq!(counted["totalClicks"], expected, "{query}: {counted}");
        let series = counted["series"].as_array().unwrap().iter();
        let series: u64 = series.map(|point| point["clicks"].as_u64().unwrap()).sum();
        assert_eq!(series, expected, "{query}");
    }
    // What a link is called now is what it counts for.
    ann.patch("/api/v1/links/a2", &json!({ "tags": ["mail"] })).await.expect(200);
    assert_eq!(counted(ann, admin, "tag=sale").await["totalClicks"], 3);
    assert_eq!(counted(ann, admin, "tag=mail").await["totalClicks"], 7);
    ann.delete("/api/v1/links/a1/personal-data").await.expect(200);
    assert_eq!(counted(ann, admin, "tag=mail").await["totalClicks"], 4);
    // On the command line, too.
    let shown = server.cli_ok(&["stats", "--tag", "mail", "--from", "2026-03-01"]);
    assert!(shown.starts_with("4 clicks,"), "{shown}");
    assert!(server.cli_ok(&["stats", "--domain", "default"]).starts_with("18 clicks,"));
    assert_eq!(server.cli(&["stats", "a3", "--tag", "mail"]).status.code(), Some(2));
    assert_eq!(server.cli(&["stats"]).status.code(), Some(2));
}

async fn renamed(client: &Client, from: &str, to: &str) -> Value {
    let path = format!("/api/v1/tags/{from}/rename");
    client.post(&path, &json!({ "to": to })).await.expect(200).json()
}

/// The tags of a key's links, in the order in which they are listed.
async fn tags(client: &Client, admin: &Client, query: &str) -> Vec<(String, u64)> {
    admin.caught_up("link_directory").await;
    let page = client.get(&format!("/api/v1/tags?{query}")).await.expect(200).json();
    let tags = page["data"].as_array().unwrap().iter();
    tags.map(|one| (one["tag"].as_str().unwrap().to_owned(), one["links"].as_u64().unwrap()))
        .collect()
}

fn listed(tags: &[(&str, u64)]) -> Vec<(String, u64)> {
    tags.iter().map(|(tag, links)| ((*tag).to_owned(), *links)).collect()
}

async fn tags_of(client: &Client, code: &str) -> Value {
    client.get(&format!("/api/v1/links/{code}")).await.expect(200).json()["tags"].clone()
}

/// Each link as if its tags were patched, in its history as well; nobody else's; and once.
#[tokio::test]
async fn a_tag_is_renamed_on_every_link_of_its_owner_and_no_other() {
    let server = Server::start();
    let admin = &server.client;
    let ann = &admin.keyed("ann", &["links:read", "links:write"]).await;
    let bob = &admin.keyed("bob", &["links:read", "links:write"]).await;
    ann.create(tagged("a1", &["sale", "mail"])).await;
    ann.create(tagged("a2", &["sale"])).await;
    ann.create(tagged("a3", &["other"])).await;
    ann.create(tagged("a4", &["sale"]).with("archived", true)).await;
    ann.create(tagged("a5", &["sale"])).await;
    ann.delete("/api/v1/links/a5").await.expect(204);
    bob.create(tagged("b1", &["sale"])).await;
    assert_eq!(tags(ann, admin, "").await, listed(&[("mail", 1), ("other", 1), ("sale", 3)]));
    assert_eq!(tags(admin, admin, "prefix=s").await, listed(&[("sale", 4)]));
    let answer = renamed(ann, "sale", "promo").await;
    let expected = |merged: bool, changed: usize| json!({ "from": "sale", "to": "promo", "merged": merged, "changed": changed, "left": false });
    assert_eq!(answer, expected(false, 3));
    // Known on this node at once, whatever the read model knows.
    assert_eq!(tags_of(ann, "a1").await, json!(["mail", "promo"]));
    assert_eq!(tags(ann, admin, "").await, listed(&[("mail", 1), ("other", 1), ("promo", 3)]));
    assert_eq!(tags(bob, admin, "").await, listed(&[("sale", 1)]));
    let history = ann.get("/api/v1/links/a2/history").await.expect(200).json();
    let history = history["data"].as_array().unwrap().clone();
    assert_eq!(history.len(), 2, "{history:?}");
    assert!(history.iter().any(|event| event.to_string().contains("hoplog.link.tagged")));
    assert_eq!(ann.get("/api/v1/links/a3").await.json()["version"], 1);
    // Asked again there is nothing to do.
    assert_eq!(renamed(ann, "sale", "promo").await, expected(true, 0));
    // What is there already is joined.
    let joined = renamed(ann, "promo", "mail").await;
    assert_eq!((&joined["merged"], &joined["changed"]), (&json!(true), &json!(3)));
    assert_eq!(tags_of(ann, "a1").await, json!(["mail"]));
    assert_eq!(tags(ann, admin, "").await, listed(&[("mail", 3), ("other", 1)]));
    // An administrator's is about the links of all.
    ann.patch("/api/v1/links/a3", &json!({ "tags": ["sale"] })).await.expect(200);
    admin.caught_up("link_directory").await;
    assert_eq!(renamed(admin, "sale", "season").await["changed"], 2);
    assert_eq!(tags_of(bob, "b1").await, json!(["season"]));
    admin.verify_read_models().await;
    // On the command line, too.
    assert!(server.cli_ok(&["tag", "list"]).contains("season"));
    let told = server.cli_ok(&["tag", "rename", "season", "mail"]);
    assert_eq!(told, "2 links changed, joined to those that had it\n");
    admin.caught_up("link_directory").await;
    assert_eq!(server.cli_ok(&["tag", "list", "--prefix", "s"]).lines().count(), 1);
}

#[tokio::test]
async fn a_rename_that_can_not_be_is_refused() {
    let server = Server::start();
    let client = &server.client;
    client.create(tagged("a", &["x"])).await;
    client.caught_up("link_directory").await;
    let long = "x".repeat(51);
    for (tag, body, status, pointers) in [
        ("x", json!({ "to": "x" }), 422, vec!["/to"]),
        ("x", json!({}), 422, vec!["/to"]),
        ("x", json!({ "to": "" }), 422, vec!["/to"]),
        ("x", json!({ "to": "a\nb" }), 422, vec!["/to"]),
        ("x", json!({ "to": long }), 422, vec!["/to"]),
        ("x", json!({ "to": 7, "more": 1 }), 422, vec!["/to", "/more"]),
        ("%20", json!({ "to": "y" }), 404, vec![]),
        ("a%0Ab", json!({ "to": "y" }), 404, vec![]),
        (&long, json!({ "to": "y" }), 404, vec![]),
    ] {
        let answer = client.post(&format!("/api/v1/tags/{tag}/rename"), &body).await;
        let answer = answer.expect(status).json();
        let errors = answer["errors"].as_array().cloned().unwrap_or_default();
        let named: Vec<&str> = errors.iter().map(|e| e["pointer"].as_str().unwrap()).collect();
        assert_eq!(named, pointers, "{tag} {body}: {answer}");
    }
    let reader = client.keyed("ann", &["links:read"]).await;
    let refused = reader.post("/api/v1/tags/x/rename", &json!({ "to": "y" })).await;
    assert_eq!(refused.expect(403).code(), "missing_scope");
    assert_eq!(client.get("/api/v1/links/a").await.json()["version"], 1, "nothing is stored");
    let none = renamed(client, "nobody's", "y").await;
    assert_eq!((&none["changed"], &none["left"]), (&json!(0), &json!(false)));
}

/// One request changes 5,000 links, and whoever asks again goes on where it was.
#[tokio::test]
async fn more_links_than_one_request_changes_are_left_for_the_next() {
    let server = Server::start();
    let client = &server.client;
    let links = vec![json!({ "url": URL, "tags": ["old"] }); 5_007];
    client.post("/api/v1/links/bulk", &json!({ "links": links })).await.expect(200);
    client.caught_up("link_directory").await;
    let answer = renamed(client, "old", "new").await;
    assert_eq!((&answer["changed"], &answer["left"]), (&json!(5_000), &json!(true)));
    // Whether or not the read model knows of that already.
    let answer = renamed(client, "old", "new").await;
    assert_eq!((&answer["changed"], &answer["left"]), (&json!(7), &json!(false)));
    assert_eq!(tags(client, client, "").await, listed(&[("new", 5_007)]));
}

/// What somebody else changes at the same time is not lost; a link that gets the old name meanwhile keeps it until
/// it is asked again.
#[tokio::test]
async fn changes_of_the_same_links_at_the_same_time_are_kept() {
    let server = Server::start();
    let client = &server.client;
    for n in 0..40 {
        client.create(tagged(&format!("c{n}"), &["old", "keep"])).await;
    }
    client.caught_up("link_directory").await;
    let patches = async {
        for n in 0..40 {
            let path = format!("/api/v1/links/c{n}");
            match n % 3 {
                0 => client.patch(&path, &json!({ "tags": ["mine", "old"] })).await.expect(200),
                1 => client.patch(&path, &json!({ "title": "t" })).await.expect(200),
                _ => client.patch(&path, &json!({ "tags": [] })).await.expect(200),
            };
        }
    };
    let renames = async {
        for _ in 0..5 {
            renamed(client, "old", "new").await;
        }
    };
    tokio::join!(patches, renames);
    client.caught_up("link_directory").await;
    assert_eq!(renamed(client, "old", "new").await["left"], false);
    for n in 0..40 {
        let link = client.get(&format!("/api/v1/links/c{n}")).await.expect(200).json();
        let (tags, title) = match n % 3 {
            0 => (json!(["mine", "new"]), Value::Null),
            1 => (json!(["keep", "new"]), json!("t")),
            _ => (json!([]), Value::Null),
        };
        assert_eq!((&link["tags"], &link["title"]), (&tags, &title), "c{n}");
    }
    client.verify_read_models().await;
}

#[tokio::test]
async fn renames_have_a_limit_of_their_own() {
    let policy = "[[policies]]\nname = 'rename'\nmatch = { routes = ['rename'] }\nby = 'key'\n\
                  tiers = [{ limit = 2, per = '1d' }]\n";
    let server = Settings::embedded().limited_by(policy).start();
    let client = &server.client;
    for _ in 0..2 {
        renamed(client, "x", "y").await;
    }
    let refused = client.post("/api/v1/tags/x/rename", &json!({ "to": "y" })).await.expect(429);
    assert_eq!(refused.json()["violated-policies"], json!(["rename"]));
    client.get("/api/v1/tags").await.expect(200);
    client.create(tagged("a", &["x"])).await;
}

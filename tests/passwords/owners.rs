//! Passwords in every way that owners have to give them.

use super::*;

const LINK: &str = "/api/v1/links/a";

#[tokio::test]
async fn a_request_under_a_key_is_another_one_with_another_password() {
    let server = Server::start();
    let client = &server.client;
    let create = async |password: &str| {
        let body = json!({ "url": URL, "alias": "a", "password": password });
        let request = client.authorized(Method::POST, "/api/v1/links").json(&body);
        client.send(request.header("idempotency-key", "k")).await
    };
    let made = create("one").await.expect(201).json();
    assert_eq!(create("one").await.expect(201).json()["id"], made["id"]);
    assert_eq!(create("two").await.expect(422).code(), "idempotency_key_reused");
    let patch = async |password: &str| {
        let request = client.authorized(Method::PATCH, LINK).json(&json!({ "password": password }));
        client.send(request.header("idempotency-key", "p")).await
    };
    assert_eq!(patch("three").await.expect(200).json()["version"], 2);
    assert_eq!(patch("three").await.expect(200).json()["version"], 2);
    assert_eq!(patch("four").await.expect(422).code(), "idempotency_key_reused");
    try_password(client, "/a", "three").await.expect(303);
    assert_eq!(client.get(LINK).await.json()["version"], 2);
}

#[tokio::test]
async fn an_upsert_sets_a_password_and_keeps_the_one_that_is_set() {
    let server = Server::start();
    let client = &server.client;
    let upsert = async |more: Value| {
        let mut body = json!({ "url": URL, "externalId": "e", "upsert": true });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        client.post("/api/v1/links", &body).await
    };
    let made = upsert(json!({ "password": PASSWORD })).await.expect(201).json();
    let path = format!("/{}", made["code"].as_str().unwrap());
    for (more, version, has_password) in [
        (json!({ "password": PASSWORD }), 1, true),
        (json!({}), 1, true),
        (json!({ "password": "other" }), 2, true),
        (json!({ "password": null }), 3, false),
        (json!({ "password": PASSWORD }), 4, true),
    ] {
        let link = upsert(more.clone()).await.expect(200).json();
        assert_eq!(
            (&link["version"], &link["hasPassword"]),
            (&json!(version), &json!(has_password)),
            "{more}"
        );
    }
    try_password(client, &path, PASSWORD).await.expect(303);
}

/// A link that asks for a password is not one that will do for somebody who wants none.
#[tokio::test]
async fn a_link_with_a_password_is_not_reused() {
    let server = Server::start();
    let client = &server.client;
    locked(client, "a", &[]).await;
    let body = json!({ "url": URL, "reuse": true });
    let other = client.post("/api/v1/links", &body).await.expect(201).json();
    assert_eq!(other["hasPassword"], false);
    let both = json!({ "url": URL, "reuse": true, "password": "x" });
    let errors = client.post("/api/v1/links", &both).await.expect(422).json();
    assert_eq!(
        (&errors["errors"][0]["pointer"], &errors["errors"][0]["code"]),
        (&json!("/reuse"), &json!("conflict"))
    );
}

/// A bulk request with many passwords takes its time, and nobody else's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bulk_request_with_passwords_holds_up_no_other() {
    let server = Server::start();
    let client = &server.client;
    let link =
        |n: usize| json!({ "url": URL, "alias": format!("bulk-{n}"), "password": format!("p{n}") });
    let body = json!({ "links": (0..60).map(link).collect::<Vec<_>>() });
    let bulk = client.post("/api/v1/links/bulk", &body);
    tokio::pin!(bulk);
    let one = async {
        locked(client, "one", &[]).await;
        try_password(client, "/one", PASSWORD).await.expect(303);
    };
    tokio::select! {
        biased;
        _ = &mut bulk => panic!("all of them were made before the one"),
        () = one => {}
    }
    let results = bulk.await.expect(200).json()["results"].clone();
    for (n, result) in results.as_array().unwrap().iter().enumerate() {
        assert_eq!(
            (&result["status"], &result["link"]["hasPassword"]),
            (&json!(201), &json!(true)),
            "{n}"
        );
    }
    try_password(client, "/bulk-7", "p7").await.expect(303);
    try_password(client, "/bulk-7", "p8").await.expect(403);
    let too_many = json!({ "links": vec![json!({ "url": URL, "password": "x" }); 1_001] });
    let refused = client.post("/api/v1/links/bulk", &too_many).await.expect(422).json();
    assert_eq!(refused["errors"][0]["code"], "too_many_passwords");
    let spelled = format!(r#"{{"url":"{URL}","pass\u0077ord":"x","pass\u0077ord":"y"}}"#);
    let body = format!(r#"{{"links":[{}]}}"#, vec![spelled; 1_001].join(","));
    let request = client.authorized(Method::POST, "/api/v1/links/bulk");
    let request = request.header("content-type", "application/json").body(body);
    let refused = client.send(request).await.expect(422).json();
    assert_eq!(refused["errors"][0]["code"], "too_many_passwords");
}

#[tokio::test]
async fn a_password_comes_from_a_file_on_the_command_line() {
    let server = Server::start();
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let one = file("one", &format!("{PASSWORD}\n"));
    server.cli_ok(&["link", "create", URL, "--alias", "a", "--password-file", &one]);
    let shown = server.cli_ok(&["link", "show", "a"]);
    assert!(shown.contains("password    asked for") && !shown.contains(PASSWORD), "{shown}");
    try_password(&server.client, "/a", PASSWORD).await.expect(303);
    server.cli_ok(&["link", "edit", "a", "--clear", "password"]);
    server.client.visit("/a").await.expect(302);
    let rows = file(
        "links.csv",
        "url,alias,password\nhttps://example.com/,b,sesame\nhttps://example.com/,c,\n",
    );
    let told = server.cli_ok(&["import", "links", &rows]);
    assert!(told.contains("2 links created") && !told.contains("sesame"), "{told}");
    let told = server.cli_ok(&["import", "links", &rows]);
    assert!(told.contains("2 known"), "{told}");
    try_password(&server.client, "/b", "sesame").await.expect(303);
    server.client.visit("/c").await.expect(302);
    let changed = std::fs::read_to_string(&rows).unwrap().replace("sesame", "other");
    file("links.csv", &changed);
    let output = server.cli(&["import", "links", &rows]);
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("the idempotency key was used"),
        "{output:?}"
    );
}

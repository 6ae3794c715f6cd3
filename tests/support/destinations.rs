//! What holds of every list that has destinations beside a link's own.

use reqwest::Method;
use serde_json::{Value, json};

use super::{NewLink, Server};

const URL: &str = "https://example.com/";
const LINK: &str = "/api/v1/links/a";

/// Where the mistakes are that an answer tells.
pub fn pointers(problem: &Value) -> Vec<&str> {
    let errors = problem["errors"].as_array().into_iter().flatten();
    errors.map(|error| error["pointer"].as_str().unwrap()).collect()
}

/// No bad destination gets into the second entry of a link's list `field`, on any way there is; `flag` gives an entry on
/// the command line, and `list` makes two entries that lead to these places.
pub async fn skip_no_check(field: &str, flag: &str, list: impl Fn(&str, &str) -> Value) {
    let server = Server::start();
    let client = &server.client;
    client.create(NewLink::to(URL).with("alias", "a")).await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("links.csv");
    let own = format!("{}/a", server.url);
    let heads = client.heads().await;
    let place = format!("/{field}/1/url");
    for url in
        ["javascript:alert(1)", "data:text/html,x", "https://u:p@example.com/", "/x", "", &own]
    {
        let list = list(URL, url);
        let link = json!({ "url": URL, "alias": "b", field: list });
        let upsert = json!({ "url": URL, "externalId": "e", "upsert": true, field: list });
        let patch = json!({ field: list });
        for (method, path, body) in [
            (Method::POST, "/api/v1/links", &link),
            (Method::POST, "/api/v1/links", &upsert),
            (Method::PATCH, LINK, &patch),
        ] {
            let request = client.authorized(method.clone(), path).json(body);
            let refused = client.send(request).await.expect(422).json();
            assert_eq!(pointers(&refused), [&*place], "{method} {url}");
        }
        let bulk = json!({ "links": [link, upsert] });
        let results = client.post("/api/v1/links/bulk", &bulk).await.expect(200).json();
        for item in 0..2 {
            let problem = &results["results"][item]["problem"];
            let expected = format!("/links/{item}{place}");
            assert_eq!(pointers(problem), [&*expected], "{url}: {results}");
        }
        let cell = list.to_string().replace('"', "\"\"");
        std::fs::write(&file, format!("url,{field}\n{URL},\"{cell}\"\n")).unwrap();
        let imported = server.cli(&["import", "links", file.to_str().unwrap()]);
        let told = String::from_utf8_lossy(&imported.stderr).into_owned();
        let expected = format!("/links/0/{field}");
        assert!(told.contains("line 2: ") && told.contains(&expected), "{url}: {told}");
        let [first, second] = [0, 1].map(|entry: usize| list[entry].to_string());
        let made = server.cli(&["link", "edit", "a", flag, &first, flag, &second]);
        assert_eq!(made.status.code(), Some(1), "{url}: {made:?}");
    }
    assert_eq!(client.heads().await, heads, "nothing is stored");
    // Trap 8: a homograph is shown as such, wherever it stands.
    let alike = json!({ field: list(URL, "https://аpple.com/") });
    let link = client.patch(LINK, &alike).await.expect(200).json();
    assert_eq!(link["warnings"][0]["code"], "homograph_host");
}

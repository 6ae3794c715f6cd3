//! What is small on the wire and would be large in memory.

use reqwest::Method;
use serde_json::json;

use super::check;
use crate::support::{Answer, Server};

/// What all of this may cost: the largest body a few times over, and not thirty times.
const PEAK_BYTES_MAX: u64 = 100 * 1024 * 1024;

async fn post(server: &Server, path: &str, body: String) -> Answer {
    let request = server.client.authorized(Method::POST, path).body(body);
    server.client.send(request.header("content-type", "application/json")).await
}

#[tokio::test]
async fn a_list_without_end_costs_no_memory() {
    let server = Server::start();
    let before = server.peak_memory_bytes();
    // 7 MB each: two of them are nearly the largest body.
    let numbers = "0,".repeat(3_500_000);
    let fields: Vec<String> = (0..550_000).map(|n| format!("\"f{n}\":0,")).collect();
    let fields = fields.concat();
    for (path, list) in [("/api/v1/links/bulk", "links"), ("/api/v1/clicks/import", "clicks")] {
        let source = if list == "links" { "" } else { "\"source\":\"s\"," };
        let long = format!(r#"{{{source}"{list}":[{numbers}{numbers}0]}}"#);
        let pointer = format!("/{list}");
        check(path, &post(&server, path, long).await, 422, "validation_failed", &[&pointer]);
        for other in [format!(r#""other":[{numbers}0]"#), format!("{fields}\"last\":0")] {
            let answer = post(&server, path, format!(r#"{{"{list}":[{{}}],{other}}}"#)).await;
            check(path, &answer, 413, "too_large", &[]);
        }
        let items = format!(r#"{{{source}"{list}":[[{numbers}0],{{{fields}"last":0}}]}}"#);
        let answer = post(&server, path, items).await;
        if list == "links" {
            let results = answer.expect(200).json()["results"].clone();
            assert_eq!((&results[0]["status"], &results[1]["status"]), (&json!(413), &json!(413)));
            assert_eq!(results[0]["problem"]["code"], "too_large");
        } else {
            check(path, &answer, 422, "validation_failed", &["/clicks/0", "/clicks/1"]);
            assert_eq!(answer.json()["errors"][0]["code"], "too_large");
        }
    }
    let grown = server.peak_memory_bytes() - before;
    assert!(grown < PEAK_BYTES_MAX, "{grown} bytes more");
}

/// A list is as long as it may be, and no longer: what is behind the last allowed item is not
/// looked at, but for being JSON.
#[tokio::test]
async fn a_list_that_is_too_long_is_refused_as_a_whole() {
    let server = Server::start();
    for (count, status) in [(10_000, 200), (10_001, 422)] {
        let body = json!({ "links": vec![0; count] });
        let answer = server.client.post("/api/v1/links/bulk", &body).await.expect(status).json();
        if status == 200 {
            assert_eq!(answer["results"].as_array().unwrap().len(), count);
            assert_eq!(answer["results"][9_999]["problem"]["errors"][0]["pointer"], "/links/9999");
        }
    }
    let broken = format!(r#"{{"links":[{}nonsense]}}"#, "0,".repeat(10_001));
    let answer = post(&server, "/api/v1/links/bulk", broken).await;
    check("broken behind the bound", &answer, 400, "invalid_json", &[]);
    // Of two lists the last counts, as of any field.
    let twice = r#"{"links":[0,0],"links":[0]}"#.to_owned();
    let answer = post(&server, "/api/v1/links/bulk", twice).await.expect(200).json();
    assert_eq!(answer["results"].as_array().unwrap().len(), 1);
}

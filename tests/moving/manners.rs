//! How the other side is asked: only where it was said, with patience that ends, and with a token that nobody sees.

use axum::http::StatusCode;
use axum::response::IntoResponse;
use serde_json::json;

use super::import;
use super::source::{Source, busy, json as answer, refused};
use crate::support::Server;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_goes_wrong_is_explained() {
    let server = Server::start();
    let problem = json!({"title": "Invalid authorization", "detail": "the key is unknown"});
    let source = Source::start(move |_, _| refused(401, &problem)).await;
    let (code, _, told) = import(&server, &["shlink", "--from", &source.url]);
    assert_eq!(code, Some(1));
    for part in ["401", "the key is unknown", "check the token", &source.url] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let html = Source::start(|_, _| "<html>".into_response()).await;
    let (code, _, told) = import(&server, &["kutt", "--from", &html.url]);
    assert!(code == Some(1) && told.contains("does not answer with JSON"), "{told}");
    let (code, _, told) = import(&server, &["kutt", "--from", "ftp://example.com/"]);
    assert!(code == Some(2) && told.contains("allowed"), "{told}");
}

/// Patience is asked for eight times; then it ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn patience_ends() {
    let server = Server::start();
    let source = Source::start(|_, _| busy()).await;
    let (code, _, told) = import(&server, &["dub", "--from", &source.url]);
    assert!(code == Some(1) && told.contains("429") && told.contains("8 times"), "{told}");
    assert_eq!(source.asked().len(), 8);
}

/// Fault 3 of fetching in the field: an answer can't send the import, and its token, elsewhere.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_3_only_the_given_address_is_asked() {
    let server = Server::start();
    let elsewhere = Source::start(|_, _| refused(500, &json!({}))).await;
    let to = format!("{}/steal", elsewhere.url);
    let source = Source::start(move |_, _| {
        (StatusCode::TEMPORARY_REDIRECT, [("location", to.clone())]).into_response()
    })
    .await;
    let (code, _, told) = import(&server, &["shlink", "--from", &source.url]);
    assert!(code == Some(1) && told.contains("not followed"), "{told}");
    assert_eq!((source.asked().len(), elsewhere.asked().len()), (1, 0));
}

/// A token is taken from a file or the environment; without one nobody is asked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_is_no_argument() {
    let server = Server::start();
    let source = Source::start(|_, _| refused(401, &json!({}))).await;
    let arguments = ["import", "kutt", "--from", &source.url];
    let output = server.cli(&arguments);
    assert_eq!((output.status.code(), source.asked().len()), (Some(2), 0), "{output:?}");
    let mut command = server.cli_command(&arguments);
    let output = command.env("HOPLOG_SOURCE_TOKEN", "from-the-environment").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(source.asked()[0].token, "from-the-environment");
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(!told.contains("from-the-environment"), "{told}");
}

/// An answer without its list is no end of the list: nothing may be taken for everything.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_without_its_list_is_an_error() {
    let server = Server::start();
    let body = json!({"message": "try again later"});
    let source = Source::start(move |_, _| answer(&body)).await;
    for arguments in [&["shlink"][..], &["kutt"], &["dub"], &["bitly", "--group", "Ba1bc23dE4F"]] {
        let (code, _, told) = import(&server, &[arguments, &["--from", &source.url]].concat());
        assert!(code == Some(1) && told.contains("an answer of the other side"), "{told}");
    }
}

use std::fs;
use std::path::{Path, PathBuf};

use url::Url;

use super::*;

fn found(lists: &LiveBlockLists, url: &str) -> bool {
    lists.current().find(&url.parse().unwrap()).is_some()
}

async fn opened(path: &Path) -> LiveBlockLists {
    let settings = BlockListSettings {
        sources: vec![Source::File(path.to_owned())],
        reload: Duration::from_secs(1),
    };
    LiveBlockLists::open(settings).await.unwrap()
}

#[tokio::test]
async fn what_can_not_be_read_keeps_the_list_of_before() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("list");
    fs::write(&path, "one.example\nno list at all\n").unwrap();
    let lists = opened(&path).await;
    assert_eq!((lists.changes(), lists.status().as_deref()), (1, Some("ok")));
    lists.read_again(PATIENCE).await;
    assert_eq!(lists.changes(), 1, "unchanged");
    for broken in ["<html>\n<body>log in</body>\n", ""] {
        if broken.is_empty() {
            fs::remove_file(&path).unwrap();
        } else {
            fs::write(&path, broken).unwrap();
        }
        lists.read_again(PATIENCE).await;
        let status = lists.status().unwrap();
        assert!(status.contains("list: "), "{status}");
        assert!(found(&lists, "https://www.one.example/") && lists.changes() == 1, "{broken}");
    }
    fs::write(&path, "two.example").unwrap();
    lists.read_again(PATIENCE).await;
    assert_eq!((lists.changes(), lists.status().as_deref()), (2, Some("ok")));
    assert!(!found(&lists, "https://one.example/") && found(&lists, "https://two.example/"));
    fs::write(&path, "# nothing any more").unwrap();
    lists.read_again(PATIENCE).await;
    assert!(!found(&lists, "https://two.example/") && lists.changes() == 3);
}

#[tokio::test]
async fn a_file_that_is_not_there_at_the_start_is_named() {
    let path = PathBuf::from("/nowhere/list");
    let settings =
        BlockListSettings { sources: vec![Source::File(path)], reload: Duration::from_secs(1) };
    let error = LiveBlockLists::open(settings).await.unwrap_err().to_string();
    assert!(error.contains("/nowhere/list"), "{error}");
    assert_eq!("/nowhere/list".parse::<Source>(), Err(SourceError));
    assert_eq!("ftp://lists.example/all".parse::<Source>(), Err(SourceError));
}

/// A server that gives out a list, and says what it was asked with.
async fn serving(body: &'static str) -> (Url, Arc<std::sync::Mutex<Vec<Option<String>>>>) {
    use axum::http::{HeaderMap, StatusCode, header};
    let asked: Arc<std::sync::Mutex<Vec<Option<String>>>> = Arc::default();
    let noted = Arc::clone(&asked);
    let answer = move |headers: HeaderMap| async move {
        let tag = headers.get(header::IF_NONE_MATCH).map(|tag| tag.to_str().unwrap().to_owned());
        let is_known = tag.is_some();
        noted.lock().unwrap().push(tag);
        let status = if is_known { StatusCode::NOT_MODIFIED } else { StatusCode::OK };
        (status, [(header::ETAG, "\"7\"")], if is_known { "" } else { body })
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hosts?token=secret", listener.local_addr().unwrap());
    let router = axum::Router::new().route("/hosts", axum::routing::get(answer));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url.parse().unwrap(), asked)
}

#[tokio::test]
async fn a_list_of_a_server_is_fetched_once_for_each_version() {
    let (url, asked) = serving("0.0.0.0 one.example\n").await;
    let settings =
        BlockListSettings { sources: vec![Source::Url(url)], reload: Duration::from_secs(1) };
    let lists = LiveBlockLists::open(settings).await.unwrap();
    lists.read_again(PATIENCE).await;
    assert!(found(&lists, "https://one.example/") && lists.changes() == 1);
    assert_eq!(*asked.lock().unwrap(), [None, Some("\"7\"".to_owned())]);
}

/// The start does not wait for somebody else's server; what is said of it repeats no token.
#[tokio::test]
async fn a_server_that_is_away_is_told_of_and_the_start_goes_on() {
    let gone = "http://127.0.0.1:1/hosts?token=secret".parse().unwrap();
    let settings =
        BlockListSettings { sources: vec![Source::Url(gone)], reload: Duration::from_secs(1) };
    let lists = LiveBlockLists::open(settings).await.unwrap();
    let status = lists.status().unwrap();
    assert!(
        status.starts_with("http://127.0.0.1/hosts: ") && !status.contains("secret"),
        "{status}"
    );
    assert!(!found(&lists, "https://one.example/"));
}

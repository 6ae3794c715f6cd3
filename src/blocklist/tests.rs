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

/// A page that is no list, with lines that look like names.
const LOGIN: &str = "<!doctype html>
<title>Log in</title>
<style>
body.login
</style>
<script>
document.login.submit();
window.location.href
js/app.js
</script>
";

#[tokio::test]
async fn what_can_not_be_read_keeps_the_list_of_before() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("list");
    fs::write(&path, "one.example\nno list at all\n").unwrap();
    let lists = opened(&path).await;
    assert_eq!((lists.changes(), lists.status().as_deref()), (1, Some("ok")));
    lists.read_all(PATIENCE).await;
    assert_eq!(lists.changes(), 1, "unchanged");
    for broken in
        [Some("<html>\n<body>log in</body>\n"), Some(LOGIN), Some(""), Some(" \n\n"), None]
    {
        match broken {
            Some(text) => fs::write(&path, text).unwrap(),
            None => fs::remove_file(&path).unwrap(),
        }
        lists.read_all(PATIENCE).await;
        let status = lists.status().unwrap();
        assert!(status.contains("list: "), "{broken:?}: {status}");
        assert!(found(&lists, "https://www.one.example/") && lists.changes() == 1, "{broken:?}");
    }
    fs::write(&path, "two.example").unwrap();
    lists.read_all(PATIENCE).await;
    assert_eq!((lists.changes(), lists.status().as_deref()), (2, Some("ok")));
    assert!(!found(&lists, "https://one.example/") && found(&lists, "https://two.example/"));
    fs::write(&path, "# nothing any more").unwrap();
    lists.read_all(PATIENCE).await;
    assert!(!found(&lists, "https://two.example/") && lists.changes() == 3);
}

/// It may be meant so, or the feed has lost the rest: it is taken, and told until it is another one.
#[tokio::test]
async fn a_list_that_is_much_shorter_than_it_was_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("list");
    let many: Vec<_> = (0..11).map(|n| format!("h{n}.example")).collect();
    let many = many.join("\n");
    fs::write(&path, &many).unwrap();
    let lists = opened(&path).await;
    for (text, told) in [
        ("h0.example", "it has 1 entries, and had 11 before"),
        ("# or\nh0.example", "it has 1 entries, and had 11 before"),
        (&many, ""),
        ("h0.example\nh1.example", ""),
        ("# empty", "it has 0 entries, and had 2 before"),
    ] {
        fs::write(&path, text).unwrap();
        lists.read_all(PATIENCE).await;
        let status = lists.status().unwrap();
        assert_eq!(status.split_once(": ").map_or("", |(_, told)| told), told, "{text}: {status}");
    }
    assert!(lists.current().is_empty());
}

/// One that does not answer keeps no other one from being read.
#[tokio::test]
async fn no_source_waits_for_another_one() {
    let deaf = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/list", deaf.local_addr().unwrap()).parse().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("list");
    let sources = vec![Source::Url(url), Source::File(path.clone())];
    let known = Mutex::new(vec![Known::default(), Known::default()]);
    let settings = BlockListSettings { sources, reload: Duration::from_secs(1) };
    let lists = LiveBlockLists { settings, known, ..LiveBlockLists::default() };
    let changed = async {
        for host in ["one.example", "two.example"] {
            fs::write(&path, host).unwrap();
            while !found(&lists, &format!("https://{host}/")) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    };
    tokio::select! {
        () = changed => {}
        () = lists.keep(None) => panic!("it is kept for good"),
        // The first one still has time to answer then.
        () = tokio::time::sleep(PATIENCE / 2) => panic!("the file waits for the server"),
    }
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
    lists.read_all(PATIENCE).await;
    assert!(found(&lists, "https://one.example/") && lists.changes() == 1);
    assert_eq!(*asked.lock().unwrap(), [None, Some("\"7\"".to_owned())]);
}

/// An answer without anything is no list, not even at the start.
#[tokio::test]
async fn an_empty_answer_of_a_server_is_told() {
    let (url, _) = serving("\n").await;
    let settings =
        BlockListSettings { sources: vec![Source::Url(url)], reload: Duration::from_secs(1) };
    let status = LiveBlockLists::open(settings).await.unwrap().status().unwrap();
    assert!(status.contains("/hosts: it is empty"), "{status}");
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

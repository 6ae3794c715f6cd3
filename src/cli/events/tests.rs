//! What becomes of a live stream whose server comes and goes.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

const LIVE: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";

/// How long the last of the requests may take to arrive.
const PATIENCE: Duration = Duration::from_secs(5);

fn problem(status: u16, code: &str) -> String {
    let body = format!(r#"{{"status":{status},"code":"{code}","title":"T","detail":"d"}}"#);
    let length = body.len();
    format!(
        "HTTP/1.1 {status} T\r\ncontent-type: application/problem+json\r\nconnection: close\r\n\
         content-length: {length}\r\n\r\n{body}"
    )
}

/// Answers one connection after the other, and gives what each asked for.
async fn serve(listener: TcpListener, answers: Vec<String>) -> Vec<String> {
    let mut requests = Vec::new();
    for answer in answers {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            request.push(socket.read_u8().await.unwrap());
        }
        socket.write_all(answer.as_bytes()).await.unwrap();
        requests.push(String::from_utf8(request).unwrap().to_ascii_lowercase());
    }
    requests
}

async fn follow_through(answers: Vec<String>) -> (Vec<String>, String, CliError) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    let client = Client::new(ServerArgs { server, api_key: None }).unwrap();
    let (topic, after) = ("links".to_owned(), "latest".to_owned());
    let tail = Tail { topic, after, types: None, link: None, follow: true };
    let mut out = Vec::new();
    let server = tokio::spawn(serve(listener, answers));
    let ended = follow(&client, &tail, &mut out).await.unwrap_err();
    let requests = tokio::time::timeout(PATIENCE, server).await.expect("every answer is asked for");
    (requests.unwrap(), String::from_utf8(out).unwrap(), ended)
}

/// The stream breaks off before its first event, while something happens: it goes on where it was
/// opened, and neither a server that is away nor one that is not ready yet ends it.
#[tokio::test]
async fn nothing_is_lost_while_the_server_is_away() {
    let (requests, printed, error) = follow_through(vec![
        format!("{LIVE}id: p1\n\n"),
        problem(503, "log_unavailable"),
        String::new(),
        "HTTP/1.1 502 Bad Gateway\r\nconnection: close\r\ncontent-length: 4\r\n\r\nnope".to_owned(),
        format!("{LIVE}id: p1\n\nid: p2\nevent: t\ndata: {{\"n\":1}}\n\n"),
        problem(401, "invalid_key"),
    ])
    .await;
    assert_eq!(printed, "{\"n\":1}\n");
    assert!(
        matches!(&error, CliError::Problem(problem) if problem.code == "invalid_key"),
        "{error}"
    );
    let resumed: Vec<Option<&str>> = requests
        .iter()
        .map(|request| request.lines().find_map(|line| line.strip_prefix("last-event-id: ")))
        .collect();
    assert_eq!(resumed, [None, Some("p1"), Some("p1"), Some("p1"), Some("p1"), Some("p2")]);
}

#[tokio::test]
async fn a_first_connection_that_can_not_be_made_is_a_failure() {
    let (_, printed, error) = follow_through(vec![String::new()]).await;
    assert_eq!(printed, "");
    assert!(matches!(error, CliError::Unreachable { .. }), "{error}");
}

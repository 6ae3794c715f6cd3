//! Guessing is limited, and costs the server little.

use futures::future::join_all;

use super::*;

const VISITOR: &str = "203.0.113.9";

/// All on one node, where the proxy is trusted: addresses of this machine are excepted from some limits.
fn limited() -> Server {
    Settings::embedded().limited().with("HOPLOG_TRUSTED_PROXIES", "127.0.0.1").start()
}

async fn guess(client: &Client, from: &str, path: &str, password: &str) -> Answer {
    client.send(form(client, path, password).header("x-forwarded-for", from)).await
}

/// Fault 6, and trap 14 of the rate limiter: wrong passwords are counted, also those that come at once.
#[tokio::test]
async fn fault_6_guesses_are_limited_by_address() {
    let server = limited();
    let client = &server.client;
    locked(client, "a", &[]).await;
    locked(client, "b", &[]).await;
    for _ in 0..15 {
        guess(client, VISITOR, "/a", PASSWORD).await.expect(303);
    }
    let guesses = (0..40).map(|n| guess(client, VISITOR, "/a", if n % 2 == 0 { "x" } else { "y" }));
    let answers = join_all(guesses).await;
    let with = |status: u16| answers.iter().filter(|answer| answer.status == status).count();
    assert_eq!((with(403), with(429)), (10, 30));
    let refused = guess(client, VISITOR, "/b", PASSWORD).await.expect(429);
    assert_eq!(refused.code(), "rate_limited");
    assert!(refused.header("retry-after").parse::<u32>().unwrap() >= 1);
    let page = form(client, "/a", "z").header("x-forwarded-for", VISITOR);
    let page = client.send(page.header("accept", "text/html")).await.expect(429);
    assert!(page.body.contains("try again later") && !page.header("retry-after").is_empty());
    guess(client, "203.0.113.10", "/a", PASSWORD).await.expect(303);
    assert_eq!(client.stats("a", "").await["totalClicks"], 16);
}

#[tokio::test]
async fn guesses_are_limited_by_link_wherever_they_come_from() {
    let policies = "builtin = false\n[[policies]]\nname = 'guesses'\nmatch = { routes = ['wrong-password'] }\n\
                    by = 'link'\ntiers = [{ limit = 5, per = '1h' }]\n";
    let settings = Settings::embedded().limited_by(policies);
    let server = settings.with("HOPLOG_TRUSTED_PROXIES", "127.0.0.1").start();
    let client = &server.client;
    locked(client, "a", &[]).await;
    locked(client, "b", &[]).await;
    for n in 0..5 {
        guess(client, &format!("203.0.113.{n}"), "/a", "wrong").await.expect(403);
    }
    guess(client, "203.0.113.9", "/a", PASSWORD).await.expect(429);
    guess(client, "203.0.113.9", "/b", PASSWORD).await.expect(303);
}

/// What is no form, or comes from another site, is not looked at, and is no guess.
#[tokio::test]
async fn what_is_no_form_of_the_page_is_no_guess() {
    let server = limited();
    let client = &server.client;
    locked(client, "a", &[]).await;
    client.create(NewLink::to(URL).with("alias", "plain")).await;
    let from = |request: RequestBuilder| request.header("x-forwarded-for", VISITOR);
    let send = async |request: RequestBuilder| client.send(from(request)).await;
    for _ in 0..20 {
        let json = client.request(Method::POST, "/a").json(&json!({ "password": "x" }));
        assert_eq!(send(json).await.expect(415).code(), "unsupported_media_type");
        let large = form(client, "/a", &"x".repeat(5_000));
        assert_eq!(send(large).await.expect(413).code(), "too_large");
        assert_eq!(
            send(form(client, "/a", &"x".repeat(129))).await.expect(403).code(),
            "wrong_password"
        );
        let elsewhere = form(client, "/a", PASSWORD).header("sec-fetch-site", "cross-site");
        assert_eq!(send(elsewhere).await.expect(403).code(), "password_required");
    }
    assert_eq!(
        send(form(client, "/plain", PASSWORD)).await.expect(405).header("allow"),
        "GET, HEAD"
    );
    client.send(client.request(Method::PUT, "/a")).await.expect(405);
    let own = form(client, "/a", PASSWORD).header("sec-fetch-site", "same-origin");
    send(own).await.expect(303);
    assert_eq!(client.stats("a", "").await["totalClicks"], 1);
}

/// A flood of guesses takes no more memory than so many hashes at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_guesses_takes_bounded_memory() {
    let server = Settings::embedded().start();
    let client = &server.client;
    locked(client, "a", &[]).await;
    let before = server.peak_memory_bytes();
    let answers = join_all((0..300).map(|n| {
        let guess = format!("guess {n}");
        async move { try_password(client, "/a", &guess).await }
    }))
    .await;
    let refused: Vec<&Answer> = answers.iter().filter(|answer| answer.status == 503).collect();
    assert!(answers.iter().all(|answer| [403, 503].contains(&answer.status.as_u16())));
    assert!(refused.iter().all(|answer| answer.code() == "passwords_busy"));
    let grown = server.peak_memory_bytes() - before;
    // Eight hashes of visitors at most, and what requests take.
    assert!(grown < 8 * 19 * 1_024 * 1_024 + 128 * 1_024 * 1_024, "{grown} bytes");
    try_password(client, "/a", PASSWORD).await.expect(303);
}

//! Whose request it is.

use super::*;
use crate::support::NewLink;

const REDIRECTS: &str = "[[policies]]\nname = 'redirect'\nmatch = { routes = ['redirect'] }\n\
                         by = 'address'\ntiers = [{ limit = 3, per = '1d' }]\n";

/// Trap 15 of the shortener (R16): who can choose their address has no limit.
#[tokio::test]
async fn trap_15_forwarding_headers_of_strangers_are_not_read() {
    let server = server(REDIRECTS);
    let code = server.client.code(NewLink::to(URL)).await;
    let path = format!("/{code}");
    for n in 0..3 {
        visit_from(&server.client, &format!("203.0.113.{n}"), &path).await.expect(302);
    }
    visit_from(&server.client, "203.0.113.99", &path).await.expect(429);
}

/// Trap 15 (R16): from the right, through proxies that are trusted; IPv6 by /64.
#[tokio::test]
async fn trap_15_behind_a_trusted_proxy_each_client_has_a_limit_of_its_own() {
    let server = only(REDIRECTS).with("HOPLOG_TRUSTED_PROXIES", "127.0.0.1").start();
    let client = &server.client;
    let path = format!("/{}", client.code(NewLink::to(URL)).await);
    for n in 0..3 {
        // What stands further left is the client's invention.
        visit_from(client, &format!("6.6.6.{n}, 203.0.113.9"), &path).await.expect(302);
    }
    visit_from(client, "6.6.6.6, 203.0.113.9", &path).await.expect(429);
    visit_from(client, "203.0.113.10", &path).await.expect(302);
    for n in 0..3 {
        visit_from(client, &format!("2001:db8:1:2::{n}"), &path).await.expect(302);
    }
    visit_from(client, "2001:db8:1:2:ffff::1", &path).await.expect(429);
    visit_from(client, "2001:db8:1:3::1", &path).await.expect(302);
    // The same in other clothes.
    visit_from(client, "::ffff:203.0.113.9", &path).await.expect(429);
}

/// An address that is not a visitor's is not counted, if the policy says so.
#[tokio::test]
async fn addresses_can_be_excepted() {
    let policies = format!("{REDIRECTS}except = {{ addresses = ['203.0.113.0/24'] }}\n");
    let server = only(&policies).with("HOPLOG_TRUSTED_PROXIES", "127.0.0.1").start();
    let path = format!("/{}", server.client.code(NewLink::to(URL)).await);
    for _ in 0..5 {
        visit_from(&server.client, "203.0.113.9", &path).await.expect(302);
    }
    for _ in 0..3 {
        visit_from(&server.client, "198.51.100.1", &path).await.expect(302);
    }
    visit_from(&server.client, "198.51.100.1", &path).await.expect(429);
}

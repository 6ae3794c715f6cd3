//! Whom the servers see: the client library leaves unread what stands before a host.

use async_nats::ConnectOptions;
use percent_encoding::percent_decode_str;
use url::Url;

/// Logs in as the first address that names somebody says: `user:password@`, or `token@`.
pub(super) fn with_login(connection: ConnectOptions, servers: &[String]) -> ConnectOptions {
    let named = servers.iter().filter_map(|server| Url::parse(server).ok());
    let Some(url) = named.into_iter().find(|url| !url.username().is_empty()) else {
        return connection;
    };
    let user = decoded(url.username());
    match url.password() {
        Some(password) => connection.user_and_password(user, decoded(password)),
        None => connection.token(user),
    }
}

/// What has a meaning in URLs is written as `%40` there.
fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

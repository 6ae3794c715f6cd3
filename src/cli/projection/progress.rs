//! How far an operation is, while it is waited for.

use std::time::Duration;

use serde_json::Value;

use super::super::bar::progress;
use super::super::client::Client;
use super::super::error::CliError;

/// How often the server is asked how far it is.
const POLL: Duration = Duration::from_millis(500);

/// Waits for the answer to an operation on a projection, with a progress bar if tables are built
/// for it and somebody can see it.
pub(super) async fn shown(
    client: &Client,
    name: &str,
    operation: impl Future<Output = Result<Value, CliError>>,
) -> Result<Value, CliError> {
    let bar = progress("events", 0);
    if bar.is_hidden() {
        return operation.await;
    }
    tokio::pin!(operation);
    loop {
        tokio::select! {
            answer = &mut operation => {
                bar.finish_and_clear();
                return answer;
            }
            () = tokio::time::sleep(POLL) => {}
        }
        // Whoever can't be asked says so in answer to the operation.
        let Ok(status) = client.get(&["projections", name], &[]).await else { continue };
        if let (Some(done), Some(total)) =
            (status["build"]["eventsDone"].as_u64(), status["build"]["eventsTotal"].as_u64())
        {
            bar.set_length(total);
            bar.set_position(done);
        }
    }
}

//! `hoplog serve`: the server itself.

use std::num::NonZeroUsize;
use std::time::Duration;

use clap::Args;

use thread_priority::ThreadPriority;
use thread_priority::unix::{
    NormalThreadSchedulePolicy, ThreadSchedulePolicy, set_thread_priority_and_policy,
    thread_native_id,
};
use tokio::runtime::Runtime;

use super::error::CliError;
use crate::app::Threads;
use crate::config::{RawSettings, ReadSettings};

/// How long look-ups of names may take to end, once the server has.
const LOOK_UPS_END: Duration = Duration::from_secs(1);

/// `hoplog serve`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  hoplog serve --listen 127.0.0.1:8080 --data-dir ./hoplog-data")]
pub(super) struct ServeArgs {
    #[command(flatten)]
    settings: RawSettings,
}

/// Runs the server until it is asked to stop. A wrong setting is misuse: one line says which.
pub(super) fn run(args: ServeArgs) -> Result<(), CliError> {
    let settings = args.settings.resolve().map_err(|error| CliError::Usage(error.to_string()))?;
    use_small_pages();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let redirects = redirect_runtime(settings.redirect_threads)?;
    let projectors = projector_runtime(&settings.read_models)?;
    let threads = Threads { redirects: redirects.handle(), projectors: projectors.handle() };
    let served = runtime.block_on(crate::app::serve(settings, threads));
    // Everything has ended by now but look-ups of names, which nobody can stop: a name server that is silent is not waited for.
    projectors.shutdown_timeout(LOOK_UPS_END);
    served.map_err(|error| CliError::Failed(error.to_string()))
}

/// Asks for no huge pages. The allocator gives memory back and takes it again all the time; each
/// time a huge page would be cleared whole, and kept whole for what needs a part of it.
fn use_small_pages() {
    // Where the system does not know the question, there is nothing to turn off.
    #[cfg(target_os = "linux")]
    let _ = rustix::thread::disable_transparent_huge_pages(true);
}

/// The threads that accept connections and answer redirects, and do nothing else for long.
fn redirect_runtime(threads: NonZeroUsize) -> std::io::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads.get())
        .thread_name("redirects")
        .enable_all()
        .build()
}

/// The threads of the projectors. They yield to everybody else: when the machine is busy,
/// redirects and commands keep their pace and the read models get older for a while.
fn projector_runtime(read_models: &ReadSettings) -> std::io::Result<Runtime> {
    let policy = projector_policy(read_models);
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("projector")
        .on_thread_start(move || {
            // The threads that these start (SQLite's) inherit it. Where it is refused, projectors
            // are as important as redirects.
            let (priority, policy) = policy;
            let policy = ThreadSchedulePolicy::Normal(policy);
            let _ = set_thread_priority_and_policy(thread_native_id(), priority, policy);
        })
        .enable_all()
        .build()
}

/// SQLite's work is done here: it waits for an idle core. That of PostgreSQL is done elsewhere, and
/// whoever takes turns has a lease to renew, however busy the machine is.
fn projector_policy(read_models: &ReadSettings) -> (ThreadPriority, NormalThreadSchedulePolicy) {
    // Nice 9.
    let nice = 25.try_into().map_or(ThreadPriority::Min, ThreadPriority::Crossplatform);
    match read_models {
        ReadSettings::Sqlite => (ThreadPriority::Min, NormalThreadSchedulePolicy::Idle),
        ReadSettings::Postgres(_) => (nice, NormalThreadSchedulePolicy::Other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_setting_is_misuse_and_named_on_one_line() {
        let settings = RawSettings { codes: Some("short".to_owned()), ..RawSettings::default() };
        let error = run(ServeArgs { settings }).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        let report = error.report();
        assert_eq!(report.lines().count(), 1, "{report}");
        assert!(report.contains("HOPLOG_CODES") && report.contains("snowflake"), "{report}");
    }
}

//! Where things are kept, and which copy may do what there.

use hoplog_events::log::OptionsError;
use hoplog_projections::database::PostgresOptions;
use hoplog_projections::partition::Partitions;
use url::Url;

use super::parse::wrong;
use super::{LogSettings, ReadSettings, Role, Roles, SettingsError};

/// Where a log is.
///
/// # Errors
/// Names the part that is wrong; passwords are not repeated.
pub fn log_url(text: &str) -> Result<LogSettings, SettingsError> {
    let scheme = text.split(':').next().unwrap_or_default();
    match scheme {
        "embedded" if text == "embedded:" => Ok(LogSettings::Embedded),
        "nats" | "tls" => {
            text.parse().map(|options| LogSettings::JetStream(Box::new(options))).map_err(wrong_log)
        }
        "esdb" | "esdb+discover" => eventstore_url(text),
        _ => wrong(
            "HOPLOG_LOG_URL",
            text,
            "embedded:, nats://host:4222, tls://host:4222, esdb://host:2113",
        ),
    }
}

#[cfg(feature = "eventstore")]
fn eventstore_url(text: &str) -> Result<LogSettings, SettingsError> {
    text.parse().map(|options| LogSettings::EventStore(Box::new(options))).map_err(wrong_log)
}

#[cfg(not(feature = "eventstore"))]
fn eventstore_url(_: &str) -> Result<LogSettings, SettingsError> {
    Err(SettingsError::Feature { name: "HOPLOG_LOG_URL", feature: "eventstore" })
}

fn wrong_log(error: OptionsError) -> SettingsError {
    let OptionsError { name, value, allowed } = error;
    SettingsError::Value { name: "HOPLOG_LOG_URL", value: format!("{name}={value}"), allowed }
}

/// Where the read models are.
pub(super) fn read_url(
    text: Option<&str>,
    replica: Option<String>,
) -> Result<ReadSettings, SettingsError> {
    let text = text.unwrap_or("sqlite:");
    if text == "sqlite:" {
        return match replica {
            None => Ok(ReadSettings::Sqlite),
            Some(_) => wrong("HOPLOG_READ_REPLICA_URL", "…", "nothing, as sqlite: has no replicas"),
        };
    }
    let allowed = "sqlite:, postgres://user:password@host:5432/database?schema=name";
    let is_postgres = |url: &Url| matches!(url.scheme(), "postgres" | "postgresql");
    let Some(url) = Url::parse(text).ok().filter(is_postgres) else {
        // What is no URL may hold a password all the same.
        return wrong("HOPLOG_READ_URL", "…", allowed);
    };
    let (schema, url) = take_schema(url);
    let mut options = PostgresOptions::new(url);
    options.schema = schema;
    options.read_replica = replica;
    Ok(ReadSettings::Postgres(Box::new(options)))
}

/// `schema` is ours; what else stands behind `?` is the driver's.
fn take_schema(mut url: Url) -> (Option<String>, Url) {
    let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    let schema = pairs.iter().find(|(name, _)| name == "schema").map(|(_, value)| value.clone());
    if schema.is_some() {
        let others = pairs.iter().filter(|(name, _)| name != "schema");
        url.query_pairs_mut().clear().extend_pairs(others);
        if url.query() == Some("") {
            url.set_query(None);
        }
    }
    (schema, url)
}

/// What this copy does, as far as its backends allow it.
pub(super) fn roles(
    text: Option<&str>,
    log: &LogSettings,
    read_models: &ReadSettings,
) -> Result<Roles, SettingsError> {
    let text = text.unwrap_or("command,query,projector");
    let name = "HOPLOG_ROLES";
    match text.parse::<Roles>() {
        Ok(roles) if *log == LogSettings::Embedded && roles != Roles::ALL => wrong(
            name,
            text,
            "command,query,projector (the embedded log needs all three in one copy)",
        ),
        Ok(roles) if matches!(read_models, ReadSettings::Sqlite) && !roles.has(Role::Projector) => {
            wrong(
                name,
                text,
                "a list with projector (sqlite: is kept up to date by this copy alone)",
            )
        }
        Ok(roles) => Ok(roles),
        Err(()) => wrong(name, text, "command,query,projector, or some of them"),
    }
}

/// Into how many partitions projectors split the work, as far as there can be several projectors.
pub(super) fn partitions(
    text: Option<&str>,
    read_models: &ReadSettings,
) -> Result<Partitions, SettingsError> {
    let name = "HOPLOG_PROJECTOR_PARTITIONS";
    let Some(text) = text else { return Ok(Partitions::ONE) };
    match text.parse().ok().and_then(Partitions::new) {
        Some(partitions)
            if partitions != Partitions::ONE && matches!(read_models, ReadSettings::Sqlite) =>
        {
            wrong(name, text, "1 (sqlite: is kept up to date by this copy alone)")
        }
        Some(partitions) => Ok(partitions),
        None => wrong(name, text, "whole numbers from 1 to 64"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn postgres() -> ReadSettings {
        read_url(Some("postgres://h/db"), None).unwrap()
    }

    #[test]
    fn a_schema_is_taken_out_of_the_address() {
        let url = "postgres://u:p@h/db?sslmode=require&schema=two";
        let Ok(ReadSettings::Postgres(options)) = read_url(Some(url), None) else {
            panic!("{url}")
        };
        assert_eq!(options.url, "postgres://u:p@h/db?sslmode=require");
        assert_eq!(options.schema.as_deref(), Some("two"));
        let Ok(ReadSettings::Postgres(options)) =
            read_url(Some("postgresql://h/db?schema=a"), None)
        else {
            panic!("the other scheme")
        };
        assert_eq!(options.url, "postgresql://h/db");
    }

    #[cfg(feature = "eventstore")]
    #[test]
    fn a_log_elsewhere_may_be_of_either_kind() {
        for url in ["esdb://u:p@one:2113?tls=false", "esdb+discover://cluster", "esdb://a:1,b:2"] {
            assert!(matches!(log_url(url), Ok(LogSettings::EventStore(_))), "{url}");
        }
        let error = log_url("esdb://u:secret@h?prefix=a-b").unwrap_err().to_string();
        assert!(error.starts_with("HOPLOG_LOG_URL is \"prefix=a-b\"; allowed: 1 to"), "{error}");
        assert!(roles(Some("query"), &log_url("esdb://h").unwrap(), &postgres()).is_ok());
    }

    #[test]
    fn what_a_build_lacks_is_told_with_the_way_to_get_it() {
        let lacks = SettingsError::Feature { name: "HOPLOG_LOG_URL", feature: "eventstore" };
        assert_eq!(
            lacks.to_string(),
            "HOPLOG_LOG_URL needs the feature `eventstore`, which this build lacks; build with \
             `cargo build --release --features eventstore`"
        );
        #[cfg(not(feature = "eventstore"))]
        for url in ["esdb://u:secret@h?tls=false", "esdb+discover://h"] {
            assert_eq!(log_url(url).unwrap_err(), lacks, "{url}");
        }
    }

    #[test]
    fn what_is_wrong_is_told_without_passwords() {
        for text in ["mysql://u:secret@h/db", "u:secret@h", "sqlite:/somewhere"] {
            let error = read_url(Some(text), None).unwrap_err().to_string();
            assert!(error.starts_with("HOPLOG_READ_URL") && !error.contains("secret"), "{error}");
        }
        let error = read_url(None, Some("postgres://u:secret@h".to_owned())).unwrap_err();
        assert!(error.to_string().starts_with("HOPLOG_READ_REPLICA_URL is"), "{error}");
    }

    #[test]
    fn only_projectors_that_share_a_database_split_the_work() {
        let (postgres, sqlite) =
            (read_url(Some("postgres://h/db"), None).unwrap(), ReadSettings::Sqlite);
        let count = |text: Option<&str>, read_models| {
            partitions(text, read_models).map(Partitions::count).map_err(|error| error.to_string())
        };
        assert_eq!(count(None, &postgres), Ok(1));
        assert_eq!(count(Some("64"), &postgres), Ok(64));
        assert_eq!(count(Some("1"), &sqlite), Ok(1));
        let name = "HOPLOG_PROJECTOR_PARTITIONS is";
        for wrong in ["0", "65", "-1", "1.5", "many", ""] {
            assert!(count(Some(wrong), &postgres).unwrap_err().starts_with(name), "{wrong}");
        }
        let refused = count(Some("2"), &sqlite).unwrap_err();
        assert!(refused.starts_with(name) && refused.contains("sqlite:"), "{refused}");
    }

    #[test]
    fn a_copy_does_what_its_backends_allow() {
        let nats = log_url("nats://h").unwrap();
        let postgres = postgres();
        let (embedded, sqlite) = (LogSettings::Embedded, ReadSettings::Sqlite);
        assert!(roles(Some("query"), &nats, &postgres).is_ok());
        assert!(roles(Some("command,query"), &nats, &sqlite).is_err());
        assert!(roles(Some("query,projector"), &nats, &sqlite).is_ok());
        assert!(roles(Some("query,projector"), &embedded, &postgres).is_err());
        assert!(roles(None, &embedded, &sqlite).is_ok());
    }
}

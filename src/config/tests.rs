use super::*;

fn raw() -> RawSettings {
    RawSettings { config: None, ..RawSettings::default() }
}

#[test]
fn without_settings_the_defaults_of_the_documentation_hold() {
    let settings = raw().resolve().unwrap();
    assert_eq!(settings.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(settings.data_dir, PathBuf::from("hoplog-data"));
    assert_eq!(settings.clicks_ack, ClicksAck::Durable);
    assert_eq!(settings.spool_bytes_max, SPOOL_BYTES_DEFAULT);
    assert_eq!(settings.codes, Codes::Random);
    assert!(!settings.webhook_targets.plain_is_allowed());
    assert!(!settings.keep_addresses && !settings.disabled_is_forbidden && !settings.json_logs);
}

#[test]
fn a_wrong_setting_is_named_with_its_value_and_what_is_allowed_on_one_line() {
    let text = |text: &str| Some(text.to_owned());
    let cases = [
        (
            RawSettings { listen: text("here"), ..raw() },
            "HOPLOG_LISTEN is \"here\"; allowed: an address",
        ),
        (RawSettings { base_url: text("go.example.com"), ..raw() }, "HOPLOG_BASE_URL is"),
        (RawSettings { base_url: text("https://go.example.com/x"), ..raw() }, "HOPLOG_BASE_URL is"),
        (
            RawSettings { clicks_ack: text("maybe"), ..raw() },
            "HOPLOG_CLICKS_ACK is \"maybe\"; allowed: durable, queued",
        ),
        (
            RawSettings { log_url: text("kafka://x"), ..raw() },
            "HOPLOG_LOG_URL is \"kafka://x\"; allowed: embedded:, nats://",
        ),
        (
            RawSettings { log_url: text("nats://u:secret@x?replicas=4"), ..raw() },
            "HOPLOG_LOG_URL is \"replicas=4\"; allowed: 1, 3, 5",
        ),
        (
            RawSettings { roles: text("query"), ..raw() },
            "HOPLOG_ROLES is \"query\"; allowed: command,query,projector",
        ),
        (
            RawSettings { trusted_proxies: text("10.0.0.0/40"), ..raw() },
            "HOPLOG_TRUSTED_PROXIES is",
        ),
        (
            RawSettings { events_cache: text("public"), ..raw() },
            "HOPLOG_EVENTS_CACHE is \"public\"; allowed: private, shared",
        ),
        (
            RawSettings { webhook_allow: text("10.0.0.0/8, public"), ..raw() },
            "HOPLOG_WEBHOOK_ALLOW is \"10.0.0.0/8, public\"; allowed: networks such as",
        ),
        (RawSettings { geoip_db: text("/nowhere.mmdb"), ..raw() }, "HOPLOG_GEOIP_DB is"),
        (
            RawSettings { cache_url: text("memcached://host"), ..raw() },
            "HOPLOG_CACHE_URL is \"memcached://…\"; allowed: none, or redis://",
        ),
        (RawSettings { cache_url: text("localhost:6379"), ..raw() }, "HOPLOG_CACHE_URL is"),
        (RawSettings { cache_url: text("redis-sentinel://host"), ..raw() }, "HOPLOG_CACHE_URL is"),
    ];
    for (raw, expected) in cases {
        assert_refused(raw, expected);
    }
}

#[test]
fn a_number_out_of_its_bounds_is_named_with_them() {
    let text = |text: &str| Some(text.to_owned());
    let cases = [
        (
            RawSettings { redirect_max_age: text("86401"), ..raw() },
            "HOPLOG_REDIRECT_MAX_AGE is \"86401\"",
        ),
        (
            RawSettings { drain_seconds: text("301"), ..raw() },
            "HOPLOG_DRAIN_SECONDS is \"301\"; allowed: whole seconds from 0 to 300",
        ),
        (
            RawSettings { stall_seconds: text("0"), ..raw() },
            "HOPLOG_STALL_SECONDS is \"0\"; allowed: whole seconds from 1 to 3600",
        ),
        (
            RawSettings { redirect_threads: text("0"), ..raw() },
            "HOPLOG_REDIRECT_THREADS is \"0\"; allowed: whole numbers from 1 to 1024",
        ),
    ];
    for (raw, expected) in cases {
        assert_refused(raw, expected);
    }
}

fn assert_refused(raw: RawSettings, expected: &str) {
    let line = raw.resolve().unwrap_err().to_string();
    assert!(line.starts_with(expected) && !line.contains('\n'), "{line}");
}

#[test]
fn a_secret_is_not_in_the_error_nor_in_debug_output() {
    let error = RawSettings { admin_key: Some("hunter2".into()), ..raw() }.resolve().unwrap_err();
    assert!(!error.to_string().contains("hunter2"), "{error}");
    assert!(!format!("{:?}", Secret("hunter2".into())).contains("hunter2"));
    let cache = |url: &str| RawSettings { cache_url: Some(url.to_owned()), ..raw() }.resolve();
    let error = cache("reddis://:hunter2@host").unwrap_err().to_string();
    assert!(!error.contains("hunter2"), "{error}");
    for url in [
        "redis://:hunter2@host",
        "redis-cluster://:hunter2@one,two",
        "redis-sentinel://:hunter2@one,two/main",
    ] {
        let settings = cache(url).unwrap();
        assert!(settings.cache.is_some() && !format!("{settings:?}").contains("hunter2"));
    }
}

#[test]
fn flags_and_environment_win_over_the_file_and_the_file_over_defaults() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("hoplog.toml");
    std::fs::write(&file, "listen = '127.0.0.1:1'\ncodes = 'snowflake'\n").unwrap();
    let settings =
        RawSettings { config: Some(file.clone()), listen: Some("127.0.0.1:2".into()), ..raw() };
    let settings = settings.resolve().unwrap();
    assert_eq!((settings.listen.port(), settings.codes), (2, Codes::Snowflake));

    std::fs::write(&file, "lisen = '127.0.0.1:1'\n").unwrap();
    let error = RawSettings { config: Some(file), ..raw() }.resolve().unwrap_err().to_string();
    assert!(error.contains("lisen") && !error.contains('\n'), "{error}");
}

#[test]
fn the_file_may_use_tables_numbers_booleans_and_lists() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("hoplog.toml");
    let text = "keep_addresses = true\nredirect_max_age = 60\n\
                trusted_proxies = ['10.0.0.0/8', '::1']\n\
                apple_apps = ['ABCDE12345.com.example.a', 'ABCDE12345.com.example.b']\n[clicks]\nack = 'queued'\n";
    std::fs::write(&file, text).unwrap();
    let settings = RawSettings { config: Some(file), ..raw() }.resolve().unwrap();
    assert!(settings.keep_addresses);
    assert_eq!(settings.redirect_max_age_s, 60);
    assert_eq!(settings.trusted_proxies.networks.len(), 2);
    assert_eq!(settings.app_links.apple.len(), 2);
    assert_eq!(settings.clicks_ack, ClicksAck::Queued);
}

#[test]
fn without_an_address_there_is_no_shared_cache() {
    for url in [None, Some(""), Some("none")] {
        let settings = RawSettings { cache_url: url.map(str::to_owned), ..raw() };
        assert!(settings.resolve().unwrap().cache.is_none(), "{url:?}");
    }
}

#[test]
fn limits_are_counted_in_the_redis_of_the_cache_unless_they_have_their_own() {
    let store = |cache: Option<&str>, own: Option<&str>| {
        let (cache_url, rate_limit_url) = (cache.map(str::to_owned), own.map(str::to_owned));
        let settings = RawSettings { cache_url, rate_limit_url, ..raw() }.resolve().unwrap();
        settings.limits.store.map(|address| format!("{address:?}"))
    };
    let (cache, own) = (Some("redis://cache"), Some("redis://:hunter2@counts"));
    let address = |host| Some(format!("RedisAddress({host}:6379)"));
    assert_eq!(store(None, None), None);
    assert_eq!(store(cache, None), address("cache"));
    assert_eq!(store(cache, own), address("counts"));
    assert_eq!(store(None, own), address("counts"));
    assert_eq!(store(cache, Some("none")), None);
    // What a shell leaves of a variable that is not set says nothing.
    assert_eq!(store(cache, Some("")), address("cache"));
    let wrong = Some("http://:hunter2@host".to_owned());
    let error = RawSettings { rate_limit_url: wrong, ..raw() }.resolve().unwrap_err().to_string();
    let expected = "HOPLOG_RATE_LIMIT_URL is \"http://…\"; allowed: none, or redis://";
    assert!(error.starts_with(expected) && !error.contains("hunter2"), "{error}");
}

#[test]
fn the_roles_may_stand_in_any_order() {
    let settings = RawSettings { roles: Some("projector, command,query".into()), ..raw() };
    assert!(settings.resolve().is_ok());
}

//! The promise: `docker-compose.yml` and the `Dockerfile` fit the program that they start. No
//! container is started here: the files are read, and what they say is tried on the real binary.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::{Command, Output};

use hoplog_events::log::contract::nats_server;

use crate::support::Settings;

mod file;

use file::{Compose, SECRET, Service, compose, text, variables};

/// Services that run this program.
fn nodes(compose: &Compose) -> impl Iterator<Item = (&String, &Service)> {
    compose.services.iter().filter(|(_, service)| service.build.is_some())
}

/// The instructions of the Dockerfile that begin with a word, without it.
fn instructions(word: &str) -> Vec<String> {
    let dockerfile = text("Dockerfile").replace("\\\n", " ");
    let lines = dockerfile.lines().filter_map(|line| line.strip_prefix(word)?.strip_prefix(' '));
    lines.map(|line| line.trim().to_owned()).collect()
}

/// The settings that a node of the file has, on servers that are not there.
fn settings_of(node: &Service) -> Settings {
    let mut settings = Settings::embedded();
    for (name, value) in &node.environment {
        let mut value = value.clone();
        for server in ["nats-1:4222", "nats-2:4222", "nats-3:4222"] {
            value = value.replace(server, "127.0.0.1:1");
        }
        settings = settings.with(name, &value);
    }
    settings
}

fn serve(settings: &Settings) -> (Option<i32>, String) {
    let output: Output = settings.command().arg("serve").output().expect("the program runs");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn the_settings_of_every_node_are_accepted() {
    let compose = compose();
    assert!(nodes(&compose).count() >= 2, "the system has two nodes");
    for (name, node) in nodes(&compose) {
        let (code, told) = serve(&settings_of(node));
        assert_eq!(code, Some(1), "{name} ends for its servers, not for a setting: {told}");
        assert!(told.contains("the servers can't be reached"), "{name}: {told}");
    }
}

#[test]
fn each_setting_is_one_that_the_program_reads() {
    let help = Settings::embedded().command().args(["serve", "--help"]).output().expect("help");
    let help = String::from_utf8_lossy(&help.stdout).into_owned();
    let known: BTreeSet<&str> = help.split(|c: char| !c.is_ascii_uppercase() && c != '_').collect();
    let compose = compose();
    for (service, node) in nodes(&compose) {
        for name in node.environment.keys() {
            assert!(known.contains(name.as_str()), "{service}: hoplog knows no {name}");
            let (code, told) = serve(&settings_of(node).with(name, "?"));
            assert_eq!(code, Some(2), "{service}: {name}=? is refused: {told}");
            assert!(told.contains(name.as_str()) && told.lines().count() == 1, "{told}");
        }
    }
    for variable in instructions("ENV").iter().flat_map(|line| line.split_whitespace()) {
        let (name, _) = variable.split_once('=').expect("NAME=value");
        assert!(!name.starts_with("HOPLOG_") || known.contains(name), "hoplog knows no {name}");
    }
}

#[test]
fn the_health_checks_tell_a_node_that_works_from_one_that_is_gone() {
    let compose = compose();
    let (_, node) = nodes(&compose).next().expect("a node");
    let image = instructions("HEALTHCHECK").concat();
    let image: Vec<String> = serde_json::from_str(&image[image.find('[').expect("a list")..])
        .expect("the check in its JSON form");
    let checks = [&node.healthcheck.test[1..], &image];
    let server = Settings::embedded().start();
    let port = server.url.rsplit(':').next().expect("a port").trim_end_matches('/').to_owned();
    let succeed = |check: &[String]| {
        let script = check[2].replace("8080", &port);
        let status = Command::new(&check[0]).args([&check[1], &script]).output();
        status.expect("bash runs").status.success()
    };
    assert!(checks.iter().all(|check| succeed(check)), "a node that works is healthy");
    let missing = node.healthcheck.test[1..].join("\n").replace("/health/ready", "/health/nothing");
    let missing: Vec<String> = missing.split('\n').map(str::to_owned).collect();
    assert!(!succeed(&missing), "an answer other than 200 is not healthy");
    server.kill();
    assert!(!checks.iter().any(|check| succeed(check)), "a node that is gone is not");
}

#[test]
fn ports_and_names_of_services_fit() {
    let compose = compose();
    let listen = instructions("ENV").concat();
    assert!(listen.contains("HOPLOG_LISTEN=0.0.0.0:8080"), "{listen}");
    assert_eq!(instructions("EXPOSE"), ["8080"]);
    for (name, service) in &compose.services {
        for port in &service.ports {
            assert!(port.starts_with("127.0.0.1:"), "{name}: {port} is open to everybody");
            assert!(port.ends_with(":8080"), "{name}: {port} leads nowhere");
        }
        for (other, condition) in &service.depends_on {
            assert!(compose.services.contains_key(other), "{name} waits for {other}");
            assert!(["service_healthy", "service_started"].contains(&&*condition.condition));
        }
    }
    for (name, node) in nodes(&compose) {
        for (setting, url) in &node.environment {
            for (at, port) in [("nats-", ":4222"), ("postgres:", "5432/"), ("redis:", "6379")] {
                assert!(!url.contains(&format!("@{at}")) || url.contains(port), "{setting}={url}");
            }
            let hosts = url.split('@').skip(1).filter_map(|rest| rest.split(':').next());
            for host in hosts {
                assert!(node.depends_on.contains_key(host), "{name}: {setting} names {host}");
            }
        }
    }
}

/// Trap 3 of the rate limiter: a count that is evicted begins anew.
#[test]
fn trap_3_limits_are_counted_in_a_redis_that_evicts_nothing() {
    let compose = compose();
    let server = |node: &Service, setting: &str| {
        let host = node.environment[setting].rsplit('@').next().and_then(|it| it.split(':').next());
        compose.services[host.expect("a host")].command.join(" ")
    };
    for (name, node) in nodes(&compose) {
        let counts = server(node, "HOPLOG_RATE_LIMIT_URL");
        assert!(counts.contains("--maxmemory-policy noeviction"), "{name}: {counts}");
        let cache = server(node, "HOPLOG_CACHE_URL");
        assert!(cache.contains("--maxmemory-policy allkeys-lru"), "{name}: {cache}");
    }
}

#[test]
fn every_service_is_pinned_bounded_and_checked() {
    let compose = compose();
    for (name, service) in &compose.services {
        let tag = service.image.rsplit_once(':').map(|(_, tag)| tag).unwrap_or_default();
        assert!(tag.split('.').count() >= 2, "{name}: {} is any version", service.image);
        assert_eq!(service.restart, "unless-stopped", "{name}");
        for time in [&service.stop_grace_period, &service.healthcheck.interval] {
            assert!(time.ends_with('s'), "{name}: {time}");
        }
        assert!(!service.healthcheck.timeout.is_empty() && service.healthcheck.test.len() > 1);
        let limits = &service.deploy.resources.limits;
        assert!(limits.cpus.parse::<f64>().is_ok_and(|cpus| cpus > 0.0), "{name}");
        assert!(limits.memory.ends_with(['m', 'g']), "{name}: {}", limits.memory);
    }
}

#[test]
fn what_is_declared_is_used_and_each_volume_has_one_owner() {
    let compose = compose();
    let mounted: Vec<&str> = compose
        .services
        .values()
        .flat_map(|it| &it.volumes)
        .filter_map(|it| it.split(':').next())
        .collect();
    let declared: BTreeSet<&str> = compose.volumes.keys().map(String::as_str).collect();
    assert_eq!(mounted.iter().copied().collect::<BTreeSet<_>>(), declared);
    assert_eq!(mounted.len(), declared.len(), "no two services share a volume");
    let used: BTreeSet<&String> =
        compose.services.values().flat_map(|it| &it.configs).map(|it| &it.source).collect();
    assert_eq!(used, compose.configs.keys().collect());
    for (name, node) in nodes(&compose) {
        assert!(node.volumes.iter().any(|it| it.ends_with(":/data")), "{name} keeps its data");
    }
}

/// Whoever has the address that is trusted can say who a visitor is: it is given to nobody else.
#[test]
fn the_address_that_the_nodes_trust_is_given_out_to_nobody() {
    let compose = compose();
    let [addresses] = &compose.networks["default"].ipam.config[..] else { panic!("one subnet") };
    let net = |name: &str| addresses[name].parse::<ipnet::IpNet>().expect("a network");
    for (name, node) in nodes(&compose) {
        let trusted: ipnet::IpNet =
            node.environment["HOPLOG_TRUSTED_PROXIES"].parse().expect("a network");
        assert!(net("subnet").contains(&trusted), "{name}");
        assert!(!net("ip_range").contains(&trusted), "{name}: {trusted} is given out");
    }
}

#[test]
fn secrets_have_no_defaults_and_are_told_of() {
    let (file, example) = (text("docker-compose.yml"), text(".env.example"));
    let told: BTreeSet<&str> = example
        .lines()
        .filter_map(|line| line.split('=').next())
        .filter(|name| !name.starts_with('#'))
        .collect();
    let variables = variables(&file);
    assert_eq!(variables.iter().map(|(name, _)| *name).collect::<BTreeSet<_>>(), told);
    for (name, _) in &variables {
        if *name == "HOPLOG_BASE_URL" {
            continue;
        }
        let uses: Vec<&str> = variables.iter().filter(|it| it.0 == *name).map(|it| it.1).collect();
        assert!(uses.iter().any(|it| it.starts_with(":?")), "{name} has to be given");
        assert!(!uses.iter().any(|it| it.starts_with(":-")), "{name} has a default");
        assert!(example.contains(&format!("{name}=\n")), "{name} is empty in .env.example");
    }
}

#[test]
fn the_broker_accepts_its_configuration() {
    let compose = compose();
    let content = &compose.configs["nats"].content;
    assert!(content.contains(SECRET), "nobody comes in without a password");
    let mut config = tempfile::NamedTempFile::new().expect("a file");
    config.write_all(content.as_bytes()).expect("it is written");
    let tried =
        Command::new(nats_server::program()).arg("-t").arg("-c").arg(config.path()).output();
    let tried = tried.expect("nats-server runs");
    assert!(tried.status.success(), "{}", String::from_utf8_lossy(&tried.stderr));
}

#[test]
fn the_image_is_built_with_the_same_compiler_and_runs_as_nobody() {
    let toolchain: toml::Table = text("rust-toolchain.toml").parse().expect("TOML");
    let channel = toolchain["toolchain"]["channel"].as_str().expect("a version");
    let from = instructions("FROM");
    assert!(from[0].starts_with(&format!("rust:{channel}-")), "{} instead of {channel}", from[0]);
    assert!(instructions("ENV").contains(&format!("RUSTUP_TOOLCHAIN={channel}")));
    assert!(from.len() == 2 && !from[1].starts_with("rust"), "the compiler stays behind");
    let users = instructions("USER");
    assert!(users.last().and_then(|it| it.parse().ok()).is_some_and(|id: u32| id > 0), "{users:?}");
    assert_eq!(instructions("STOPSIGNAL"), ["SIGTERM"]);
}

//! What the tests read in `docker-compose.yml`.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::support::checkout;

/// The value that every secret is given here.
pub const SECRET: &str = "0123456789abcdef0123456789abcdef0123456789abcdef";

/// The file, with the variables of `.env.example` filled in.
#[derive(Deserialize)]
pub struct Compose {
    pub services: BTreeMap<String, Service>,
    pub volumes: BTreeMap<String, Option<String>>,
    pub configs: BTreeMap<String, Content>,
    pub networks: BTreeMap<String, Network>,
}

#[derive(Deserialize)]
pub struct Network {
    pub ipam: Addresses,
}

#[derive(Deserialize)]
pub struct Addresses {
    pub config: Vec<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
pub struct Content {
    pub content: String,
}

#[derive(Deserialize)]
pub struct Service {
    pub build: Option<String>,
    pub image: String,
    pub restart: String,
    pub stop_grace_period: String,
    pub healthcheck: HealthCheck,
    pub deploy: Deploy,
    #[serde(default)]
    pub command: Vec<String>,
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    #[serde(default)]
    pub ports: Vec<String>,
    #[serde(default)]
    pub volumes: Vec<String>,
    #[serde(default)]
    pub configs: Vec<Mounted>,
    #[serde(default)]
    pub depends_on: BTreeMap<String, Condition>,
}

#[derive(Deserialize)]
pub struct Mounted {
    pub source: String,
}

#[derive(Deserialize)]
pub struct Condition {
    pub condition: String,
}

#[derive(Deserialize)]
pub struct HealthCheck {
    pub test: Vec<String>,
    pub interval: String,
    pub timeout: String,
}

#[derive(Deserialize)]
pub struct Deploy {
    pub resources: Resources,
}

#[derive(Deserialize)]
pub struct Resources {
    pub limits: Limits,
}

#[derive(Deserialize)]
pub struct Limits {
    pub cpus: String,
    pub memory: String,
}

/// A file of the checkout.
pub fn text(name: &str) -> String {
    let path = checkout(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The file as it is after its variables were filled in.
pub fn compose() -> Compose {
    let filled = filled_in(&text("docker-compose.yml"));
    serde_saphyr::from_str(&filled).unwrap_or_else(|error| panic!("{error}"))
}

/// The variables that the file uses, each with what stands behind its name: `:?…`, `:-…` or nothing.
pub fn variables(text: &str) -> Vec<(&str, &str)> {
    let found = text.split("${").skip(1).filter_map(|rest| rest.split_once('}'));
    found.map(|(inside, _)| inside.split_at(inside.find(':').unwrap_or(inside.len()))).collect()
}

fn filled_in(text: &str) -> String {
    let mut filled = text.to_owned();
    for (name, rest) in variables(text) {
        let value = rest.strip_prefix(":-").unwrap_or(SECRET);
        filled = filled.replace(&format!("${{{name}{rest}}}"), value);
    }
    filled.replace("$$", "$")
}

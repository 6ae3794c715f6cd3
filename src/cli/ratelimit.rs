//! `hoplog ratelimit`: the policies that hold, and what they say of a subject.

use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Out;
use super::client::{Client, ServerArgs};
use super::error::CliError;
use super::table::{Table, cell, print_json};

/// `hoplog ratelimit`.
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
#[command(after_help = "Example:\n  hoplog ratelimit check text-messages customer-17")]
pub(super) struct RateLimitArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Ask whether something may pass, and count it
    #[command(
        after_help = "Example:\n  hoplog ratelimit check text-messages customer-17 --cost 3 --dry-run"
    )]
    Check(Check),
    /// List the policies that hold
    #[command(after_help = "Example:\n  hoplog ratelimit policies --json")]
    Policies,
}

#[derive(Debug, Args)]
struct Check {
    /// A policy with the route `service`
    policy: String,
    /// Whom it is about
    subject: String,
    /// What it costs [default: the policy's own]
    #[arg(long)]
    cost: Option<u32>,
    /// Only look: take nothing
    #[arg(long)]
    dry_run: bool,
}

/// What of a policy is printed as a table.
#[derive(Debug, Deserialize)]
struct Policy {
    name: String,
    routes: Vec<String>,
    by: String,
    tiers: Vec<Tier>,
    cost: String,
    outage: String,
    refund: String,
    shadow: bool,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Tier {
    limit: u32,
    window_seconds: u64,
    algorithm: String,
}

/// Runs `hoplog ratelimit`.
pub(super) async fn run(args: RateLimitArgs, out: &mut Out) -> Result<(), CliError> {
    let client = Client::new(args.server)?;
    match args.action {
        Action::Check(Check { policy, subject, cost, dry_run }) => {
            let body =
                json!({ "policy": policy, "subject": subject, "cost": cost, "dryRun": dry_run });
            let answer = client.post(&["ratelimit", "check"], &body).await?;
            if args.json { Ok(print_json(&answer, out)?) } else { print_decision(&answer, out) }
        }
        Action::Policies => {
            let answer = client.get(&["ratelimit", "policies"], &[]).await?;
            if args.json { Ok(print_json(&answer, out)?) } else { print_policies(&answer, out) }
        }
    }
}

fn print_decision(answer: &Value, out: &mut Out) -> Result<(), CliError> {
    let mut table = Table::new(&["ALLOWED", "REMAINING", "LIMIT", "RETRY AFTER (S)"], &[1, 2, 3]);
    let names = ["allowed", "remaining", "limit", "retryAfterSeconds"];
    table.row(names.map(|name| cell(&answer[name])));
    Ok(table.print(out)?)
}

fn print_policies(answer: &Value, out: &mut Out) -> Result<(), CliError> {
    let headings = ["NAME", "ROUTES", "BY", "TIERS", "COST", "OUTAGE", "REFUND", "SHADOW"];
    let mut table = Table::new(&headings, &[]);
    for policy in Vec::<Policy>::deserialize(&answer["data"])? {
        let tier =
            |tier: &Tier| format!("{}/{}s {}", tier.limit, tier.window_seconds, tier.algorithm);
        let tiers: Vec<String> = policy.tiers.iter().map(tier).collect();
        let shadow = if policy.shadow { "yes" } else { "" };
        let (routes, tiers) = (policy.routes.join(", "), tiers.join(", "));
        let Policy { name, by, cost, outage, refund, .. } = policy;
        table.row([name, routes, by, tiers, cost, outage, refund, shadow.to_owned()]);
    }
    Ok(table.print(out)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_are_a_table_in_their_order() {
        let tier = json!({ "limit": 100, "windowSeconds": 900, "algorithm": "gcra", "burst": 100 });
        let answer = json!({ "data": [
            { "name": "create", "routes": ["create"], "by": "key", "tiers": [tier.clone(), tier],
              "cost": "1", "outage": "local", "refund": "never", "shadow": true },
        ]});
        let mut out = Vec::new();
        print_policies(&answer, &mut out).unwrap();
        insta::assert_snapshot!(String::from_utf8(out).unwrap(), @r"
        NAME    ROUTES  BY   TIERS                         COST  OUTAGE  REFUND  SHADOW
        create  create  key  100/900s gcra, 100/900s gcra  1     local   never   yes
        ");
    }

    #[test]
    fn a_decision_is_a_row() {
        let answer =
            json!({ "allowed": false, "remaining": 0, "limit": 5, "retryAfterSeconds": 12 });
        let mut out = Vec::new();
        print_decision(&answer, &mut out).unwrap();
        insta::assert_snapshot!(String::from_utf8(out).unwrap(), @r"
        ALLOWED  REMAINING  LIMIT  RETRY AFTER (S)
        false            0      5               12
        ");
    }
}

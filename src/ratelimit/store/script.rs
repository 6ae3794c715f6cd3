//! The script that decides, its arguments and its answers.

use redis::Cmd;

use super::answer::Asked;
use crate::ratelimit::arithmetic::Numbers;
use crate::ratelimit::charge::Charge;
use crate::ratelimit::receipt::Taken;
use crate::ratelimit::tier::{Algorithm, Tier};

const TEXT: &str = include_str!("limits.lua");

/// Gives back.
const BACK: &str = "back";

/// What the script does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::ratelimit) enum Mode {
    Take,
    Look,
}

/// The script, and what keys begin with.
pub(super) struct Script {
    text: String,
    hash: String,
    prefix: Box<str>,
    /// Of this process, so that its requests are nobody else's.
    node: u64,
    #[cfg(test)]
    clock: Option<crate::ratelimit::MonotonicClock>,
}

impl Script {
    pub(super) fn new(prefix: &str) -> Self {
        Self {
            text: TEXT.to_owned(),
            hash: redis::Script::new(TEXT).get_hash().to_owned(),
            prefix: prefix.into(),
            node: rand::random(),
            #[cfg(test)]
            clock: None,
        }
    }

    /// A text that takes the time from its last argument and keeps keys for an hour longer, so that a
    /// test can run through days: two lines are replaced.
    #[cfg(test)]
    pub(super) fn with_clock(self, clock: crate::ratelimit::MonotonicClock) -> Self {
        let replaced = |text: &str, line: &str, by: &str| {
            assert!(text.contains(line));
            text.replace(line, by)
        };
        let text = replaced(TEXT, "redis.call('TIME')", "{0, ARGV[#ARGV]}");
        let text = replaced(&text, "LINGER_MS = 1\n", "LINGER_MS = 3600000\n");
        let hash = redis::Script::new(&text).get_hash().to_owned();
        Self { text, hash, clock: Some(clock), ..self }
    }

    /// Decides for charges whose keys lie in one slot. `whole`: with its text.
    pub(super) fn decision(
        &self,
        mode: Mode,
        asked: &[Asked<'_>],
        group: &[usize],
        request: u64,
        whole: bool,
    ) -> Cmd {
        let asked: Vec<&Asked<'_>> = group.iter().filter_map(|at| asked.get(*at)).collect();
        let charges: Vec<&Charge> = asked.iter().map(|asked| asked.charge).collect();
        let word = match mode {
            Mode::Take => "take",
            Mode::Look => "look",
        };
        let mut command = self.begin(&charges, word, request, whole);
        for asked in asked {
            let wanted = asked.charge.cost().saturating_add(asked.ahead);
            charge(&mut command, asked.charge, wanted, &[]);
        }
        self.end(&mut command);
        command
    }

    /// Gives back what was taken.
    pub(super) fn give_back(
        &self,
        taken: &[Taken],
        group: &[usize],
        request: u64,
        whole: bool,
    ) -> Cmd {
        let taken: Vec<&Taken> = group.iter().filter_map(|at| taken.get(*at)).collect();
        let charges: Vec<&Charge> = taken.iter().map(|taken| &taken.charge).collect();
        let mut command = self.begin(&charges, BACK, request, whole);
        for taken in taken {
            charge(&mut command, &taken.charge, taken.charge.cost(), &taken.marks);
        }
        self.end(&mut command);
        command
    }

    fn begin(&self, charges: &[&Charge], mode: &str, request: u64, whole: bool) -> Cmd {
        let mut command = redis::cmd(if whole { "EVAL" } else { "EVALSHA" });
        command.arg(if whole { &self.text } else { &self.hash });
        let request = format!("{:x}-{request:x}", self.node);
        let first = charges.first().filter(|_| mode == BACK);
        let tiers = |charge: &&Charge| charge.policy().tiers().len();
        command.arg(charges.iter().map(tiers).sum::<usize>() + first.iter().len());
        for charge in charges {
            let key = self.key(charge);
            for tier in 0..charge.policy().tiers().len() {
                command.arg(format!("{key}:{tier}"));
            }
        }
        if let Some(first) = first {
            command.arg(format!("{}:back:{request}", self.key(first)));
        }
        command.arg(mode).arg(request).arg(charges.len());
        command
    }

    /// What the keys of a charge begin with. Those of a subject lie in one slot of a cluster.
    fn key(&self, charge: &Charge) -> String {
        let (policy, tag) = (charge.policy(), charge.subject().tag());
        let (name, version) = (policy.name(), policy.version());
        format!("{}{{{tag:032x}}}:{name}:{version:016x}", self.prefix)
    }

    #[cfg(test)]
    fn end(&self, command: &mut Cmd) {
        if let Some(clock) = &self.clock {
            command.arg(clock.now());
        }
    }

    #[cfg(not(test))]
    #[expect(clippy::unused_self, reason = "a test adds the time")]
    fn end(&self, _: &mut Cmd) {}
}

fn charge(command: &mut Cmd, charge: &Charge, wanted: u32, marks: &[Numbers]) {
    let policy = charge.policy();
    // No tier can hold more; then it isn't tried.
    let wanted = if wanted > policy.capacity() { charge.cost() } else { wanted };
    command.arg(policy.tiers().len()).arg(u8::from(policy.is_shadow()));
    command.arg(charge.cost()).arg(wanted);
    for (at, tier) in policy.tiers().iter().enumerate() {
        arguments(command, tier, charge.cost(), wanted);
        if let Some(marks) = marks.get(at) {
            command.arg(marks.at).arg(marks.count);
        }
    }
}

fn arguments(command: &mut Cmd, tier: &Tier, cost: u32, wanted: u32) {
    let word = match tier.algorithm() {
        Algorithm::FixedWindow => "fixed",
        Algorithm::SlidingWindow => "sliding",
        Algorithm::SlidingLog => "log",
        Algorithm::TokenBucket | Algorithm::Gcra => "bucket",
    };
    command.arg(word).arg(tier.limit());
    if word == "bucket" {
        for units in [tier.capacity(), cost, wanted] {
            let span = tier.span(u64::from(units));
            command.arg(span.us).arg(span.part);
        }
    } else {
        command.arg(tier.window_us());
    }
}

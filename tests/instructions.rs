//! The promise: what every redirect and every creation costs does not grow unnoticed. Instructions are counted,
//! as times say nothing on a machine that others use, too.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::process::Command;

use crate::support::checkout;

/// Where counts are kept.
const KEPT: &str = "benches/instructions.txt";

/// How new counts are kept.
const UPDATE: &str = "HOPLOG_UPDATE=1 cargo nextest run --workspace --all-features --test blackbox -E 'test(/^instructions::/)'";

/// The function of `benches/instructions.rs` that calls the pieces.
const CALLER: &str = "instructions::counted";

/// How much a count may grow, in percent: seeds of hashes and libraries of the system move it by less.
const GROWTH_MAX_PERCENT: u64 = 10;

/// Instructions of one call, by piece.
type Counts = BTreeMap<String, u64>;

#[test]
fn no_hot_piece_takes_more_instructions_than_it_did() {
    let counts = count();
    if std::env::var_os("HOPLOG_UPDATE").is_some() {
        fs::write(checkout(KEPT), written(&counts)).unwrap();
        return;
    }
    let text = fs::read_to_string(checkout(KEPT)).unwrap();
    let grown = grown(&read(&text), &counts);
    assert!(
        grown.is_empty(),
        "\n{}\n\n{KEPT} was made by {}, this is {}. If that is why, or it has to be so: {UPDATE}",
        grown.join("\n"),
        text.lines()
            .find_map(|line| line.strip_prefix("# Made by "))
            .unwrap_or("nobody knows what"),
        compiler(),
    );
}

/// Has all pieces counted.
fn count() -> Counts {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("callgrind.out");
    let output = Command::new(checkout("benches/count-instructions")).arg(&file).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let counts = inclusive(&fs::read_to_string(file).unwrap());
    assert!(!counts.is_empty(), "nothing was called by {CALLER}");
    counts
}

/// What the caller's callees cost with all that they called, a call, from what `callgrind` writes: behind
/// `fn=`, whose costs follow; behind `cfn=`, whom that calls; behind `calls=`, how often; on the next line,
/// where, and what all these calls cost.
fn inclusive(profile: &str) -> Counts {
    let (mut is_caller, mut callee, mut calls) = (false, "", None);
    let mut sums = BTreeMap::<String, (u64, u64)>::new();
    for line in profile.lines() {
        if let Some(name) = line.strip_prefix("fn=") {
            is_caller = name.contains(CALLER);
        } else if let Some(name) = line.strip_prefix("cfn=") {
            callee = name;
        } else if let Some(times) = line.strip_prefix("calls=") {
            calls = times.split(' ').next().and_then(|times| times.parse::<u64>().ok());
        } else if let Some(calls) = calls.take()
            && let Some(piece) = piece(callee).filter(|_| is_caller)
        {
            let cost: u64 = line.split(' ').next_back().unwrap().parse().unwrap();
            // Some have several entries.
            let sum = sums.entry(piece).or_default();
            *sum = (sum.0 + cost, sum.1 + calls);
        }
    }
    sums.into_iter().map(|(piece, (cost, calls))| (piece, cost / calls)).collect()
}

/// `instructions::pieces::parse_a_destination::{{closure}}` is a piece's code.
fn piece(function: &str) -> Option<String> {
    let path = function.strip_prefix("instructions::")?.strip_suffix("::{{closure}}")?;
    path.rsplit("::").next().map(str::to_owned)
}

/// What grew too much, or is only here or there.
fn grown(kept: &Counts, counts: &Counts) -> Vec<String> {
    let mut grown = Vec::new();
    for (piece, count) in counts {
        match kept.get(piece) {
            None => {
                grown.push(format!("{piece} takes {count} instructions; nothing is kept of it"));
            }
            Some(most) if *count * 100 > most * (100 + GROWTH_MAX_PERCENT) => {
                grown.push(format!("{piece} takes {count} instructions a call, not {most}"));
            }
            Some(_) => {}
        }
    }
    let gone = kept.keys().filter(|piece| !counts.contains_key(*piece));
    grown.extend(gone.map(|piece| format!("{piece} is kept, and nobody counts it")));
    grown
}

fn read(text: &str) -> Counts {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (piece, count) = line.rsplit_once(' ').expect("a piece and a count");
            (piece.trim_end().to_owned(), count.parse().expect("a count"))
        })
        .collect()
}

fn written(counts: &Counts) -> String {
    let mut text = format!(
        "# Instructions that the hot pieces take a call, counted by benches/count-instructions and held by\n\
         # tests/instructions.rs, which fails when one grows by more than {GROWTH_MAX_PERCENT} %. To accept new ones:\n\
         # {UPDATE}\n\
         # Made by {}\n",
        compiler()
    );
    for (piece, count) in counts {
        writeln!(text, "{piece:<40} {count:>8}").unwrap();
    }
    text
}

fn compiler() -> String {
    let output = Command::new("rustc").arg("--version").current_dir(checkout("")).output().unwrap();
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

#[test]
fn a_profile_is_read_and_growth_is_found() {
    let profile = "fn=instructions::run\n0 5\ncfn=instructions::pieces::other::{{closure}}\ncalls=1 0\n0 9\n\
                   fn=instructions::counted\n0 20\ncfn=instructions::pieces::a::{{closure}}\ncalls=1 0\n0 300\n\
                   cfn=instructions::pieces::a::{{closure}}\ncalls=9 0\n0 1800\n\
                   cfn=core::hint::black_box\ncalls=10 0\n0 30\nfn=main\n0 1\n";
    let counts = inclusive(profile);
    assert_eq!(counts, Counts::from([("a".to_owned(), 210)]));
    assert_eq!(read(&written(&counts)), counts);
    let kept = |count| Counts::from([("a".to_owned(), count)]);
    assert!(grown(&kept(191), &counts).is_empty(), "not yet 10 % more");
    assert_eq!(grown(&kept(190), &counts).len(), 1);
    assert_eq!(grown(&Counts::new(), &counts).len(), 1, "nobody knows whether it grew");
    assert_eq!(grown(&counts, &Counts::new()).len(), 1, "a piece that is no longer counted");
}

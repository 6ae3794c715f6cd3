//! Redirects: as many as are answered, right behind as many as nginx answers; then half as many, for what a
//! visitor waits on a node that is not at its limits.

use super::node::Node;
use super::report::{Figures, Table};
use super::visitors::{Traffic, visit};
use super::wrk::{Outcome, Script, load};
use super::{Backend, Run};

/// One case.
struct Case {
    /// What `CASES` calls it.
    name: &'static str,
    title: &'static str,
    node: Node,
    connections: u32,
    /// At least this much of nginx.
    target: &'static str,
}

/// What a visitor may wait at half of the load, 99 of 100 times.
const P99_TARGET_MS: &str = "5";

const EMBEDDED: Node = Node { backend: Backend::Embedded, ack: "queued", limited: true, links: 0 };

const CASES: [Case; 5] = [
    Case {
        name: "queued",
        title: "`queued`, 64 connections",
        node: EMBEDDED,
        connections: 64,
        target: "0.85",
    },
    Case {
        name: "queued",
        title: "`queued`, 256 connections",
        node: EMBEDDED,
        connections: 256,
        target: "–",
    },
    Case {
        name: "durable",
        title: "`durable`, 64 connections",
        node: Node { ack: "durable", ..EMBEDDED },
        connections: 64,
        target: "–",
    },
    Case {
        name: "durable",
        title: "`durable`, 256 connections",
        node: Node { ack: "durable", ..EMBEDDED },
        connections: 256,
        target: "0.70",
    },
    Case {
        name: "servers",
        title: "JetStream, PostgreSQL, Redis, `durable`, 256 connections",
        node: Node { backend: Backend::Servers, ack: "durable", ..EMBEDDED },
        connections: 256,
        target: "0.40",
    },
];

/// With limits and without.
const LIMITS: [(&str, bool); 2] = [
    ("`queued`, 64 connections, rate limits off", false),
    ("the same right behind it, rate limits on", true),
];

/// All cases once.
pub async fn measure(run: &Run, figures: &mut Figures) {
    for case in CASES.iter().filter(|case| run.wants(case.name)) {
        measure_case(run, case, figures).await;
    }
    if run.wants("limits") {
        measure_limits(run, figures).await;
    }
}

async fn measure_case(run: &Run, case: &Case, figures: &mut Figures) {
    let (title, connections) = (case.title, case.connections);
    let server = Node { links: run.links, ..case.node }.start().await;
    let script = Script::Visit { links: run.links };
    // Right behind its reference: a shared machine is not the same for long.
    note(figures, &of_nginx(title), load(script, connections, run.time, &run.nginx.url));
    let full = load(script, connections, run.time, &server.url);
    note(figures, title, full);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate")]
    let rate = (full.rate / 2.0) as u32;
    let traffic = Traffic { connections, links: run.links, rate: Some(rate), time: run.time };
    let visits = visit(&server.url, traffic).await;
    let at_half = at_half(title);
    figures.add(&format!("{at_half}, rate"), visits.rate());
    for (name, share) in [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999)] {
        figures.add(&format!("{at_half}, {name}"), visits.percentile_ms(share));
    }
}

fn of_nginx(title: &str) -> String {
    format!("nginx before {title}")
}

fn at_half(title: &str) -> String {
    format!("half the load of {title}")
}

async fn measure_limits(run: &Run, figures: &mut Figures) {
    for (title, limited) in LIMITS {
        let server = Node { links: run.links, limited, ..EMBEDDED }.start().await;
        let script = Script::Visit { links: run.links };
        note(figures, title, load(script, 64, run.time, &server.url));
    }
}

/// Notes what a load came to.
pub fn note(figures: &mut Figures, name: &str, outcome: Outcome) {
    figures.add(&format!("{name}, rate"), outcome.rate);
    for (what, figure) in ["p50", "p99", "p99.9"].into_iter().zip(outcome.latencies_ms) {
        figures.add(&format!("{name}, {what}"), figure);
    }
    figures.add(&format!("{name}, errors"), outcome.errors);
}

/// Median, range and what there is to say of latencies.
pub fn cells(figures: &Figures, name: &str) -> [Vec<String>; 2] {
    let of = |what: &str| format!("{name}, {what}");
    let rate = vec![figures.median(&of("rate")), figures.range(&of("rate"))];
    let times = ["p50", "p99", "p99.9"].map(|what| figures.median(&of(what)));
    [rate, times.into_iter().chain([figures.sum(&of("errors"))]).collect()]
}

/// The tables.
pub fn report(figures: &Figures) -> String {
    [full_load(figures), half_load(figures), limits(figures)].concat()
}

fn full_load(figures: &Figures) -> String {
    let mut table = Table::new(&[
        "redirects",
        "requests/s, median",
        "range",
        "of nginx, median (range)",
        "target",
        "p50 ms",
        "p99 ms",
        "p99.9 ms",
        "errors",
    ]);
    let measured = |case: &&Case| figures.has(&format!("{}, rate", case.title));
    for case in CASES.iter().filter(measured) {
        let nginx = of_nginx(case.title);
        let ratio = figures.ratio(&format!("{}, rate", case.title), &format!("{nginx}, rate"));
        let reference = format!("nginx `return 302`, one worker, {} connections", case.connections);
        let rows = [
            (reference, nginx, ["–".to_owned(), "–".to_owned()]),
            (case.title.to_owned(), case.title.to_owned(), [ratio, case.target.to_owned()]),
        ];
        for (title, name, ratio) in rows {
            let [rate, times] = cells(figures, &name);
            table.row(&[vec![title], rate, ratio.to_vec(), times].concat());
        }
    }
    table.text()
}

fn half_load(figures: &Figures) -> String {
    let mut table = Table::new(&[
        "at half of that load",
        "redirects/s",
        "p50 ms",
        "p99 ms, median (range)",
        "target",
        "p99.9 ms",
    ]);
    for title in CASES.iter().map(|case| case.title) {
        let of = |what: &str| format!("{}, {what}", at_half(title));
        if figures.has(&of("rate")) {
            table.row(&[
                title.to_owned(),
                figures.median(&of("rate")),
                figures.median(&of("p50")),
                figures.spread(&of("p99")),
                P99_TARGET_MS.to_owned(),
                figures.median(&of("p99.9")),
            ]);
        }
    }
    table.text()
}

fn limits(figures: &Figures) -> String {
    let mut table = Table::new(&[
        "rate limits",
        "requests/s, median",
        "range",
        "of the first, median (range)",
        "p50 ms",
        "p99 ms",
        "p99.9 ms",
        "errors",
    ]);
    let first = format!("{}, rate", LIMITS[0].0);
    if !figures.has(&first) {
        return String::new();
    }
    for (title, limited) in LIMITS {
        let ratio = figures.ratio(&format!("{title}, rate"), &first);
        let ratio = if limited { ratio } else { "–".to_owned() };
        let [rate, times] = cells(figures, title);
        table.row(&[vec![title.to_owned()], rate, vec![ratio], times].concat());
    }
    table.text()
}

//! Figures by row and size, as a table and as a picture.

use std::fmt::Write;

use super::plot::{Chart, draw};
use super::support::checkout;

/// Between these lines of the documentation the table stands.
const BEGIN: &str = "<!-- growth:begin -->";
const END: &str = "<!-- growth:end -->";

/// What stands in one chart: rows that begin so, with its title and unit.
const CHARTS: [(&str, &str, &[&str]); 6] = [
    ("Redirects and creations", "a second", &["redirects/s", "creations/s"]),
    ("Rebuilds", "events a second", &["rebuild"]),
    ("Start to the first redirect", "ms", &["start"]),
    ("Statistics, p99", "ms", &["statistics"]),
    ("Lists, p99", "ms", &["list"]),
    ("Search, p99", "ms", &["search"]),
];

/// Figures by row and size.
pub struct Figures {
    pub sizes: Vec<usize>,
    rows: Vec<(String, Vec<Option<f64>>)>,
}

impl Figures {
    pub fn new(sizes: Vec<usize>) -> Self {
        Self { sizes, rows: Vec::new() }
    }

    /// Notes a figure, and tells it.
    pub fn add(&mut self, row: &str, size: usize, figure: f64) {
        println!("  {row}: {}", number(figure));
        let place = self.sizes.iter().position(|known| *known == size).expect("a size");
        if !self.rows.iter().any(|(name, _)| name == row) {
            self.rows.push((row.to_owned(), vec![None; self.sizes.len()]));
        }
        let row = self.rows.iter_mut().find(|(name, _)| name == row).expect("it is there");
        row.1[place] = Some(figure);
    }

    /// All of them.
    pub fn table(&self) -> String {
        let head: Vec<String> = self.sizes.iter().copied().map(thousands).collect();
        let line = "---|".repeat(self.sizes.len() + 1);
        let mut table =
            format!("| links, and clicks of one of them | {} |\n|{line}\n", head.join(" | "));
        for (name, figures) in &self.rows {
            let cell = |figure: &Option<f64>| figure.map_or_else(|| "–".to_owned(), number);
            let cells: Vec<String> = figures.iter().map(cell).collect();
            writeln!(table, "| {name} | {} |", cells.join(" | ")).expect("a string takes it");
        }
        table
    }

    fn charts(&self) -> Vec<Chart> {
        let chart = |(title, unit, begins): (&str, &'static str, &[&str])| {
            let of_chart = |name: &String| {
                begins.iter().any(|begin| name.starts_with(begin)) && !name.contains("p50")
            };
            let rows = self.rows.iter().filter(|(name, _)| of_chart(name));
            let lines = rows.map(|(name, figures)| {
                let points = self.sizes.iter().zip(figures);
                let points = points.filter_map(|(size, figure)| Some((*size as f64, (*figure)?)));
                let name = name.replace(": p99, ms", "").replace('`', "");
                (name, points.collect())
            });
            Chart { title: title.to_owned(), unit, lines: lines.collect() }
        };
        CHARTS.into_iter().map(chart).collect()
    }

    /// Puts both into the documentation.
    pub fn write(&self) {
        std::fs::write(checkout("docs/growth.svg"), draw(&self.charts())).expect("the picture");
        let path = checkout("docs/performance.md");
        let text = std::fs::read_to_string(&path).expect("the documentation is there");
        let (before, rest) = text.split_once(BEGIN).expect("the table has a place");
        let (_, after) = rest.split_once(END).expect("the table's place has an end");
        let table = self.table();
        let picture = "![The same as a picture](growth.svg)";
        let text = format!("{before}{BEGIN}\n\n{picture}\n\n{table}\n{END}{after}");
        std::fs::write(path, text).expect("the documentation can be written");
    }
}

fn thousands(size: usize) -> String {
    match size {
        s if s.is_multiple_of(1_000_000) => format!("{} M", s / 1_000_000),
        s if s.is_multiple_of(1_000) => format!("{} k", s / 1_000),
        s => s.to_string(),
    }
}

fn number(figure: f64) -> String {
    if figure >= 100.0 { format!("{figure:.0}") } else { format!("{figure:.2}") }
}

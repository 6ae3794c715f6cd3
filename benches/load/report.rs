//! What was measured: figures by case, one a round, and the tables made of them.

use std::collections::BTreeMap;
use std::fmt::Write;

/// Figures by name, one a round.
#[derive(Default)]
pub struct Figures(BTreeMap<String, Vec<f64>>);

impl Figures {
    /// Notes a figure, and tells it.
    pub fn add(&mut self, name: &str, figure: f64) {
        println!("  {name}: {}", number(figure));
        self.0.entry(name.to_owned()).or_default().push(figure);
    }

    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// The median.
    pub fn median(&self, name: &str) -> String {
        sorted(&self.0[name]).map_or_else(none, |(_, median, _)| number(median))
    }

    /// The least and the most.
    pub fn range(&self, name: &str) -> String {
        let (low, _, high) = sorted(&self.0[name]).unwrap_or_default();
        format!("{}–{}", number(low), number(high))
    }

    /// The median, and the range behind it.
    pub fn spread(&self, name: &str) -> String {
        format!("{} ({})", self.median(name), self.range(name))
    }

    /// All rounds together.
    pub fn sum(&self, name: &str) -> String {
        number(self.0[name].iter().sum())
    }

    /// Of each round's own reference: median and range.
    pub fn ratio(&self, name: &str, reference: &str) -> String {
        let pairs = self.0[name].iter().zip(&self.0[reference]);
        let ratios: Vec<f64> = pairs.map(|(figure, reference)| figure / reference).collect();
        sorted(&ratios)
            .map_or_else(none, |(low, median, high)| format!("{median:.2} ({low:.2}–{high:.2})"))
    }
}

fn none() -> String {
    "–".to_owned()
}

fn sorted(figures: &[f64]) -> Option<(f64, f64, f64)> {
    let mut figures = figures.to_vec();
    figures.sort_by(f64::total_cmp);
    Some((*figures.first()?, *figures.get(figures.len() / 2)?, *figures.last()?))
}

fn number(figure: f64) -> String {
    if figure >= 100.0 || figure.fract() == 0.0 {
        format!("{figure:.0}")
    } else {
        format!("{figure:.2}")
    }
}

/// A table in the making.
pub struct Table {
    head: String,
    rows: String,
}

impl Table {
    pub fn new(head: &[&str]) -> Self {
        let line = "---|".repeat(head.len());
        Self { head: format!("| {} |\n|{line}\n", head.join(" | ")), rows: String::new() }
    }

    pub fn row(&mut self, cells: &[String]) {
        writeln!(self.rows, "| {} |", cells.join(" | ")).expect("a string takes it");
    }

    /// With an empty line before it; nothing of what was not measured.
    pub fn text(self) -> String {
        if self.rows.is_empty() {
            return String::new();
        }
        format!("\n{}{}", self.head, self.rows)
    }
}

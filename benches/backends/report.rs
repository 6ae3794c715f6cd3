//! What was measured, as a table.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;

use super::Backend;
use super::support::checkout;

/// Between these lines of the documentation the table stands.
const BEGIN: &str = "<!-- backends:begin -->";
const END: &str = "<!-- backends:end -->";

/// Figures by row and backend, one a round.
#[derive(Default)]
pub struct Report {
    rows: Vec<String>,
    figures: BTreeMap<(String, &'static str), Vec<f64>>,
}

impl Report {
    /// Notes a figure, and tells it.
    pub fn add(&mut self, row: &str, backend: Backend, figure: f64) {
        println!("  {row}: {figure:.2}");
        if !self.rows.iter().any(|known| known == row) {
            self.rows.push(row.to_owned());
        }
        self.figures.entry((row.to_owned(), backend.name())).or_default().push(figure);
    }

    /// Medians, and the range behind them.
    pub fn table(&self) -> String {
        let backends = [Backend::Embedded, Backend::Production].map(Backend::name);
        let mut table = format!("| | {} |\n|---|---|---|\n", backends.join(" | "));
        for row in &self.rows {
            let cells = backends.map(|backend| self.cell(row, backend));
            writeln!(table, "| {row} | {} |", cells.join(" | ")).expect("a string takes it");
        }
        table
    }

    fn cell(&self, row: &str, backend: &'static str) -> String {
        let Some(figures) = self.figures.get(&(row.to_owned(), backend)) else {
            return "–".to_owned();
        };
        let mut figures = figures.clone();
        figures.sort_by(f64::total_cmp);
        let (least, middle) = (figures[0], figures[figures.len() / 2]);
        let most = figures[figures.len() - 1];
        match &figures[..] {
            [only] => number(*only),
            _ => format!("{} ({}–{})", number(middle), number(least), number(most)),
        }
    }

    /// Puts the table into the documentation.
    pub fn write(&self) {
        let path = checkout("docs/performance.md");
        let text = fs::read_to_string(&path).expect("the documentation is there");
        let (before, rest) = text.split_once(BEGIN).expect("the table has a place");
        let (_, after) = rest.split_once(END).expect("the table's place has an end");
        let table = self.table();
        let text = format!("{before}{BEGIN}\n\n{table}\n{END}{after}");
        fs::write(path, text).expect("the documentation can be written");
    }
}

fn number(figure: f64) -> String {
    if figure >= 100.0 { format!("{figure:.0}") } else { format!("{figure:.2}") }
}

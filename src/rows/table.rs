//! Tables: which columns there are, and how a row is written.

use std::borrow::Cow;
use std::str::FromStr;

use csv::{QuoteStyle, Terminator, WriterBuilder};
use serde_json::Value;

use super::cell;

/// How rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Comma-separated values (RFC 4180), the first row names the columns.
    Csv,
    /// One JSON object a line.
    Ndjson,
}

impl FromStr for Form {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "csv" => Ok(Form::Csv),
            "ndjson" => Ok(Form::Ndjson),
            _ => Err("must be csv or ndjson"),
        }
    }
}

/// A column: its name, and where its values are (a JSON Pointer into the answer of the API).
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// In the first row.
    pub name: &'static str,
    /// In the answer.
    pub pointer: &'static str,
}

/// The rows of one kind of thing.
#[derive(Debug, Clone)]
pub struct Table {
    columns: Vec<Column>,
    form: Form,
}

impl Table {
    /// A table with these columns.
    #[must_use]
    pub fn new(columns: Vec<Column>, form: Form) -> Self {
        Self { columns, form }
    }

    /// What stands before the first row.
    #[must_use]
    pub fn head(&self) -> Vec<u8> {
        match self.form {
            Form::Csv => record(self.columns.iter().map(|column| column.name.into())),
            Form::Ndjson => Vec::new(),
        }
    }

    /// One row, with its line end.
    #[must_use]
    pub fn row(&self, thing: &Value) -> Vec<u8> {
        match self.form {
            Form::Csv => {
                let value = |column: &Column| thing.pointer(column.pointer);
                record(self.columns.iter().map(|column| value(column).map_or("".into(), text)))
            }
            Form::Ndjson => format!("{thing}\n").into_bytes(),
        }
    }
}

/// A value as it stands in a cell.
fn text(value: &Value) -> Cow<'_, str> {
    match value {
        Value::Null => "".into(),
        Value::String(text) => cell::neutral(text),
        Value::Array(items) if items.iter().all(Value::is_string) => {
            let tags = cell::of_tags(items.iter().filter_map(Value::as_str));
            cell::neutral(&tags).into_owned().into()
        }
        // What is written as JSON has texts of strangers in it.
        other => cell::neutral(&other.to_string()).into_owned().into(),
    }
}

fn record<'a>(cells: impl Iterator<Item = Cow<'a, str>>) -> Vec<u8> {
    let mut writer = WriterBuilder::new()
        .quote_style(QuoteStyle::Necessary)
        .terminator(Terminator::CRLF)
        .from_writer(Vec::new());
    let cells: Vec<Cow<'a, str>> = cells.collect();
    // Writing to memory can't fail, and a record of its own has as many cells as it has.
    let _ = writer.write_record(cells.iter().map(|cell| cell.as_bytes()));
    writer.into_inner().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn table(form: Form) -> Table {
        let column = |name, pointer| Column { name, pointer };
        Table::new(vec![column("a", "/a"), column("n", "/deep/n"), column("tags", "/tags")], form)
    }

    #[test]
    fn a_row_has_its_cells_in_the_order_of_the_columns() {
        let csv = table(Form::Csv);
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        assert_eq!(text(csv.head()), "a,n,tags\r\n");
        let thing = json!({"tags": ["x;y", "-z"], "deep": {"n": 3}, "a": "=\"b\",\r\n", "more": 1});
        assert_eq!(text(csv.row(&thing)), "\"'=\"\"b\"\",\r\n\",3,x\\;y;'-z\r\n");
        assert_eq!(text(csv.row(&json!({"a": null, "tags": []}))), ",,\r\n");
        assert_eq!(text(table(Form::Ndjson).head()), "");
        assert_eq!(text(table(Form::Ndjson).row(&json!({"a": "=1"}))), "{\"a\":\"=1\"}\n");
    }
}

//! Statistics in files: one row for each value of each dimension, so that one table holds all of them.

use serde_json::{Value, json};

use super::{Column, Form, Table};

/// Where an answer of the API has the values of a dimension, and what the dimension is called in a row.
const DIMENSIONS: &[(&str, &str)] = &[
    ("country", "/countries"),
    ("region", "/regions"),
    ("city", "/cities"),
    ("device", "/devices"),
    ("browser", "/browsers"),
    ("system", "/systems"),
    ("referrer", "/referrers"),
    ("referrerUrl", "/referrerUrls"),
    ("language", "/languages"),
    ("class", "/classes"),
    ("utmSource", "/utm/source"),
    ("utmMedium", "/utm/medium"),
    ("utmCampaign", "/utm/campaign"),
    ("utmTerm", "/utm/term"),
    ("utmContent", "/utm/content"),
    ("variant", "/variants"),
    ("rule", "/rules"),
];

/// The table that statistics are exported as.
#[must_use]
pub fn table(form: Form) -> Table {
    let column = |(name, pointer)| Column { name, pointer };
    let columns = [
        ("code", "/code"),
        ("dimension", "/dimension"),
        ("value", "/value"),
        ("clicks", "/clicks"),
        ("visitors", "/visitors"),
    ];
    Table::new(columns.map(column).to_vec(), form)
}

/// The rows of a link's statistics: `total`, `time` for each point of the series that has clicks, and every value of
/// every breakdown.
#[must_use]
pub fn rows(code: &str, answer: &Value) -> Vec<Value> {
    let row = |dimension: &str, value: &Value, slice: &Value| {
        json!({
            "code": code, "dimension": dimension, "value": value,
            "clicks": slice["clicks"], "visitors": slice["visitors"],
        })
    };
    let total = json!({"clicks": answer["totalClicks"], "visitors": answer["uniqueVisitors"]});
    let mut rows = vec![row("total", &Value::Null, &total)];
    let slices = |pointer| answer.pointer(pointer).and_then(Value::as_array).into_iter().flatten();
    let points = slices("/series").filter(|point| point["clicks"] != 0);
    rows.extend(points.map(|point| row("time", &point["start"], point)));
    for (dimension, pointer) in DIMENSIONS {
        rows.extend(slices(pointer).map(|slice| row(dimension, &slice["value"], slice)));
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_a_row() {
        let answer = json!({
            "totalClicks": 3, "uniqueVisitors": 2,
            "series": [{"start": "2026-05-17T00:00:00Z", "clicks": 3, "visitors": 2},
                       {"start": "2026-05-18T00:00:00Z", "clicks": 0, "visitors": 0}],
            "countries": [{"value": "IN", "clicks": 3, "visitors": 2}],
            "utm": {"source": [{"value": "=mail", "clicks": 1, "visitors": 1}]},
        });
        let table = table(Form::Csv);
        let text: Vec<u8> = rows("-a", &answer).iter().flat_map(|row| table.row(row)).collect();
        assert_eq!(
            String::from_utf8(text).unwrap(),
            "'-a,total,,3,2\r\n'-a,time,2026-05-17T00:00:00Z,3,2\r\n'-a,country,IN,3,2\r\n\
             '-a,utmSource,'=mail,1,1\r\n"
        );
    }
}

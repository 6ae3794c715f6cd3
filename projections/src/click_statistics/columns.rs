//! What is counted, as it stands in columns.

use super::quarter::Quarter;
use crate::database::{DatabaseError, Row, bad_row};
use crate::dimension::Dimension;
use crate::sketch::Sketch;

/// The dimension whose number is in a column.
pub(super) fn dimension(row: &Row, column: usize) -> Result<Dimension, DatabaseError> {
    Dimension::from_number(row.int(column)?).ok_or_else(|| bad_row("not a dimension"))
}

/// The visitors in a column.
pub(super) fn visitors(row: &Row, column: usize) -> Result<Sketch, DatabaseError> {
    Sketch::from_bytes(row.bytes(column)?).map_err(|error| bad_row(&error.to_string()))
}

/// The few clicks of a quarter.
pub(super) fn quarter(bytes: &[u8]) -> Result<Quarter, DatabaseError> {
    Quarter::from_bytes(bytes).map_err(|error| bad_row(&error.to_string()))
}

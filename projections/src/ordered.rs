//! Lists that are in order.

use std::cmp::Ordering;

use crate::database::DatabaseError;

/// What is in one of two that are in order; what is in both is put together.
pub(crate) fn merged<T>(
    one: Vec<T>,
    other: Vec<T>,
    order: impl Fn(&T, &T) -> Ordering,
    together: impl Fn(T, T) -> Result<T, DatabaseError>,
) -> Result<Vec<T>, DatabaseError> {
    let mut all = Vec::with_capacity(one.len().max(other.len()));
    let (mut one, mut other) = (one.into_iter().peekable(), other.into_iter().peekable());
    loop {
        let first = match (one.peek(), other.peek()) {
            (Some(item), Some(more)) => order(item, more),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => return Ok(all),
        };
        let item = one.next_if(|_| first.is_le());
        let more = other.next_if(|_| first.is_ge());
        all.extend(match (item, more) {
            (Some(item), Some(more)) => Some(together(item, more)?),
            (item, more) => item.or(more),
        });
    }
}

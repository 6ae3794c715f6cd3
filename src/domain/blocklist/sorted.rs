//! Many short texts, sorted, in one: no text has memory or a pointer of its own.

use std::iter;

use super::LineError;

/// Texts as they come.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    text: String,
    /// Where each begins and ends.
    spans: Vec<(u32, u32)>,
}

/// Different texts, in their order.
#[derive(Default, PartialEq, Eq)]
pub(super) struct Sorted {
    text: Box<str>,
    /// Where each ends; it begins where the one before ends.
    ends: Box<[u32]>,
}

impl Gathered {
    pub(super) fn push(&mut self, text: &str) -> Result<(), LineError> {
        let place = |at: usize| u32::try_from(at).map_err(|_| LineError::Full);
        let span = (place(self.text.len())?, place(self.text.len() + text.len())?);
        self.text.push_str(text);
        self.spans.push(span);
        Ok(())
    }

    fn at(&self, (begin, end): (u32, u32)) -> &str {
        self.text.get(begin as usize..end as usize).unwrap_or_default()
    }

    pub(super) fn sorted(mut self) -> Sorted {
        let mut spans = std::mem::take(&mut self.spans);
        spans.sort_unstable_by(|one, other| self.at(*one).cmp(self.at(*other)));
        spans.dedup_by(|next, last| self.at(*next) == self.at(*last));
        let (mut text, mut ends) = (String::with_capacity(self.text.len()), Vec::new());
        for span in spans {
            text.push_str(self.at(span));
            // Never longer than what was gathered, which has such an end.
            ends.extend(u32::try_from(text.len()));
        }
        Sorted { text: text.into(), ends: ends.into() }
    }
}

impl Sorted {
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.text.len() + size_of_val(&*self.ends)
    }

    pub(super) fn has(&self, text: &str) -> bool {
        self.last_up_to(text) == Some(text)
    }

    /// All that a text begins with, the longest first: one search for each, and for each that lies between them.
    pub(super) fn beginnings_of<'a>(&'a self, text: &'a str) -> impl Iterator<Item = &'a str> {
        let mut left = Some(text);
        iter::from_fn(move || {
            loop {
                let beginning = left?;
                let last = self.last_up_to(beginning)?;
                let common = common(beginning, last);
                // Any other one is a beginning of both.
                if common.len() < last.len() {
                    left = Some(common);
                    continue;
                }
                left = shortened(common);
                return Some(last);
            }
        })
    }

    fn last_up_to(&self, text: &str) -> Option<&str> {
        let (mut from, mut to) = (0, self.ends.len());
        while from < to {
            let middle = from.midpoint(to);
            if self.at(middle) <= text { from = middle + 1 } else { to = middle }
        }
        from.checked_sub(1).map(|at| self.at(at))
    }

    fn at(&self, index: usize) -> &str {
        let end = |index: usize| self.ends.get(index).map_or(0, |end| *end as usize);
        let begin = index.checked_sub(1).map_or(0, end);
        self.text.get(begin..end(index)).unwrap_or_default()
    }
}

/// What two texts both begin with.
fn common<'a>(one: &'a str, other: &str) -> &'a str {
    let differ = one.char_indices().zip(other.chars()).find(|((_, a), b)| a != b);
    let end = differ.map_or(one.len().min(other.len()), |((at, _), _)| at);
    one.get(..end).unwrap_or_default()
}

fn shortened(text: &str) -> Option<&str> {
    let (last, _) = text.char_indices().next_back()?;
    text.get(..last)
}

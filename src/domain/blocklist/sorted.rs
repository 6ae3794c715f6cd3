//! Many short texts, sorted, in one: no text has memory or a pointer of its own.

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

    pub(super) fn sorted(self) -> Sorted {
        self.kept(|last, next| last == next)
    }

    /// Without those that begin with another one.
    pub(super) fn sorted_without_longer(self) -> Sorted {
        self.kept(|last, next| next.starts_with(last))
    }

    /// All but those that the last one that is kept stands for.
    fn kept(mut self, stands_for: impl Fn(&str, &str) -> bool) -> Sorted {
        let mut spans = std::mem::take(&mut self.spans);
        spans.sort_unstable_by(|one, other| self.at(*one).cmp(self.at(*other)));
        let (mut text, mut ends) = (String::with_capacity(self.text.len()), Vec::new());
        let mut last: Option<(u32, u32)> = None;
        for span in spans {
            let next = self.at(span);
            if last.is_some_and(|last| stands_for(self.at(last), next)) {
                continue;
            }
            text.push_str(next);
            // Never longer than what was gathered, which has such an end.
            ends.extend(u32::try_from(text.len()));
            last = Some(span);
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

    /// The one that a text begins with, where none begins with another: then it is the last one up to that text.
    pub(super) fn beginning_of(&self, text: &str) -> Option<&str> {
        self.last_up_to(text).filter(|beginning| text.starts_with(beginning))
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

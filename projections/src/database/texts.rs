//! Texts that repeat, each kept once and called by a number: agents, countries and the like are the
//! same in most rows.

use std::sync::Arc;

use hashbrown::HashMap;

use super::without_nul;

/// The number of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct TextId(u32);

impl TextId {
    /// The empty text, which every collection has.
    pub(crate) const EMPTY: Self = Self(0);
}

/// Some texts, as the tables hold them: without NUL.
#[derive(Debug, Clone)]
pub(crate) struct Texts {
    all: Vec<Arc<str>>,
    ids: HashMap<Arc<str>, TextId>,
}

impl Default for Texts {
    fn default() -> Self {
        let empty: Arc<str> = "".into();
        let ids = HashMap::from([(Arc::clone(&empty), TextId::EMPTY)]);
        Self { all: vec![empty], ids }
    }
}

impl Texts {
    /// The number of a text, which is added if it is new.
    pub(crate) fn id(&mut self, text: &str) -> TextId {
        if text.is_empty() {
            return TextId::EMPTY;
        }
        match self.ids.get(text) {
            Some(id) => *id,
            None if text.contains('\0') => self.id(&without_nul(text)),
            None => self.add(text.into()),
        }
    }

    fn add(&mut self, text: Arc<str>) -> TextId {
        // Four billion texts fit in no memory that batches are bounded to.
        let id = TextId(u32::try_from(self.all.len()).unwrap_or(u32::MAX));
        self.all.push(Arc::clone(&text));
        self.ids.insert(text, id);
        id
    }

    /// The text with a number.
    pub(crate) fn get(&self, id: TextId) -> &Arc<str> {
        // A number is only given with its text.
        self.all.get(id.0 as usize).unwrap_or(&self.all[0])
    }
}

//! The second level of a cache: how entries are written there, and which are believed.
//!
//! An entry is its position and its end (8 bytes each, highest first), how many tags it has (one byte),
//! each with its length in one byte, then the value. Its version is what it accounts for.

use std::fmt::{self, Display};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes};

use super::super::level1::Tags;
use super::super::level2::{Entry, Level2, Level2Error, Locks, Space, Told, Write};
use super::Loaded;

/// How values are written in the second level.
pub trait Form<K, V>: Send + Sync {
    /// `None`: this one is not shared.
    fn write(&self, value: &V) -> Option<Vec<u8>>;

    /// `None`: it is not of this form.
    fn read(&self, key: &K, bytes: &[u8]) -> Option<V>;
}

/// The second level of one cache.
pub struct SharedLevel<K, V> {
    pub(super) entries: Space,
    /// Up to where entries with a tag are invalid.
    marks: Space,
    pub(super) locks: Locks,
    form: Arc<dyn Form<K, V>>,
}

impl<K, V> fmt::Debug for SharedLevel<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedLevel").field("entries", &self.entries).finish_non_exhaustive()
    }
}

impl<K, V> Clone for SharedLevel<K, V> {
    fn clone(&self) -> Self {
        let (entries, marks) = (self.entries.clone(), self.marks.clone());
        Self { entries, marks, locks: self.locks.clone(), form: Arc::clone(&self.form) }
    }
}

impl<K: Display, V> SharedLevel<K, V> {
    /// Keys that begin with `prefix`, which names the form and its number: values of another form
    /// are not there. Entries live for `ttl`, less up to a tenth by chance.
    #[must_use]
    pub fn new(
        level2: &Arc<Level2>,
        prefix: &str,
        ttl: Duration,
        form: Arc<dyn Form<K, V>>,
    ) -> Self {
        let entries = Space::new(Arc::clone(level2), prefix, ttl);
        // Longer than any entry that they make invalid.
        let marks = Space::new(Arc::clone(level2), &format!("{prefix}tag:"), 2 * ttl);
        Self {
            entries,
            marks,
            locks: Locks::new(Arc::clone(level2), &format!("{prefix}lock:")),
            form,
        }
    }

    /// What stands there under a key, whether it is believed or not.
    ///
    /// # Errors
    /// When Redis can't be asked, or refuses.
    pub async fn get(&self, key: &K) -> Result<Option<Loaded<V>>, Level2Error> {
        let Some(entry) = self.entries.get(&key.to_string()).await? else { return Ok(None) };
        let loaded = self.read(key, entry);
        match loaded.as_ref().and_then(|loaded| loaded.tags.as_deref()) {
            Some(_) => Ok(self.without_invalid(vec![loaded]).await?.pop().flatten()),
            None => Ok(loaded),
        }
    }

    /// What could not be written yet is not to be written any more.
    pub(super) fn forget_missed(&self) {
        self.entries.forget_missed();
        self.marks.forget_missed();
    }

    pub(super) fn is_away(&self) -> bool {
        self.entries.is_away()
    }

    /// What stands there under some keys, without what a tag makes invalid.
    pub(super) async fn get_many(
        &self,
        keys: &[&K],
    ) -> Result<Vec<Option<Loaded<V>>>, Level2Error> {
        let names: Vec<String> = keys.iter().map(ToString::to_string).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let entries = self.entries.get_many(&names).await?;
        let read = |(key, entry): (&&K, Option<Entry>)| self.read(key, entry?);
        self.without_invalid(keys.iter().zip(entries).map(read).collect()).await
    }

    /// Leaves out what a tag makes invalid, and what has a tag of which that can't be said.
    async fn without_invalid(
        &self,
        mut found: Vec<Option<Loaded<V>>>,
    ) -> Result<Vec<Option<Loaded<V>>>, Level2Error> {
        let tags = found.iter().flatten().filter_map(|loaded| loaded.tags.as_deref());
        let mut tags: Vec<&str> = tags.flatten().map(AsRef::as_ref).collect();
        if tags.is_empty() {
            return Ok(found);
        }
        tags.sort_unstable();
        tags.dedup();
        let told = self.marks.ask(&tags).await?;
        let least = |tag: &str| match tags.binary_search(&tag).ok().and_then(|at| told.get(at)) {
            Some(Told::Entry(mark)) => mark.version,
            Some(Told::Nothing) => 0,
            Some(Told::Missed { least }) => *least,
            Some(Told::Refused(_)) | None => u64::MAX,
        };
        let is_valid = |loaded: &Loaded<V>| {
            let mut tags = loaded.tags.iter().flat_map(|tags| tags.iter());
            tags.all(|tag| loaded.as_of >= least(tag))
        };
        let valid: Vec<bool> =
            found.iter().map(|entry| entry.as_ref().is_some_and(is_valid)).collect();
        for (entry, is_valid) in found.iter_mut().zip(valid) {
            entry.take_if(|_| !is_valid);
        }
        Ok(found)
    }

    fn read(&self, key: &K, entry: Entry) -> Option<Loaded<V>> {
        let Some(bytes) = entry.value else {
            return Some(Loaded::absent(entry.version));
        };
        let (position, ends_ms, tags, value) = open(bytes)?;
        let value = Some(self.form.read(key, &value)?);
        Some(Loaded { value, position, as_of: entry.version, ends_ms, tags })
    }

    /// Without what is not to be shared. In the place of what is over nothing older may stand: than its last change, as
    /// that is the position of what a load of it brings.
    pub(super) fn writes(&self, entries: &[(K, Loaded<V>)], now_ms: u64) -> Vec<Write> {
        let write = |(key, loaded): &(K, Loaded<V>)| {
            let is_over = loaded.ends_ms <= now_ms;
            let over = || Write::tombstone(key.to_string(), loaded.position);
            if is_over { Some(over()) } else { self.write(key, loaded, now_ms) }
        };
        entries.iter().filter_map(write).collect()
    }

    /// `None`: it is not to be shared, or is over.
    pub(super) fn write(&self, key: &K, loaded: &Loaded<V>, now_ms: u64) -> Option<Write> {
        let left_ms = loaded.ends_ms.checked_sub(now_ms).filter(|left| *left > 0)?;
        let bytes = close(loaded, &self.form.write(loaded.value.as_ref()?)?)?;
        Some(Write::value(key.to_string(), loaded.as_of, &bytes).at_most(left_ms))
    }

    pub(super) async fn bury(&self, key: &K, position: u64) -> Result<usize, Level2Error> {
        self.entries.set_in_any_case(&[Write::tombstone(key.to_string(), position)]).await
    }

    pub(super) async fn mark(&self, tag: &str, position: u64) -> Result<usize, Level2Error> {
        self.marks.set_in_any_case(&[Write::value(tag.to_owned(), position, &[])]).await
    }
}

/// `None`: it has more tags, or longer ones, than can be written.
fn close<V>(loaded: &Loaded<V>, value: &[u8]) -> Option<Vec<u8>> {
    let tags = loaded.tags.as_deref().unwrap_or_default();
    let mut bytes = Vec::with_capacity(17 + value.len());
    bytes.extend_from_slice(&loaded.position.to_be_bytes());
    bytes.extend_from_slice(&loaded.ends_ms.to_be_bytes());
    bytes.push(u8::try_from(tags.len()).ok()?);
    for tag in tags {
        bytes.push(u8::try_from(tag.len()).ok()?);
        bytes.extend_from_slice(tag.as_bytes());
    }
    bytes.extend_from_slice(value);
    Some(bytes)
}

fn open(mut bytes: Bytes) -> Option<(u64, u64, Tags, Bytes)> {
    let (position, ends_ms) = (bytes.try_get_u64().ok()?, bytes.try_get_u64().ok()?);
    let count = bytes.try_get_u8().ok()?;
    let mut tags = Vec::with_capacity(count.into());
    for _ in 0..count {
        let length = usize::from(bytes.try_get_u8().ok()?);
        if bytes.len() < length {
            return None;
        }
        let tag = bytes.split_to(length);
        tags.push(Box::from(std::str::from_utf8(&tag).ok()?));
    }
    Some((position, ends_ms, (!tags.is_empty()).then(|| tags.into()), bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_read_as_it_was_written_or_not_at_all() {
        let loaded = Loaded::value((), 7).until(9).tagged(["ann", ""]);
        let whole = Bytes::from(close(&loaded, b"value").unwrap());
        let (position, ends_ms, tags, value) = open(whole.clone()).unwrap();
        assert_eq!((position, ends_ms, &value[..]), (7, 9, &b"value"[..]));
        assert_eq!(tags, loaded.tags);
        for cut in 0..whole.len() - b"value".len() {
            assert!(open(whole.slice(..cut)).is_none(), "{cut}");
        }
        let long = Loaded::value((), 7).tagged([&*"x".repeat(256)]);
        assert!(close(&long, b"").is_none());
    }
}

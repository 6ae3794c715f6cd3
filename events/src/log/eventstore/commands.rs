//! Which commands a stream has seen lately: the servers compare versions, not commands.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::envelope::{CommandId, RecordedEvent};
use crate::log::Appended;
use crate::log::versioned::before;
use crate::position::{StreamId, Version};

/// How many commands are remembered of a stream.
pub(super) const COMMANDS_MAX: usize = 256;

/// Of how many streams.
const STREAMS_MAX: usize = 4_096;

/// The last commands of the streams that were appended to lately; 50 MB at most.
#[derive(Debug, Default)]
pub(super) struct Commands(Mutex<HashMap<StreamId, Recent>>);

#[derive(Debug)]
struct Recent {
    /// Up to this version.
    version: Version,
    commands: VecDeque<(CommandId, Appended)>,
}

impl Commands {
    /// Up to which version a stream's commands are remembered.
    pub(super) fn known_to(&self, stream: &StreamId) -> Option<Version> {
        self.lock().get(stream).map(|recent| recent.version)
    }

    /// What a command was answered, if it is remembered.
    pub(super) fn answer(&self, stream: &StreamId, command: CommandId) -> Option<Appended> {
        let streams = self.lock();
        let mut commands = streams.get(stream)?.commands.iter();
        commands.rfind(|(known, _)| *known == command).map(|(_, answer)| *answer)
    }

    /// Remembers the last events of a stream, oldest first.
    pub(super) fn add(&self, stream: &StreamId, events: &[RecordedEvent]) {
        for event in events {
            self.advance(stream, Version(event.version.0 - 1), event);
        }
    }

    /// Remembers what follows a version: a command, and its last event.
    pub(super) fn advance(&self, stream: &StreamId, from: Version, last: &RecordedEvent) {
        let mut streams = self.lock();
        if streams.len() >= STREAMS_MAX && !streams.contains_key(stream) {
            streams.clear();
        }
        let recent = streams
            .entry(stream.clone())
            .or_insert_with(|| Recent { version: from, commands: VecDeque::new() });
        // Others may have added the same meanwhile.
        if recent.version != from {
            return;
        }
        recent.version = last.version;
        if recent.commands.back().is_some_and(|(command, _)| *command == last.command_id) {
            recent.commands.pop_back();
        }
        if recent.commands.len() == COMMANDS_MAX {
            recent.commands.pop_front();
        }
        recent.commands.push_back((last.command_id, before(last)));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<StreamId, Recent>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

CREATE TABLE {topic} (
    sequence INTEGER PRIMARY KEY,
    stream TEXT NOT NULL,
    version INTEGER NOT NULL,
    command_id BLOB NOT NULL,
    event_type TEXT NOT NULL,
    body BLOB NOT NULL
);

-- The version check: two writers can't give a stream the same version.
CREATE UNIQUE INDEX {topic}_stream ON {topic} (stream, version);

-- A command that was sent twice is found by its id.
CREATE INDEX {topic}_command ON {topic} (command_id);

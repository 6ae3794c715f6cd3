CREATE TABLE batch (
    -- AUTOINCREMENT: a place is never given twice, so that nothing is removed by a stale one.
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    lane INTEGER NOT NULL,
    stream TEXT NOT NULL,
    version INTEGER NOT NULL,
    command_id BLOB NOT NULL,
    event_id BLOB NOT NULL,
    event_type TEXT NOT NULL,
    clicks INTEGER NOT NULL,
    -- Microseconds since 1970.
    since INTEGER NOT NULL,
    body BLOB NOT NULL
);

CREATE INDEX batch_lane ON batch (lane, id);

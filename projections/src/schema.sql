create table if not exists projections (
    name {text} primary key,
    active_set bigint not null,
    version bigint not null,
    previous_set bigint,
    previous_version bigint
);

create table if not exists pauses (
    projection {text} primary key
);

create table if not exists checkpoints (
    projection {text} not null,
    table_set bigint not null,
    topic {text} not null,
    log_id {text} not null,
    sequence bigint not null,
    last_event {text},
    partition bigint not null default 0,
    parking bigint not null default 0,
    primary key (projection, table_set, topic, partition)
);

create table if not exists members (
    projection {text} not null,
    member {text} not null,
    ends bigint not null,
    primary key (projection, member)
);

create table if not exists turns (
    projection {text} not null,
    partition bigint not null,
    holder {text} not null,
    ends bigint not null,
    primary key (projection, partition)
);

create table if not exists builds (
    projection {text} primary key,
    table_set bigint not null,
    builder {text} not null,
    purpose {text} not null,
    done bigint not null,
    total bigint not null,
    facts bigint not null,
    started bigint not null,
    ends bigint not null
);

create table if not exists parked (
    projection {text} not null,
    table_set bigint not null,
    partition bigint not null,
    sequence bigint not null,
    sequence_of {text} not null,
    event_type {text} not null,
    error {text},
    attempts bigint not null,
    parked_at bigint not null,
    primary key (projection, table_set, partition, sequence)
);

create index if not exists parked_by_sequence on parked (projection, sequence_of);

create table if not exists skipped (
    projection {text} not null,
    log_id {text} not null,
    sequence bigint not null,
    sequence_of {text} not null,
    error {text},
    skipped_at bigint not null,
    primary key (projection, log_id, sequence)
);

create table if not exists unscrubbed (
    mark {text} primary key
);

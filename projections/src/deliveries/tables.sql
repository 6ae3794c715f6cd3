create table if not exists webhook_checkpoints (
    webhook {text} not null,
    topic {text} not null,
    log_id {text} not null,
    sequence bigint not null,
    last_event {text},
    primary key (webhook, topic)
);

create table if not exists webhook_messages (
    webhook {text} not null,
    topic {text} not null,
    sequence bigint not null,
    message {text} not null,
    event_type {text} not null,
    lane {text} not null,
    body {text} not null,
    attempts bigint not null,
    since bigint not null,
    next_at bigint,
    primary key (webhook, message)
);

create index if not exists webhook_messages_due on webhook_messages (next_at);

create table if not exists webhook_attempts (
    webhook {text} not null,
    at bigint not null,
    message {text} not null,
    attempt bigint not null,
    event_type {text} not null,
    outcome {text} not null,
    status bigint,
    error {text},
    excerpt {text},
    duration_us bigint not null,
    next_at bigint,
    primary key (webhook, at, message)
);

create table if not exists webhook_health (
    webhook {text} primary key,
    failing_since bigint
);

create table if not exists webhook_turns (
    name {text} primary key,
    holder {text} not null,
    ends bigint not null
);

create table if not exists unscrubbed (
    mark {text} primary key
);

create table if not exists projections (
    name {text} primary key,
    active_set bigint not null,
    version bigint not null
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

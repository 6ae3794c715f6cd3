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
    primary key (projection, table_set, topic)
);

create table if not exists leases (
    projection {text} primary key,
    holder {text} not null,
    ends bigint not null
);

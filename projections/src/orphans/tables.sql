create table {orphans.visits} (
    at bigint not null,
    sequence bigint not null,
    place bigint not null,
    event_id {text} not null,
    kind {text} not null,
    domain {text} not null,
    path {text} not null,
    bot bigint not null,
    visitor bigint not null,
    class {text} not null,
    country {text} not null,
    region {text} not null,
    city {text} not null,
    device {text} not null,
    browser {text} not null,
    system {text} not null,
    referrer {text} not null,
    language {text} not null,
    primary key (at, sequence, place)
) {clustered};

create table {orphans.unrecorded} (
    bucket bigint not null,
    kind {text} not null,
    domain {text} not null,
    visits bigint not null,
    primary key (bucket, kind, domain)
) {clustered};

create table {orphans.horizon} (
    id bigint not null,
    at bigint not null,
    primary key (id)
) {clustered};

create table {click_statistics.totals} (
    link {text} primary key,
    humans bigint not null,
    bots bigint not null,
    first_human bigint not null,
    last_human bigint not null,
    first_bot bigint not null,
    last_bot bigint not null
) {clustered};

create table {click_statistics.sums} (
    link {text} not null,
    bucket bigint not null,
    dimension bigint not null,
    value {text} not null,
    bot bigint not null,
    clicks bigint not null,
    visitors {bytes} not null,
    primary key (link, bucket, dimension, value, bot)
) {clustered};

create table {click_statistics.quarters} (
    link {text} not null,
    bucket bigint not null,
    bot bigint not null,
    clicks {bytes} not null,
    primary key (link, bucket, bot)
) {clustered};

create table {click_statistics.unsummed} (
    of_all {text} not null,
    step bigint not null,
    due bigint not null,
    link {text} not null,
    bucket bigint not null,
    primary key (of_all, step, due, link, bucket)
) {clustered};

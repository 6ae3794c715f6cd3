create table {link_directory.links} (
    link {text} not null unique,
    domain {text} not null,
    code {text} not null,
    url {text} not null,
    owner {text} not null,
    created_at bigint not null,
    expires_at bigint,
    redirect bigint not null,
    state {text} not null,
    title {text},
    note {text},
    external_id {text},
    tags {text} not null,
    version bigint not null,
    sequence bigint not null,
    archived bigint not null,
    valid_from bigint,
    extras {text},
    number {numbered}
) {filled};

create table {link_directory.tags} (
    link {text} not null,
    tag {text} not null,
    owner {text} not null,
    created_at bigint not null,
    number bigint not null,
    deleted bigint not null,
    primary key (owner, tag, created_at, link)
) {clustered};

{texts of {link_directory.links}: number, code, url, title};

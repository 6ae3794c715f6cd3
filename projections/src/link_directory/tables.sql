create table {link_directory.links} (
    link {text} primary key,
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
    sequence bigint not null
) {clustered};

create index {link_directory.links}_by_owner on {link_directory.links} (owner, created_at, link);
create index {link_directory.links}_by_creation on {link_directory.links} (created_at, link);
create index {link_directory.links}_by_url on {link_directory.links} (substr(url, 1, 500), owner);
create index {link_directory.links}_by_expiry on {link_directory.links} (expires_at) where state = 'active' and expires_at is not null;

create table {link_directory.tags} (
    link {text} not null,
    tag {text} not null,
    primary key (tag, link)
) {clustered};

create index {link_directory.tags}_by_link on {link_directory.tags} (link);

create table {top_links.scores} (
    span bigint not null,
    link {text} not null,
    score bigint not null,
    earliness bigint not null,
    primary key (span, link)
) {clustered};

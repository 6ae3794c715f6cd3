create index if not exists {link_directory.links}_by_owner on {link_directory.links} (owner, created_at, link);
create index if not exists {link_directory.links}_by_creation on {link_directory.links} (created_at, link);
create index if not exists {link_directory.links}_by_code on {link_directory.links} (code, link);
create index if not exists {link_directory.links}_by_url on {link_directory.links} (substr(url, 1, 500), owner);
create index if not exists {link_directory.links}_by_expiry on {link_directory.links} (expires_at) where state = 'active' and expires_at is not null;
create index if not exists {link_directory.tags}_by_tag on {link_directory.tags} (tag, created_at, link, number, deleted);
create index if not exists {link_directory.tags}_by_link on {link_directory.tags} (link);
create index if not exists {link_directory.links}_by_external_id on {link_directory.links} (external_id, owner) where external_id is not null;
{index of texts of {link_directory.links}: code, url, title};

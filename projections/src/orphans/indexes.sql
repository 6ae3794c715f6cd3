create index if not exists {orphans.visits}_by_kind on {orphans.visits} (kind, at, sequence, place);

create index if not exists {clicks.clicks}_by_link on {clicks.clicks} (link, at, sequence, place);

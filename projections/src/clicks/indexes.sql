create index {clicks.clicks}_by_link on {clicks.clicks} (link, at, sequence, place);

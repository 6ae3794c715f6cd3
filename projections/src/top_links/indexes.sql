create index if not exists {top_links.scores}_by_score on {top_links.scores} (span, score, earliness, link);

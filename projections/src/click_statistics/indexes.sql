create index if not exists {click_statistics.totals}_by_clicks on {click_statistics.totals} ((humans + bots), link);

//! What may be asked of rankings.

use chrono::{DateTime, Datelike, NaiveDate, Utc};
use hoplog_events::link::{OwnerId, Tag};
use hoplog_projections::top_links::{Among, HalfLife, Period, Ranking};
use utoipa::IntoParams;

use super::RankingAnswer;
use crate::http::fields::Parameters;

/// The parameters of every question about ranks.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes the query; the values are read one by one")]
pub(super) struct RankingParameters {
    /// clicks (default) or trending.
    by: Option<String>,
    /// Only clicks of the current day, week or month, in UTC.
    period: Option<String>,
    /// Only clicks from this day on (UTC); goes with `to`.
    from: Option<String>,
    /// Only clicks up to this day, at most 366 days.
    to: Option<String>,
    /// With by=trending: after how long a click counts half. 1h, 24h (default) or 7d.
    #[param(rename = "halfLife")]
    half_life: Option<String>,
    /// Only links with this tag.
    tag: Option<String>,
}

const PERIODS: [(&str, Option<Period>); 3] =
    [("day", Some(Period::Day)), ("week", Some(Period::Week)), ("month", Some(Period::Month))];

const HALF_LIVES: [(&str, Option<HalfLife>); 3] =
    [("1h", Some(HalfLife::Hour)), ("24h", Some(HalfLife::Day)), ("7d", Some(HalfLife::Week))];

/// What is asked for, and how it is called in the answer.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) ranking: Ranking,
    pub(super) shown: RankingAnswer,
    tag: Option<Tag>,
    now: DateTime<Utc>,
}

impl Asked {
    /// Takes it from a query. Mistakes are noted there.
    pub(super) fn take(query: &mut Parameters, now: DateTime<Utc>) -> Self {
        let is_trend = query.choice("by", &[("clicks", false), ("trending", true)], false);
        let half_life = query.choice("halfLife", &HALF_LIVES, None);
        let period = query.choice("period", &PERIODS, None);
        let ends = ["from", "to"].map(|name| End::take(query, name));
        let tag = query.optional::<Tag>("tag");
        let given = [
            ("period", period.is_some()),
            ("from", ends[0] != End::Open),
            ("to", ends[1] != End::Open),
        ];
        for (name, _) in given.iter().filter(|(_, is_given)| is_trend && *is_given) {
            query.wrong(name, "invalid", "goes with by=clicks");
        }
        if half_life.is_some() && !is_trend {
            query.wrong("halfLife", "invalid", "goes with by=trending");
        }
        let days = if is_trend { None } else { days(query, period, ends, now) };
        let half_life = half_life.or(Some(HalfLife::Day)).filter(|_| is_trend);
        let ranking = match (half_life, period, days) {
            (Some(half_life), ..) => Ranking::trending(half_life, now),
            (None, Some(period), Some([first, _])) => Ranking::of(period, first),
            (None, None, Some([first, last])) => between(query, first, last),
            (None, _, None) => Ranking::ever(),
        };
        let name = |(_, named): &&(&str, Option<HalfLife>)| *named == half_life;
        let shown = RankingAnswer {
            by: if is_trend { "trending" } else { "clicks" },
            from: days.map(|[first, _]| first),
            to: days.map(|[_, last]| last),
            half_life: HALF_LIVES.iter().find(name).map(|(name, _)| *name),
        };
        Self { ranking, shown, tag, now }
    }

    /// Which links are ranked.
    pub(super) fn among(&self, owner: Option<OwnerId>) -> Among {
        Among { owner, tag: self.tag.clone() }
    }

    /// A score as clicks, or as what it is worth now.
    pub(super) fn numbers(&self, score: u64) -> (Option<u64>, Option<f64>) {
        match self.ranking.spans() {
            [span] if self.shown.half_life.is_some() => {
                let worth = span.worth(score, self.now);
                (None, Some((worth * 1_000.0).round() / 1_000.0))
            }
            _ => (Some(score), None),
        }
    }
}

/// The days that are asked for; `None`: all, or a mistake.
fn days(
    query: &mut Parameters,
    period: Option<Period>,
    ends: [End; 2],
    now: DateTime<Utc>,
) -> Option<[NaiveDate; 2]> {
    match (period, ends) {
        (Some(period), [End::Open, End::Open]) => Some(period.days(now.date_naive())),
        (Some(_), _) => {
            query.wrong("period", "invalid", "goes without from and to");
            None
        }
        (None, [End::Day(first), End::Day(last)]) => Some([first, last]),
        (None, [End::Open, End::Day(_)]) => {
            query.wrong("from", "required", "from and to go together");
            None
        }
        (None, [End::Day(_), End::Open]) => {
            query.wrong("to", "required", "from and to go together");
            None
        }
        (None, _) => None,
    }
}

fn between(query: &mut Parameters, first: NaiveDate, last: NaiveDate) -> Ranking {
    Ranking::between(first, last).unwrap_or_else(|| {
        let days = Ranking::DAYS_MAX;
        query.wrong("to", "invalid", format!("must be from on, and {days} days in all at most"));
        Ranking::ever()
    })
}

/// An end of a range of days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// None is given.
    Open,
    Day(NaiveDate),
    /// What is given is no day; the mistake is noted.
    Wrong,
}

impl End {
    fn take(query: &mut Parameters, name: &str) -> Self {
        let Some(given) = query.raw(name) else { return Self::Open };
        let day = NaiveDate::parse_from_str(&given, "%Y-%m-%d").ok();
        let day = day.filter(|day| (1970..=9_999).contains(&day.year()));
        day.map_or_else(
            || {
                let detail = "must be a day such as 2030-01-31, of the years 1970 to 9999";
                query.wrong(name, "invalid", detail);
                Self::Wrong
            },
            Self::Day,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2026-03-05T12:00:00Z";

    fn asked(query: &str) -> Result<Asked, Vec<String>> {
        let mut parameters = Parameters::new(Some(query));
        let asked = Asked::take(&mut parameters, NOW.parse().unwrap());
        let errors = parameters.finish().map_err(|problem| {
            problem.errors().iter().map(|error| error.pointer.clone()).collect()
        });
        errors.map(|()| asked)
    }

    #[test]
    fn a_question_says_what_it_is_about() {
        for (query, by, days, half_life) in [
            ("", "clicks", None, None),
            ("period=day", "clicks", Some(["2026-03-05", "2026-03-05"]), None),
            ("period=week", "clicks", Some(["2026-03-02", "2026-03-08"]), None),
            ("period=month", "clicks", Some(["2026-03-01", "2026-03-31"]), None),
            ("from=2026-01-01&to=2026-02-03", "clicks", Some(["2026-01-01", "2026-02-03"]), None),
            ("by=trending", "trending", None, Some("24h")),
            ("by=trending&halfLife=1h", "trending", None, Some("1h")),
        ] {
            let shown = asked(query).unwrap().shown;
            let found = [shown.from, shown.to].map(|day| day.map(|day| day.to_string()));
            let days = days.map_or([None, None], |days| days.map(|day| Some(day.to_owned())));
            assert_eq!((shown.by, found, shown.half_life), (by, days, half_life), "{query}");
        }
        assert_eq!(asked("period=month").unwrap().numbers(3), (Some(3), None));
        let trend = asked("by=trending").unwrap();
        assert_eq!(trend.numbers(0), (None, Some(0.0)));
    }

    #[test]
    fn what_does_not_go_together_is_told() {
        for (query, wrong) in [
            ("by=name", "?by"),
            ("halfLife=1h", "?halfLife"),
            ("by=trending&halfLife=2h", "?halfLife"),
            ("by=trending&period=day", "?period"),
            ("by=trending&from=2026-01-01", "?from"),
            ("period=day&from=2026-01-01&to=2026-01-01", "?period"),
            ("from=2026-01-01", "?to"),
            ("to=2026-01-01", "?from"),
            ("from=2026-01-02&to=2026-01-01", "?to"),
            ("from=2026-01-01&to=2027-01-02", "?to"),
            ("from=2026-01-01T00:00:00Z&to=2026-01-02", "?from"),
        ] {
            let errors = asked(query).unwrap_err();
            assert_eq!(
                errors.iter().filter(|error| *error == wrong).count(),
                1,
                "{query}: {errors:?}"
            );
        }
    }
}

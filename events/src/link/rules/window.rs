//! A part of the day, on some days of the week, somewhere.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Datelike, Timelike, Utc, Weekday};
use chrono_tz::Tz;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The minutes of a day.
const DAY_MINUTES: u16 = 24 * 60;

/// Some days of the week and a part of them, by the clocks of a time zone. It holds nothing that can't hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TimeWindow {
    /// The days on which it begins; none: every day.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub days: Vec<Day>,
    /// When it begins; without it with the day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<TimeOfDay>,
    /// When it is over, on the next day if that is before it begins; without it with the day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<TimeOfDay>,
    /// Whose clocks tell.
    pub timezone: TimeZone,
}

/// Why something is no window, or no part of one. Each says what to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WindowError {
    /// Write a day.
    #[error("must be mon, tue, wed, thu, fri, sat or sun")]
    Day,
    /// Write a time.
    #[error("must be a time of the day such as 09:30, or 24:00")]
    Time,
    /// Write a zone.
    #[error("must be the name of an IANA time zone, such as Europe/Berlin")]
    Zone,
    /// Have a window that begins within a day and ends at another time.
    #[error("must be another time than from, which is before 24:00")]
    Empty,
}

impl TimeWindow {
    /// Whether it ends at another time than it begins.
    ///
    /// # Errors
    /// When nothing is in it.
    pub fn check(&self) -> Result<(), WindowError> {
        let (from, until) = self.minutes();
        if from == until || from == DAY_MINUTES { Err(WindowError::Empty) } else { Ok(()) }
    }

    /// Whether an instant is in it.
    #[must_use]
    pub fn contains(&self, at: DateTime<Utc>) -> bool {
        let there = at.with_timezone(&self.timezone.0);
        let minute = u16::try_from(there.hour() * 60 + there.minute()).unwrap_or(u16::MAX);
        let (from, until) = self.minutes();
        let (today, yesterday) = (there.weekday(), there.weekday().pred());
        if from < until {
            return (from..until).contains(&minute) && self.is_on(today);
        }
        // What begins in the evening is of that day, also behind midnight.
        (minute >= from && self.is_on(today)) || (minute < until && self.is_on(yesterday))
    }

    fn minutes(&self) -> (u16, u16) {
        (self.from.map_or(0, |from| from.0), self.until.map_or(DAY_MINUTES, |until| until.0))
    }

    fn is_on(&self, weekday: Weekday) -> bool {
        self.days.is_empty() || self.days.iter().any(|day| day.weekday() == weekday)
    }
}

/// A day of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "they are what they are called")]
pub enum Day {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

impl Day {
    fn weekday(self) -> Weekday {
        match self {
            Self::Mon => Weekday::Mon,
            Self::Tue => Weekday::Tue,
            Self::Wed => Weekday::Wed,
            Self::Thu => Weekday::Thu,
            Self::Fri => Weekday::Fri,
            Self::Sat => Weekday::Sat,
            Self::Sun => Weekday::Sun,
        }
    }
}

impl FromStr for Day {
    type Err = WindowError;

    fn from_str(text: &str) -> Result<Self, WindowError> {
        match text {
            "mon" => Ok(Self::Mon),
            "tue" => Ok(Self::Tue),
            "wed" => Ok(Self::Wed),
            "thu" => Ok(Self::Thu),
            "fri" => Ok(Self::Fri),
            "sat" => Ok(Self::Sat),
            "sun" => Ok(Self::Sun),
            _ => Err(WindowError::Day),
        }
    }
}

/// What clocks show, `00:00` to `24:00`: a number of minutes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", extend("pattern" = "^([01][0-9]|2[0-3]):[0-5][0-9]$|^24:00$"))]
pub struct TimeOfDay(u16);

impl FromStr for TimeOfDay {
    type Err = WindowError;

    fn from_str(text: &str) -> Result<Self, WindowError> {
        let number = |digits: &str| {
            let is_number = digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit());
            digits.parse::<u16>().ok().filter(|_| is_number)
        };
        let parts =
            text.split_once(':').and_then(|(hour, minute)| number(hour).zip(number(minute)));
        let (hour, minute) = parts.ok_or(WindowError::Time)?;
        let minutes = hour * 60 + minute;
        if minute < 60 && minutes <= DAY_MINUTES {
            Ok(Self(minutes))
        } else {
            Err(WindowError::Time)
        }
    }
}

impl TryFrom<String> for TimeOfDay {
    type Error = WindowError;

    fn try_from(text: String) -> Result<Self, WindowError> {
        text.parse()
    }
}

impl From<TimeOfDay> for String {
    fn from(TimeOfDay(minutes): TimeOfDay) -> String {
        format!("{:02}:{:02}", minutes / 60, minutes % 60)
    }
}

/// A time zone by its name in the IANA database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct TimeZone(Tz);

impl FromStr for TimeZone {
    type Err = WindowError;

    fn from_str(text: &str) -> Result<Self, WindowError> {
        text.parse().map(Self).map_err(|_| WindowError::Zone)
    }
}

impl TryFrom<String> for TimeZone {
    type Error = WindowError;

    fn try_from(text: String) -> Result<Self, WindowError> {
        text.parse()
    }
}

impl From<TimeZone> for String {
    fn from(zone: TimeZone) -> String {
        zone.0.name().to_owned()
    }
}

impl fmt::Display for TimeZone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(json: &str) -> TimeWindow {
        serde_json::from_str(json).unwrap()
    }

    #[track_caller]
    fn holds(window: &TimeWindow, inside: &[&str], outside: &[&str]) {
        for at in inside {
            assert!(window.contains(at.parse().unwrap()), "{at}");
        }
        for at in outside {
            assert!(!window.contains(at.parse().unwrap()), "{at}");
        }
    }

    #[test]
    fn clocks_of_the_zone_tell_also_when_they_are_put_forward() {
        let office = window(
            r#"{"days":["mon","fri"],"from":"09:00","until":"17:00","timezone":"Europe/Berlin"}"#,
        );
        // A Monday in winter (UTC+1) and one in summer (UTC+2); a Tuesday.
        holds(
            &office,
            &["2026-01-05T08:00:00Z", "2026-01-05T15:59:59Z", "2026-07-06T07:00:00Z"],
            &[
                "2026-01-05T07:59:59Z",
                "2026-01-05T16:00:00Z",
                "2026-07-06T15:00:00Z",
                "2026-01-06T10:00:00Z",
            ],
        );
        let night = window(r#"{"from":"02:00","until":"03:00","timezone":"Europe/Berlin"}"#);
        // In the night of 29 March there is no such hour.
        holds(&night, &["2026-03-28T01:30:00Z"], &["2026-03-29T00:59:59Z", "2026-03-29T01:00:00Z"]);
        // In that of 25 October it comes twice.
        holds(&night, &["2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z"], &["2026-10-25T02:00:00Z"]);
    }

    #[test]
    fn a_window_behind_midnight_is_of_the_day_on_which_it_begins() {
        let party = window(r#"{"days":["sat"],"from":"22:00","until":"04:00","timezone":"UTC"}"#);
        holds(
            &party,
            &["2026-01-03T22:00:00Z", "2026-01-04T03:59:00Z"],
            &["2026-01-03T03:00:00Z", "2026-01-04T22:00:00Z", "2026-01-04T04:00:00Z"],
        );
        let day = window(r#"{"days":["sun"],"timezone":"UTC"}"#);
        holds(&day, &["2026-01-04T00:00:00Z", "2026-01-04T23:59:59Z"], &["2026-01-05T00:00:00Z"]);
        let evening = window(r#"{"from":"18:00","timezone":"UTC"}"#);
        holds(&evening, &["2026-01-04T23:59:59Z"], &["2026-01-04T00:00:00Z"]);
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for bad in ["", "9:00", "24:01", "12:60", "1200", "12:00:00", "+1:00", "-1:00"] {
            assert_eq!(bad.parse::<TimeOfDay>(), Err(WindowError::Time), "{bad}");
        }
        assert_eq!(String::from("24:00".parse::<TimeOfDay>().unwrap()), "24:00");
        assert_eq!("Europe/Nowhere".parse::<TimeZone>(), Err(WindowError::Zone));
        for empty in [
            r#""from":"09:00","until":"09:00""#,
            r#""from":"24:00""#,
            r#""from":"24:00","until":"09:00""#,
        ] {
            let window = window(&format!("{{{empty},\"timezone\":\"UTC\"}}"));
            assert_eq!(window.check(), Err(WindowError::Empty), "{empty}");
        }
        let day = window(r#"{"from":"00:00","until":"24:00","timezone":"UTC"}"#);
        assert_eq!(day.check(), Ok(()));
    }
}

//! What is asked of a server: the arguments that were given, as parameters, and those of a range of time.

use clap::Args;

/// A range of time, as every question takes it.
#[derive(Debug, Args)]
pub(super) struct RangeArgs {
    /// First instant or day of the range
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Last day of the range, or the instant at which it ends
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    /// Time zone of days, such as Asia/Kolkata
    #[arg(long, value_name = "ZONE")]
    tz: Option<String>,
}

impl RangeArgs {
    /// The parameters of the range, and others, as far as they were given.
    pub(super) fn with<'a, const N: usize>(
        &'a self,
        others: [(&'static str, &'a Option<String>); N],
    ) -> Vec<(&'static str, &'a str)> {
        let mut query = given([("from", &self.from), ("to", &self.to), ("tz", &self.tz)]);
        query.extend(given(others));
        query
    }
}

/// The parameters that were given.
pub(super) fn given<'a, const N: usize>(
    all: [(&'static str, &'a Option<String>); N],
) -> Vec<(&'static str, &'a str)> {
    all.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?))).collect()
}

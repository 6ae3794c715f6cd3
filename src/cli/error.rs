//! What can go wrong on the command line, how it is told, and which exit code it has.

use std::fmt::Write as _;
use std::io;
use std::path::Path;

use serde::Deserialize;

/// A command that did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum CliError {
    /// Correct the command line.
    #[error("{0}")]
    Usage(String),
    /// Start the server, or name the right one with `--server` or `HOPLOG_URL`.
    #[error("{url} can't be reached: {reason}")]
    Unreachable {
        /// Where the request went.
        url: String,
        /// Why it did not arrive.
        reason: String,
    },
    /// The server refused: its words say why.
    #[error("{}", .0.line())]
    Problem(Box<Problem>),
    /// Check that the address is a hoplog server of this version.
    #[error("the server's answer is not understood: {0}")]
    Answer(String),
    /// Correct the file.
    #[error("{file}: {reason}")]
    Input {
        /// Which file.
        file: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Something was done, but not everything, or the answer is no.
    #[error("{0}")]
    Failed(String),
    /// Look at where the output goes.
    #[error("output: {0}")]
    Output(#[from] io::Error),
}

/// An error the server answered with (RFC 9457).
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Problem {
    /// The HTTP status.
    pub(super) status: u16,
    /// The status in words.
    pub(super) title: String,
    /// The stable code.
    pub(super) code: String,
    /// What is wrong this time.
    pub(super) detail: String,
    /// Every field that is wrong.
    pub(super) errors: Vec<FieldProblem>,
}

/// One field that is wrong.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct FieldProblem {
    /// Which field.
    pub(super) pointer: String,
    /// The stable code.
    pub(super) code: String,
    /// What is wrong with it.
    pub(super) detail: String,
}

impl Problem {
    /// The whole problem on one line, for lists of problems.
    #[must_use]
    pub(super) fn line(&self) -> String {
        let mut line = format!("{}: {}", self.title, self.detail);
        for field in &self.errors {
            let _ = write!(line, "; {} {}", field.pointer, field.detail);
        }
        line
    }
}

impl CliError {
    /// 2 when the command line is to blame, 1 otherwise; nobody is when the reader has left.
    #[must_use]
    pub(super) fn exit_code(&self) -> i32 {
        match self {
            CliError::Usage(_) => 2,
            error if error.is_broken_pipe() => 0,
            _ => 1,
        }
    }

    /// What is printed on stderr.
    #[must_use]
    pub(super) fn report(&self) -> String {
        if self.is_broken_pipe() {
            return String::new();
        }
        let CliError::Problem(problem) = self else { return format!("error: {self}\n") };
        let mut report = format!("error: {}: {}\n", problem.title, problem.detail);
        for field in &problem.errors {
            let _ = writeln!(report, "  {}: {}", field.pointer, field.detail);
        }
        report
    }

    /// Whether the same may succeed a moment later: the server is away, or not ready yet.
    #[must_use]
    pub(super) fn may_pass(&self) -> bool {
        match self {
            CliError::Unreachable { .. } => true,
            CliError::Problem(problem) => matches!(problem.status, 429 | 503),
            _ => false,
        }
    }

    fn is_broken_pipe(&self) -> bool {
        matches!(self, CliError::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}

/// A mistake in a file that was named on the command line.
pub(super) fn input(file: &Path, reason: &impl ToString) -> CliError {
    CliError::Input { file: file.display().to_string(), reason: reason.to_string() }
}

impl From<Problem> for CliError {
    fn from(problem: Problem) -> Self {
        CliError::Problem(Box::new(problem))
    }
}

impl From<reqwest::Error> for CliError {
    fn from(error: reqwest::Error) -> Self {
        let url = error.url().map(|url| url.origin().ascii_serialization()).unwrap_or_default();
        let error = error.without_url();
        // The outermost text is only "error sending request"; the reason is further in.
        let mut reason = error.to_string();
        let mut source = std::error::Error::source(&error);
        while let Some(inner) = source {
            reason = inner.to_string();
            source = inner.source();
        }
        CliError::Unreachable { url, reason }
    }
}

impl From<serde_json::Error> for CliError {
    fn from(error: serde_json::Error) -> Self {
        CliError::Answer(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_told_with_each_field_on_a_line() {
        let problem: Problem = serde_json::from_str(
            r#"{"type":"about:blank","status":422,"code":"validation_failed","title":"Unprocessable Entity",
                "detail":"some fields are wrong; see errors",
                "errors":[{"pointer":"/url","code":"invalid","detail":"must be absolute"},
                          {"pointer":"/tags/0","code":"invalid","detail":"is empty"}]}"#,
        )
        .unwrap();
        let line = problem.line();
        let error = CliError::from(problem);
        assert_eq!(
            error.report(),
            "error: Unprocessable Entity: some fields are wrong; see errors\n  \
             /url: must be absolute\n  /tags/0: is empty\n"
        );
        assert_eq!(error.exit_code(), 1);
        assert_eq!(line.lines().count(), 1);
    }

    #[test]
    fn a_reader_that_left_is_no_failure() {
        let error = CliError::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!((error.exit_code(), error.report().as_str()), (0, ""));
        let error = CliError::from(io::Error::from(io::ErrorKind::StorageFull));
        assert_eq!(error.exit_code(), 1);
    }
}

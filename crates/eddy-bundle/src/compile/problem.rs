//! What is wrong with what a user wrote, with its place, for people.

use super::frame;
use eddy_types::limits::MAX_MODULES;
use eddy_types::{EddyError, ErrorCode};
use std::fmt;
use std::ops::Range;

/// Problems that are shown; more would hide the first.
pub(crate) const MAX_PROBLEMS: usize = 20;

/// Why a path cannot be bundled: one code, and all problems that were found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BundleError {
    /// The stable code.
    pub code: ErrorCode,
    /// What is wrong; at least one.
    pub problems: Vec<Problem>,
}

/// One thing that is wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problem {
    /// What is wrong and why.
    pub message: String,
    /// The file as the user knows it, with line and column (from 1), if it has a place.
    pub place: Option<(String, usize, usize)>,
    /// The lines around the place, with the place marked.
    pub frame: Option<String>,
    /// What to do.
    pub hint: Option<String>,
}

impl Problem {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            ..Self::default()
        }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds where in `text` (the content of `file`) it is.
    pub(crate) fn at(mut self, file: &str, text: &str, span: Range<usize>) -> Self {
        let (line, column) = frame::line_and_column(text, span.start);
        self.place = Some((file.to_owned(), line, column));
        self.frame = Some(frame::render(text, span));
        self
    }

    pub(crate) fn fail(self, code: ErrorCode) -> BundleError {
        BundleError {
            code,
            problems: vec![self],
        }
    }
}

impl BundleError {
    /// Of a component with more modules than it may have.
    pub(crate) fn too_many_modules(hint: &str) -> Self {
        Problem::new(format!("the code has more than {MAX_MODULES} modules"))
            .hint(hint)
            .fail(ErrorCode::InvalidSource)
    }

    /// What was made, unless there are problems with the source: the first of them.
    pub(crate) fn unless_sound<T>(made: T, mut problems: Vec<Problem>) -> Result<T, Self> {
        if problems.is_empty() {
            return Ok(made);
        }
        problems.truncate(MAX_PROBLEMS);
        Err(Self {
            code: ErrorCode::InvalidSource,
            problems,
        })
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if let Some((file, line, column)) = &self.place {
            write!(f, "\n  --> {file}:{line}:{column}")?;
        }
        if let Some(frame) = &self.frame {
            write!(f, "\n{frame}")?;
        }
        match &self.hint {
            Some(hint) => write!(f, "\n  = {hint}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for BundleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: Vec<_> = self.problems.iter().map(Problem::to_string).collect();
        f.write_str(&texts.join("\n\n"))
    }
}

impl std::error::Error for BundleError {}

impl From<BundleError> for EddyError {
    /// A single problem's hint becomes the error's; several keep theirs beside each.
    fn from(mut error: BundleError) -> Self {
        let hint = match &mut error.problems[..] {
            [only] => only.hint.take(),
            _ => None,
        };
        let made = Self::new(error.code, error.to_string());
        match hint {
            Some(hint) => made.hint(hint),
            None => made,
        }
    }
}

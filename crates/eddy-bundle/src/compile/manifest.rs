//! Reads `eddy.toml`: all problems at once, each with its place and, where something similar is
//! known, a suggestion.

use super::problem::{BundleError, Problem};
use super::shape::{FILE, Shape};
use eddy_types::{ErrorCode, Manifest, most_similar};
use serde::Deserialize;
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue, Deserializer, Error};

/// The manifest in `text`, the content of `file`.
pub(crate) fn parse(file: &str, text: &str) -> Result<Manifest, BundleError> {
    let mut walk = Walk {
        file,
        text,
        problems: Vec::new(),
    };
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        walk.toml_error(error, "", 0..0);
    }
    // After a syntax error the rest of the table would be guesswork.
    if errors.is_empty() {
        walk.table(table.get_ref(), &FILE, "");
        if !table.get_ref().contains_key("name") {
            let missing = Problem::new("the app has no `name`");
            walk.problems.push(
                missing
                    .at(file, text, 0..0)
                    .hint("Add a line: name = \"my-app\""),
            );
        }
    }
    if !walk.problems.is_empty() {
        return Err(walk.fail());
    }
    // Nothing is left to go wrong that the walk did not see; if it does, say it all the same.
    Manifest::deserialize(Deserializer::from(table)).map_err(|error| {
        walk.toml_error(&error, "", 0..0);
        walk.fail()
    })
}

struct Walk<'a> {
    file: &'a str,
    text: &'a str,
    problems: Vec<Problem>,
}

impl Walk<'_> {
    fn fail(mut self) -> BundleError {
        self.problems
            .sort_by_key(|problem| problem.place.as_ref().map(|(_, line, col)| (*line, *col)));
        BundleError {
            code: ErrorCode::InvalidManifest,
            problems: self.problems,
        }
    }

    fn push(&mut self, message: String, hint: Option<String>, span: Range<usize>) {
        let problem = Problem::new(message).at(self.file, self.text, span);
        self.problems.push(Problem { hint, ..problem });
    }

    /// An error of the parser or of a value at the path `at`.
    fn toml_error(&mut self, error: &Error, at: &str, span: Range<usize>) {
        let subject = if at.is_empty() {
            String::new()
        } else {
            format!("`{at}`: ")
        };
        let message = format!("{subject}{}", error.message());
        self.push(message, None, error.span().unwrap_or(span));
    }

    fn table(&mut self, table: &DeTable<'_>, shape: &Shape, at: &str) {
        for (key, value) in table {
            let name: &str = key.get_ref();
            let path = if at.is_empty() {
                name.to_owned()
            } else {
                format!("{at}.{name}")
            };
            match shape {
                Shape::Table(keys) => match keys.iter().find(|(known, _)| *known == name) {
                    Some((_, inner)) => self.value(value, inner, &path),
                    None => self.unknown_key(name, at, keys, key.span()),
                },
                Shape::Map(check, inner) => match check(name) {
                    Ok(()) => self.value(value, inner, &path),
                    Err(why) => self.push(format!("`{path}`: {why}"), None, key.span()),
                },
                Shape::Choice(_) | Shape::Value(_) => {}
            }
        }
    }

    fn value(&mut self, value: &Spanned<DeValue<'_>>, shape: &Shape, path: &str) {
        match shape {
            Shape::Table(_) | Shape::Map(..) => match value.get_ref().as_table() {
                Some(table) => self.table(table, shape, path),
                None => {
                    let kind = value.get_ref().type_str();
                    self.push(
                        format!("`{path}` must be a table, not {kind}"),
                        None,
                        value.span(),
                    );
                }
            },
            Shape::Choice(words) => self.choice(value, words, path),
            Shape::Value(check) => {
                if let Err(error) = check(value.clone()) {
                    self.toml_error(&error, path, value.span());
                }
            }
        }
    }

    fn choice(&mut self, value: &Spanned<DeValue<'_>>, words: &[&'static str], path: &str) {
        let given = value.get_ref().as_str();
        if given.is_some_and(|given| words.contains(&given)) {
            return;
        }
        let expected = words
            .iter()
            .map(|word| format!("{word:?}"))
            .collect::<Vec<_>>()
            .join(", ");
        let hint = given
            .and_then(|given| most_similar(given, words.iter().copied()))
            .map(|word| format!("did you mean {word:?}?"));
        self.push(
            format!("`{path}` must be one of {expected}"),
            hint,
            value.span(),
        );
    }

    fn unknown_key(
        &mut self,
        name: &str,
        at: &str,
        keys: &[(&'static str, Shape)],
        span: Range<usize>,
    ) {
        let known: Vec<_> = keys.iter().map(|(known, _)| *known).collect();
        let place = if at.is_empty() {
            String::new()
        } else {
            format!(" in `{at}`")
        };
        let hint = match most_similar(name, known.iter().copied()) {
            Some(word) => format!("did you mean `{word}`?"),
            None => format!("known keys here: {}", known.join(", ")),
        };
        self.push(format!("unknown key `{name}`{place}"), Some(hint), span);
    }
}

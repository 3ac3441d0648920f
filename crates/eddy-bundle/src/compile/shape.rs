//! The keys of `eddy.toml` as a table, so that one walk finds every problem of a file with its
//! place. What each value means is `eddy_types::manifest`'s; a test holds the two together.

use eddy_types::Name;
use eddy_types::manifest::{
    Attempts, Concurrency, EnvName, EnvValue, Example, Host, Memory, RoutePrefix, Timeout, Wait,
};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeValue, Error, ValueDeserializer};

/// What may stand at one place of the file.
pub(crate) enum Shape {
    /// A table with these keys.
    Table(&'static [(&'static str, Shape)]),
    /// A table whose keys the user chooses.
    Map(KeyCheck, &'static Shape),
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A value that reads as some type.
    Value(ValueCheck),
}

/// Says what is wrong with a key that the user chose.
pub(crate) type KeyCheck = fn(&str) -> Result<(), String>;
/// Says what is wrong with a value, and where.
pub(crate) type ValueCheck = for<'i> fn(Spanned<DeValue<'i>>) -> Result<(), Error>;

fn value<T: DeserializeOwned>(value: Spanned<DeValue<'_>>) -> Result<(), Error> {
    T::deserialize(ValueDeserializer::from(value)).map(drop)
}

/// A name, with the rule of names in the message.
fn name_value(value: Spanned<DeValue<'_>>) -> Result<(), Error> {
    let text = String::deserialize(ValueDeserializer::from(value))?;
    name(&text).map_err(serde::de::Error::custom)
}

fn name(text: &str) -> Result<(), String> {
    Name::new(text)
        .map(drop)
        .map_err(|error| format!("{}: {}", error.detail, error.hint.unwrap_or_default()))
}

fn env_name(text: &str) -> Result<(), String> {
    EnvName::parse(text).map(drop)
}

fn route(text: &str) -> Result<(), String> {
    RoutePrefix::parse(text).map(drop)
}

const RETRIES: Shape = Shape::Table(&[
    ("attempts", Shape::Value(value::<Attempts>)),
    ("backoff", Shape::Value(value::<Wait>)),
    ("max_backoff", Shape::Value(value::<Wait>)),
]);

const FUNCTION: Shape = Shape::Table(&[
    ("timeout", Shape::Value(value::<Timeout>)),
    ("memory", Shape::Value(value::<Memory>)),
    ("concurrency", Shape::Value(value::<Concurrency>)),
    ("retries", RETRIES),
]);

const AGENT: Shape = Shape::Table(&[
    ("timeout", Shape::Value(value::<Timeout>)),
    ("memory", Shape::Value(value::<Memory>)),
    ("idle", Shape::Value(value::<Wait>)),
    ("retries", RETRIES),
    ("durability", Shape::Choice(&["synced", "relaxed", "none"])),
]);

const COMPONENT: Shape = Shape::Table(&[("path", Shape::Value(value::<String>))]);

/// The whole file.
pub(crate) const FILE: Shape = Shape::Table(&[
    ("name", Shape::Value(name_value)),
    ("components", Shape::Map(name, &COMPONENT)),
    ("functions", Shape::Map(name, &FUNCTION)),
    ("agents", Shape::Map(name, &AGENT)),
    ("routes", Shape::Map(route, &Shape::Value(name_value))),
    (
        "defaults",
        Shape::Table(&[("functions", FUNCTION), ("agents", AGENT)]),
    ),
    (
        "env",
        Shape::Map(env_name, &Shape::Value(value::<EnvValue>)),
    ),
    (
        "capabilities",
        Shape::Table(&[("hosts", Shape::Value(value::<Vec<Host>>))]),
    ),
    ("examples", Shape::Value(value::<Vec<Example>>)),
]);

//! Requests to try: an app's author knows better than its types what a good first request is.

use serde::{Deserialize, Deserializer, Serialize, de};

/// A `POST` that shows what the app does. `eddy up` prints it as a line for the shell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Example {
    /// Where to, under `/v1/`: `/v1/agents/cart/alice/add`.
    #[serde(deserialize_with = "api_path")]
    pub path: String,
    /// The body, JSON text; none sends no body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// What it shows, in a few words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
}

fn api_path<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let path = String::deserialize(deserializer)?;
    let printable = path.bytes().all(|byte| byte.is_ascii_graphic());
    match path.starts_with("/v1/") && printable {
        true => Ok(path),
        false => Err(de::Error::custom(
            "a path of an example begins with /v1/ and is percent-encoded, such as \
             \"/v1/agents/cart/alice/add\"",
        )),
    }
}

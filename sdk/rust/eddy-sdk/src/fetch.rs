//! HTTP requests and their responses, with whole bodies.

use crate::bindings::eddy::platform::effects::{self as node, HttpRequest, HttpResponse, Outcome};
use crate::effects::{Call, from_json, unexpected};
use crate::error::{EddyError, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::future::IntoFuture;
use std::panic::Location;

/// A request that is being put together; [`send`](Fetch::send) or `.await` starts it. `GET` unless said otherwise.
///
/// ```
/// use eddy_sdk::prelude::*;
/// use serde_json::{Value, json};
///
/// async fn pay(ctx: &FunctionContext, amount: u64) -> Result<Value> {
///     let response = ctx
///         .fetch("https://pay.example/charges")
///         .method("POST")
///         .header("authorization", ctx.env("PAY_TOKEN").unwrap_or_default())
///         .json(&json!({ "amount": amount }))
///         .await?;
///     match response.ok() {
///         true => response.json(),
///         false => Err(EddyError::new("not-paid", response.text()).status(502)),
///     }
/// }
/// ```
#[derive(Debug)]
#[must_use = "await it, or start it with `send`"]
pub struct Fetch {
    request: Result<HttpRequest>,
    place: &'static Location<'static>,
}

impl Fetch {
    pub(crate) fn new(url: String, place: &'static Location<'static>) -> Self {
        Self {
            request: Ok(HttpRequest {
                method: "GET".to_owned(),
                url,
                headers: Vec::new(),
                body: None,
            }),
            place,
        }
    }

    fn with(mut self, change: impl FnOnce(&mut HttpRequest)) -> Self {
        if let Ok(request) = &mut self.request {
            change(request);
        }
        self
    }

    /// The method, such as `POST`.
    pub fn method(self, method: impl Into<String>) -> Self {
        self.with(|request| request.method = method.into())
    }

    /// Adds a header.
    pub fn header(self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.with(|request| request.headers.push((name.into(), value.into())))
    }

    /// The body, as it is.
    pub fn body(self, body: impl Into<Vec<u8>>) -> Self {
        self.with(|request| request.body = Some(body.into()))
    }

    /// The body as JSON, with its content type. What JSON cannot hold is the error of the request.
    #[track_caller]
    pub fn json(mut self, body: &impl Serialize) -> Self {
        match serde_json::to_vec(body) {
            Ok(json) => self.header("content-type", "application/json").body(json),
            Err(error) => {
                self.request = Err(error.into());
                self
            }
        }
    }

    /// Starts it: several can be under way at once.
    pub fn send(self) -> Call<Response> {
        let started = self.request.map(|request| node::fetch(&request));
        Call::new(started, read_response, self.place)
    }
}

impl IntoFuture for Fetch {
    type Output = Result<Response>;
    type IntoFuture = Call<Response>;

    fn into_future(self) -> Call<Response> {
        self.send()
    }
}

/// What `fetch` gives: the last answer, after redirects, with its whole body.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Response {
    /// The status, whichever it is.
    pub status: u16,
    /// The headers, names in lower case, in the order they came.
    pub headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Response {
    /// Whether the status is from 200 to 299.
    #[must_use]
    pub fn ok(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The first header of this name, whatever its case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let found = headers.find(|(known, _)| known.eq_ignore_ascii_case(name))?;
        Some(&found.1)
    }

    /// The body.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.body
    }

    /// The body as text; what is not UTF-8 becomes U+FFFD.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON. `unexpected-json` when it does not fit.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        from_json(&self.body, "the body")
    }
}

fn read_response(outcome: Outcome) -> Result<Response, EddyError> {
    match outcome {
        Outcome::Http(HttpResponse {
            status,
            headers,
            body,
        }) => Ok(Response {
            status,
            headers,
            body,
        }),
        Outcome::Json(_) | Outcome::Elapsed => Err(unexpected()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_found_whatever_their_case() {
        let headers = vec![("x-reply".to_owned(), "yes".to_owned())];
        let response = read_response(Outcome::Http(HttpResponse {
            status: 299,
            headers,
            body: b"[1]".to_vec(),
        }));
        let response = response.unwrap();
        assert_eq!(
            (response.header("X-Reply"), response.ok()),
            (Some("yes"), true)
        );
        assert_eq!(response.json::<Vec<u8>>().unwrap(), [1]);
        assert_eq!(response.json::<u8>().unwrap_err().code, "unexpected-json");
    }
}

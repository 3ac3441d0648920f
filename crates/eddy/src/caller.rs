//! Calls, invocations and deletions: over the native link where the node speaks it, else over HTTP,
//! with the same results and errors. Which way it is, is settled before anything is asked.

use crate::remote::Remote;
use bytes::Bytes;
use eddy_api::{Answer, CallOptions, Client, Invocation};
use eddy_client::{Call, Reply};
use eddy_types::limits::MAX_IDEMPOTENCY_KEY_BYTES;
use eddy_types::{EddyError, ErrorCode};
use std::time::Duration;

/// A way to ask a node.
pub(crate) enum Caller<'a> {
    Http(Client),
    Link(eddy_client::Client, &'a Remote),
}

/// An invocation that runs later.
pub(crate) struct Accepted {
    pub(crate) id: String,
    /// What HTTP says of it at once.
    pub(crate) record: Option<Invocation>,
}

impl<'a> Caller<'a> {
    /// The way for a request that names `names` and wants `options`.
    ///
    /// `invalid-argument` for a bad address or certificate.
    pub(crate) async fn of(
        remote: &'a Remote,
        names: &[&str],
        options: &CallOptions,
    ) -> Result<Self, EddyError> {
        if is_plain(names, options)
            && let Some(link) = remote.link().await
        {
            return Ok(Self::Link(link, remote));
        }
        Ok(Self::Http(remote.http()?))
    }

    pub(crate) async fn call(
        &self,
        (agent_type, key, method): (&str, &str, &str),
        argument: Bytes,
        options: &CallOptions,
    ) -> Result<Answer, EddyError> {
        match self {
            Self::Http(http) => http.call(agent_type, key, method, argument, options).await,
            Self::Link(link, remote) => {
                let call = link.agent(agent_type, key).call_raw(method, argument);
                asked(call, options, remote).await.map(answer)
            }
        }
    }

    pub(crate) async fn invoke(
        &self,
        function: &str,
        argument: Bytes,
        options: &CallOptions,
    ) -> Result<Answer, EddyError> {
        match self {
            Self::Http(http) => http.invoke(function, argument, options).await,
            Self::Link(link, remote) => {
                let call = link.function(function).invoke_raw(argument);
                asked(call, options, remote).await.map(answer)
            }
        }
    }

    /// Has an invocation accepted. A time-out means nothing for it: nobody waits.
    pub(crate) async fn submit(
        &self,
        function: &str,
        argument: Bytes,
        options: &CallOptions,
    ) -> Result<Accepted, EddyError> {
        match self {
            Self::Http(http) => {
                let record = http.invoke_async(function, argument, options).await?;
                let id = record.id.clone();
                Ok(Accepted {
                    id,
                    record: Some(record),
                })
            }
            Self::Link(link, remote) => {
                let call = link.function(function).submit_raw(argument);
                let options = CallOptions {
                    timeout: None,
                    ..options.clone()
                };
                let id = asked(call, &options, remote).await?.to_string();
                Ok(Accepted { id, record: None })
            }
        }
    }

    pub(crate) async fn delete(
        &self,
        agent_type: &str,
        key: &str,
        options: &CallOptions,
    ) -> Result<(), EddyError> {
        match self {
            Self::Http(http) => http.delete_agent(agent_type, key, options).await,
            Self::Link(link, remote) => {
                asked(link.agent(agent_type, key).delete(), options, remote).await
            }
        }
    }
}

/// Sends over the link, and waits. No answer is the same error as over HTTP.
async fn asked<T: 'static>(
    mut call: Call<T>,
    options: &CallOptions,
    remote: &Remote,
) -> Result<T, EddyError> {
    if let Some(key) = &options.idempotency_key {
        call = call.idempotency_key(key);
    }
    if let Some(timeout) = options.timeout {
        call = call.timeout(timeout);
    }
    if options.snapshot {
        call = call.snapshot();
    }
    call.await.map_err(|error| match error.code {
        // A node never answers with these: this side saw the connection end.
        ErrorCode::ConnectionLost | ErrorCode::NodeUnreachable => match remote.http() {
            Ok(http) => http.no_answer(&error.detail),
            Err(error) => error,
        },
        _ => error,
    })
}

fn answer(reply: Reply) -> Answer {
    Answer {
        invocation: reply.invocation.map(|id| id.to_string()),
        result: reply.body,
    }
}

/// Whether both ways take the request in the same sense. What HTTP reads otherwise (quotes around a
/// key) or refuses (a time of nothing, a key that no URL can hold) is left to HTTP.
fn is_plain(names: &[&str], options: &CallOptions) -> bool {
    let visible = |byte: u8| byte.is_ascii_graphic() || byte == b' ';
    let key = options.idempotency_key.as_deref().is_none_or(|key| {
        (1..=MAX_IDEMPOTENCY_KEY_BYTES).contains(&key.len())
            && key.bytes().all(visible)
            && key.trim() == key
            && !key.starts_with('"')
    });
    let timeout = options.timeout;
    key && timeout.is_none_or(|timeout| timeout >= Duration::from_millis(1))
        && !names.iter().any(|name| matches!(*name, "" | "." | ".."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keyed(key: &str) -> CallOptions {
        CallOptions {
            idempotency_key: Some(key.to_owned()),
            ..CallOptions::default()
        }
    }

    #[test]
    fn what_http_reads_in_its_own_way_is_left_to_it() {
        let plain = CallOptions::default();
        assert!(is_plain(&["cart", "a/b", "add"], &plain));
        assert!(is_plain(&["f"], &keyed("order 1\"001\"")));
        for name in ["", ".", ".."] {
            assert!(!is_plain(&["cart", name], &plain), "{name:?}");
        }
        for key in ["", " a", "\"a\"", "\u{e4}", &"x".repeat(256)] {
            assert!(!is_plain(&["f"], &keyed(key)), "{key:?}");
        }
        for (micros, good) in [(0, false), (999, false), (1000, true)] {
            let options = CallOptions {
                timeout: Some(Duration::from_micros(micros)),
                ..CallOptions::default()
            };
            assert_eq!(is_plain(&["f"], &options), good, "{micros} us");
        }
    }
}

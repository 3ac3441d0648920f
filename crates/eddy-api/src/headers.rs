//! Names of the headers that carry options and answers, in lower case as HTTP/2 wants them.

/// Request: makes a repeated request answer as the first one did. 1 to 255 visible characters,
/// with or without the double quotes of the IETF draft.
pub const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// Request: the longest to wait, as `500ms`, `2s`, `1m 30s`.
pub const TIMEOUT: &str = "eddy-timeout";
/// Request: `live` (the default) or `snapshot`, for queries.
pub const CONSISTENCY: &str = "eddy-consistency";
/// Request: the tenant that an operator acts for; a tenant's own token needs none.
pub const TENANT: &str = "eddy-tenant";
/// Answer: the id of the invocation that made it.
pub const INVOCATION: &str = "eddy-invocation";
/// Request: `respond-async` (RFC 7240) accepts an invocation and answers before it ran.
pub const PREFER: &str = "prefer";
/// Answer: the preference that was followed.
pub const PREFERENCE_APPLIED: &str = "preference-applied";
/// Request: W3C trace context, noted in the invocation.
pub const TRACEPARENT: &str = "traceparent";

//! Every default limit, in one place. Each has a typed error at it; docs/limits.md lists them.

use std::time::Duration;

/// Largest record a turn may commit, in bytes: under JetStream's default payload of 1 MiB.
pub const MAX_RECORD_BYTES: usize = 1_000_000;
/// Largest argument or result of an invocation, in bytes.
pub const MAX_PAYLOAD_BYTES: usize = 900_000;
/// Largest body of `POST /v1/apps`, in bytes.
pub const MAX_DEPLOY_BYTES: usize = 64 << 20;
/// Largest state value, in bytes.
pub const MAX_VALUE_BYTES: usize = 900_000;
/// Longest name of a tenant, app, function, agent type or method, in bytes.
pub const MAX_NAME_BYTES: usize = 64;
/// Longest agent key, in bytes of UTF-8.
pub const MAX_KEY_BYTES: usize = 256;
/// Longest state key, in bytes of UTF-8.
pub const MAX_STATE_KEY_BYTES: usize = 1024;
/// Largest listing of state (keys and values) that one call gives, in bytes.
pub const MAX_LIST_BYTES: usize = 8 << 20;
/// Largest state that a document of an agent holds, in bytes: keys and values, and 64 more for each.
pub const MAX_AGENT_DOCUMENT_BYTES: usize = 16 << 20;
/// Largest document that an agent is imported from, in bytes: what it holds has to fit one record.
pub const MAX_AGENT_IMPORT_BYTES: usize = 4 << 20;
/// Bytes of exported documents that are held at once until clients have read them.
pub const MAX_EXPORT_BYTES_IN_FLIGHT: usize = 128 << 20;
/// Longest `Idempotency-Key`, in bytes.
pub const MAX_IDEMPOTENCY_KEY_BYTES: usize = 255;
/// How long an idempotency key and the tombstone of a deleted agent are remembered.
pub const IDEMPOTENCY_WINDOW: Duration = Duration::from_secs(24 * 3600);
/// Messages that may wait for one agent, and repeated requests that wait for the answer to the same first one.
pub const MAX_MAILBOX: usize = 1024;
/// Messages of one tenant that may wait in one shard, all agents together, while others have none there; as
/// many of its timers may fire there at once.
/// All tenants may have twice as many, and each as many as it leaves free; the same holds for what else is
/// counted per shard.
pub const MAX_SHARD_MAILBOX: usize = 65_536;
/// Undelivered sends of one tenant in one shard, all targets together.
pub const MAX_OUTBOX: usize = 65_536;
/// Bytes that the messages of one tenant waiting in one shard may hold; as many again for its undelivered
/// sends, for its durable invocations under way, and for its timers that fire.
pub const MAX_WAITING_BYTES: usize = 64 << 20;
/// Sends that one turn may make.
pub const MAX_SENDS_PER_TURN: usize = 1024;
/// Timers that one agent may have set.
pub const MAX_TIMERS_PER_AGENT: usize = 1024;
/// Bytes that their arguments may have together: whoever sets one more looks at all of them.
pub const MAX_TIMER_BYTES_PER_AGENT: usize = 8 << 20;
/// Immediate effects one turn may have in flight at once.
pub const MAX_PENDING_PER_TURN: usize = 256;
/// Immediate effects one turn may start over its life.
pub const MAX_EFFECTS_PER_TURN: u32 = 100_000;
/// Depth of a call chain.
pub const MAX_CALL_DEPTH: usize = 32;
/// Uncommitted bytes one tenant may run ahead of the disk in one shard.
pub const MAX_OVERLAY_BYTES: usize = 64 << 20;
/// Shards of a node when it is first started. Fixed for the life of the data folder.
pub const DEFAULT_SHARDS: u16 = 16;
/// Time a function or turn may take when its manifest is silent.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest a nested wait lasts, even under `timeout = "none"`.
pub const MAX_NESTED_WAIT: Duration = Duration::from_secs(60);
/// Longest a snapshot query lasts, even under `timeout = "none"`: while it reads, the store keeps what it may read.
pub const MAX_SNAPSHOT_QUERY: Duration = Duration::from_secs(60);
/// Memory of one guest instance when its manifest is silent, in bytes.
pub const DEFAULT_GUEST_MEMORY: usize = 128 << 20;
/// Largest memory a manifest may ask for one guest instance, in bytes.
pub const MAX_GUEST_MEMORY: usize = 1 << 30;
/// Concurrent invocations of one function when its manifest is silent.
pub const DEFAULT_FUNCTION_CONCURRENCY: u32 = 64;
/// Invocations of one function that may wait for a free instance.
pub const MAX_FUNCTION_QUEUE: usize = 1024;
/// Time after which an idle agent is passivated.
pub const DEFAULT_IDLE: Duration = Duration::from_secs(60);
/// Grace that SIGTERM, a move or a redeploy gives to running turns.
pub const DEFAULT_GRACE: Duration = Duration::from_secs(10);
/// `relaxed` durability: the longest a record waits for its flush.
pub const RELAXED_FLUSH_WITHIN: Duration = Duration::from_millis(100);
/// Attempts at a send or timer before it becomes a dead letter.
pub const DEFAULT_DELIVERY_ATTEMPTS: u32 = 8;
/// First pause between attempts; doubles each time.
pub const DEFAULT_BACKOFF: Duration = Duration::from_millis(100);
/// Longest pause between attempts.
pub const MAX_BACKOFF: Duration = Duration::from_secs(30);
/// Longest time a durable timer may be set ahead.
pub const MAX_TIMER_DELAY: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
/// Bytes of log one invocation may write; beyond it lines are dropped and counted.
pub const MAX_LOG_BYTES_PER_INVOCATION: usize = 64 << 10;
/// Recent log lines that a node keeps in memory, of each tenant.
pub const MAX_LOG_LINES_KEPT: usize = 10_000;
/// Bytes of recent log lines that a node keeps in memory, of each tenant.
pub const MAX_LOG_BYTES_KEPT: usize = 4 << 20;
/// Readers that follow the log of one tenant at once.
pub const MAX_LOG_READERS: usize = 64;
/// Records of finished invocations that the node keeps in memory when they are not durable, of one
/// tenant; of all together twice as many.
pub const MAX_RECENT_INVOCATIONS: usize = 10_000;
/// Largest response body of an outbound `fetch`, in bytes.
pub const MAX_FETCH_BODY_BYTES: usize = 8 << 20;
/// Longest address of a `fetch`, in bytes.
pub const MAX_FETCH_URL_BYTES: usize = 8 << 10;
/// Largest headers of the request of a `fetch`, in bytes: names and values, and 32 more for each.
pub const MAX_FETCH_HEADERS_BYTES: usize = 64 << 10;
/// What the fetches of one turn hold at once, addresses, headers and bodies: of requests under way, and of answers
/// not taken yet. In bytes.
pub const MAX_FETCH_BYTES_PER_TURN: usize = 64 << 20;
/// Largest piece of a body that a guest which answers HTTP writes at once, in bytes. The node holds two for each body
/// that such a guest writes, and one for each that it reads.
pub const MAX_HTTP_CHUNK_BYTES: usize = 64 << 10;
/// Headers or trailers that such a guest makes, one set of them, in bytes as they are held: some 70 more for each.
pub const MAX_HTTP_FIELDS_BYTES: usize = 64 << 10;
/// Handles of requests, answers, headers, bodies and streams that such a guest may hold.
pub const MAX_HTTP_HANDLES: usize = 1024;
/// Routes of one app.
pub const MAX_ROUTES_PER_APP: usize = 100;
/// Entries a page of a listing holds unless asked for fewer.
pub const MAX_PAGE: usize = 1000;
/// Connections the server holds at once; further ones wait in the backlog of the system.
pub const MAX_CONNECTIONS: usize = 8192;
/// Native links among the open connections; further ones are closed.
pub const MAX_LINKS: usize = MAX_CONNECTIONS / 2;
/// Requests the server handles at once; beyond it `overloaded`.
pub const MAX_IN_FLIGHT: usize = 16_384;
/// Fewer requests than this that wait for an agent type or a function are no crowd: they are let in.
pub const ADMISSION_CROWD: usize = 64;
/// So many turns in line for a processor mean that there is no time for more: admission begins.
pub const ADMISSION_LINE: usize = 16;
/// In a crowd, a request may wait for one part in so many of the time it has; else `overloaded`.
pub const ADMISSION_SHARE: u32 = 4;
/// Bytes of large request bodies the server holds at once; beyond it `overloaded`. A tenant other than the default one has
/// at most as much as it leaves free; the same holds for [`MAX_EXPORT_BYTES_IN_FLIGHT`].
pub const MAX_BODY_BYTES_IN_FLIGHT: usize = 256 << 20;
/// Functions, agent types and methods that one component defines, all together.
pub const MAX_NAMES_PER_COMPONENT: usize = 2000;
/// Source maps of one component that are used, in bytes of JSON.
pub const MAX_SOURCE_MAP_BYTES: usize = 8 << 20;
/// JavaScript or Python modules of one component.
pub const MAX_MODULES: usize = 2000;
/// Components of one app.
pub const MAX_COMPONENTS_PER_APP: usize = 64;
/// Largest manifest of a deploy, in bytes of JSON.
pub const MAX_MANIFEST_BYTES: usize = 256 << 10;
/// Apps of one tenant.
pub const MAX_APPS_PER_TENANT: usize = 1000;
/// Deploys that may be read or compiled at once; further ones wait.
pub const MAX_DEPLOYS_AT_ONCE: usize = 2;
/// Longest time the code of all components of an app may take to start and say what it defines, at a deploy.
pub const DEPLOY_GUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest wait for the head of a request, and longest an idle connection is kept.
pub const HEAD_READ_TIMEOUT: Duration = Duration::from_secs(60);
/// Longest pause in the body of a request.
pub const BODY_READ_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest time that a client may leave a piece of a large answer or of an app's unread, and that an answer is made which
/// nobody reads.
pub const ANSWER_READ_TIMEOUT: Duration = Duration::from_secs(60);
/// Tokens of one tenant, and of the node itself.
pub const MAX_TOKENS_PER_TENANT: usize = 1000;
/// Outbound requests under way, of all guests together: each is a connection, and so an open file.
pub const MAX_OUTBOUND_REQUESTS: usize = 4096;
/// Those of one tenant other than the default one.
pub const MAX_OUTBOUND_REQUESTS_PER_TENANT: usize = 1024;
/// Names of hosts that are looked up at once; further ones wait. Each look-up takes a thread of those that also write
/// checkpoints.
pub const MAX_LOOKUPS: usize = 64;
/// Those of one tenant other than the default one.
pub const MAX_LOOKUPS_PER_TENANT: usize = 16;
/// Deploys of one tenant that may wait for their turn.
pub const MAX_WAITING_DEPLOYS: u32 = 8;
/// Tenants of one node.
pub const MAX_TENANTS: usize = 10_000;
/// Longest name that a token is given, in bytes.
pub const MAX_TOKEN_NAME_BYTES: usize = 100;
/// What a tenant may use unless an operator says otherwise. The default tenant has no limits.
pub const DEFAULT_TENANT_LIMITS: crate::TenantLimits = crate::TenantLimits {
    memory: Some(2 << 30),
    concurrency: Some(1024),
    rate: Some(10_000),
    storage: Some(10 << 30),
};

//! The address, the connections and their limits. The only place of the server that starts tasks:
//! one per connection, tracked, so that shutdown can wait for them.

use crate::caller;
use crate::forwarded::Arrival;
use crate::link::{self, LinkHandler};
use crate::metrics::{HttpStats, registry};
use crate::origin;
use crate::protection::{Protection, check_listen};
use crate::reply::problem;
use crate::request::no_strange_query;
use crate::routes::{self, serve};
use crate::sending::{self, Permits};
use crate::state::AppState;
use crate::tls::{self, Protocol};
use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response};
use eddy_link::tls::TlsServer;
use eddy_link::{ByteStream, Transport};
use eddy_node::Node;
use eddy_types::limits::{HEAD_READ_TIMEOUT, MAX_CONNECTIONS, MAX_IN_FLIGHT, MAX_LINKS};
use eddy_types::{EddyError, ErrorCode};
use futures::FutureExt as _;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::error::Elapsed;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

/// Pause after the system refused a connection (out of file descriptors).
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// HTTP/2: how often a silent client is asked whether it is there.
const PING_EVERY: Duration = Duration::from_secs(30);
/// HTTP/2: requests one connection may have open.
const STREAMS_PER_CONNECTION: u32 = 1024;

/// What everybody may ask.
const OPEN: [&str; 3] = ["/healthz", "/readyz", "/v1/openapi.json"];

/// A bound listener in front of a node.
pub struct Server {
    listener: TcpListener,
    tls: Option<TlsServer>,
    shared: Arc<Connections>,
}

/// What every connection needs.
struct Connections {
    state: AppState,
    router: Router,
    stats: Arc<HttpStats>,
    in_flight: Arc<Semaphore>,
    /// Links stay as long as their clients like: they must leave room for HTTP.
    links: Semaphore,
    /// What the handler of each link is made of.
    link: LinkHandler,
    /// A proxy is in front, which adds TLS.
    proxied: bool,
    /// Native links are to end when they have answered what they took.
    stopping: CancellationToken,
}

impl Server {
    /// Binds to `address`; port 0 takes a free port. `encrypted` says that connections are, or that
    /// somebody in front sees to it.
    ///
    /// Errors: `insecure-listen`, `listen-failed`.
    pub async fn bind(
        address: SocketAddr,
        node: Arc<Node>,
        encrypted: bool,
    ) -> Result<Self, EddyError> {
        let protection = Protection {
            tokens: node.demands_tokens(),
            encrypted,
        };
        check_listen(address, protection)?;
        let listener = TcpListener::bind(address).await.map_err(|error| {
            EddyError::new(
                ErrorCode::ListenFailed,
                format!("cannot listen on {address}: {error}"),
            )
            .hint("Stop what listens there, or choose another address with --listen.")
        })?;
        let stats = Arc::new(HttpStats::default());
        let metrics = registry(node.clone(), stats.clone());
        let state = AppState::new(node);
        let router = routes::router(state.clone(), metrics);
        let in_flight = Arc::new(Semaphore::new(MAX_IN_FLIGHT));
        let link = LinkHandler::new(state.clone(), stats.clone(), in_flight.clone());
        Ok(Self {
            listener,
            tls: None,
            shared: Arc::new(Connections {
                state,
                router,
                stats,
                in_flight,
                links: Semaphore::new(MAX_LINKS),
                link,
                proxied: encrypted,
                stopping: CancellationToken::new(),
            }),
        })
    }

    /// Speaks TLS only, HTTP and the native link alike.
    #[must_use]
    pub fn secured(mut self, tls: TlsServer) -> Self {
        self.tls = Some(tls.also(tls::HTTP));
        self
    }

    /// The address that is really listened on.
    pub fn local_addr(&self) -> Result<SocketAddr, EddyError> {
        self.listener
            .local_addr()
            .map_err(|error| EddyError::internal(format!("the listener has no address: {error}")))
    }

    /// Serves until `stop` ends, then takes no more connections, lets every connection finish the
    /// requests it has, and returns when all are closed. Drop it to give up waiting.
    pub async fn serve(self, stop: impl Future<Output = ()>) {
        let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let tasks = TaskTracker::new();
        let graceful = GracefulShutdown::new();
        let accepting = async {
            loop {
                let slot = slots
                    .clone()
                    .acquire_owned()
                    .await
                    .expect("slots are never closed");
                match self.listener.accept().await {
                    Ok((stream, peer)) => {
                        let shared = self.shared.clone();
                        let tls = self.tls.clone();
                        let arrival = Arrival {
                            peer: Some(peer.ip()),
                            secure: tls.is_some(),
                            proxied: shared.proxied && tls.is_none(),
                        };
                        let watcher = graceful.watcher();
                        tasks.spawn(shared.connection(stream, tls, slot, watcher, arrival));
                    }
                    Err(error) => {
                        tracing::warn!(%error, "a connection could not be accepted");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                }
            }
        };
        tokio::select! {
            () = accepting => {}
            () = stop => {}
        }
        drop(self.listener);
        self.shared.stopping.cancel();
        graceful.shutdown().await;
        tasks.close();
        tasks.wait().await;
    }
}

impl Connections {
    async fn connection(
        self: Arc<Self>,
        stream: TcpStream,
        tls: Option<TlsServer>,
        _slot: OwnedSemaphorePermit,
        watcher: Watcher,
        arrival: Arrival,
    ) {
        // Answers are small and must not wait for one another.
        let _ = stream.set_nodelay(true);
        let Some(tls) = tls else {
            match self.in_time(tls::plain(&stream)).await {
                Some(Ok(Ok(Protocol::Link))) => self.link(stream.into()).await,
                Some(Ok(Ok(protocol))) => self.http(protocol, stream, watcher, arrival).await,
                Some(Ok(Err(_)) | Err(_)) | None => {}
            }
            return;
        };
        let Some(opened) = self.in_time(tls::open(&tls, stream)).await else {
            return;
        };
        match opened {
            Ok(Ok((Protocol::Link, stream))) => self.link(Transport::other(stream)).await,
            Ok(Ok((protocol, stream))) => self.http(protocol, stream, watcher, arrival).await,
            Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
            Err(_) => tracing::debug!("a TLS handshake took too long"),
        }
    }

    /// What a client does before it asks for anything: it ends when the node stops, too.
    async fn in_time<T>(&self, greeting: impl Future<Output = T>) -> Option<Result<T, Elapsed>> {
        tokio::select! {
            greeted = tokio::time::timeout(HEAD_READ_TIMEOUT, greeting) => Some(greeted),
            () = self.stopping.cancelled() => None,
        }
    }

    /// Serves HTTP until the connection ends.
    async fn http(
        self: Arc<Self>,
        protocol: Protocol,
        stream: impl ByteStream,
        watcher: Watcher,
        arrival: Arrival,
    ) {
        let _open = Gauge::up(&self.stats.connections);
        let io = TokioIo::new(stream);
        let this = self.clone();
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(arrival);
            let this = this.clone();
            async move { this.answer(request).await }
        });
        let ended = if protocol == Protocol::Http2 {
            let connection = http2_builder().serve_connection(io, service);
            watcher.watch(connection).await
        } else {
            let connection = http1_builder().serve_connection(io, service);
            watcher.watch(connection).await
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a connection ended early");
        }
    }

    /// Serves a native link until it ends, or the node stops.
    async fn link(&self, transport: Transport) {
        let Ok(_slot) = self.links.try_acquire() else {
            return tracing::warn!("a native link was closed: {MAX_LINKS} are open");
        };
        let _open = Gauge::up(&self.stats.links);
        let config = eddy_link::Config::default();
        let handler = Arc::new(self.link.clone());
        let (mut serving, drain) = eddy_link::serve(transport, handler, &config);
        let ended = tokio::select! {
            ended = &mut serving => ended,
            () = self.stopping.cancelled() => {
                drain.start();
                serving.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a native link ended early");
        }
    }

    /// Answers one request; a panic in a handler becomes an answer too.
    async fn answer(&self, mut request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
        let _open = Gauge::up(&self.stats.in_flight);
        let response = match self.admit(&mut request) {
            Ok(permits) => {
                let handled = self.router.clone().oneshot(request);
                match AssertUnwindSafe(handled).catch_unwind().await {
                    Ok(Ok(response)) => match permits {
                        Some(permits) => sending::send(&self.state.node, response, permits),
                        None => response,
                    },
                    Ok(Err(never)) => match never {},
                    Err(_) => {
                        tracing::error!("a handler panicked; the panic is in the log above");
                        problem(&EddyError::internal("the handler of this request failed"))
                    }
                }
            }
            Err(error) => problem(&error),
        };
        self.stats.answered(response.status().as_u16());
        Ok(response)
    }

    /// Whether no foreign page asks, the bearer is known, and there is room. Health has always some,
    /// and needs no token; metrics has some, too. What an app answers keeps its room by itself.
    fn admit(&self, request: &mut Request<Incoming>) -> Result<Option<Permits>, EddyError> {
        let node = &self.state.node;
        if !node.demands_tokens() {
            origin::check(request.uri(), request.headers())?;
        }
        let path = request.uri().path().to_owned();
        let path = path.as_str();
        if OPEN.contains(&path) {
            return Ok(None);
        }
        if path.starts_with(serve::PREFIX) {
            self.admit_to_app(request)?;
            return Ok(None);
        }
        let session = caller::session(node, request.headers())?;
        let mut permits = None;
        if path.starts_with("/v1/") {
            no_strange_query(request.method(), request.uri())?;
            let permit = Arc::new(session.admit()?);
            // Work that goes on without its client takes it along.
            request.extensions_mut().insert(permit.clone());
            let place = self.in_flight.clone().try_acquire_owned();
            permits = Some(Permits {
                _tenant: permit,
                _node: place.map_err(|_| link::full())?,
            });
        }
        request.extensions_mut().insert(session);
        Ok(permits)
    }
}

impl Connections {
    /// The same for a request that an app answers: its room is kept until the answer has gone out.
    fn admit_to_app(&self, request: &mut Request<Incoming>) -> Result<(), EddyError> {
        let node = &self.state.node;
        let session = caller::session_with_an_app(node, request.headers())?;
        let permit = Arc::new(session.admit()?);
        let place = self.in_flight.clone().try_acquire_owned();
        let place = serve::InFlight::new(place.map_err(|_| link::full())?);
        let extensions = request.extensions_mut();
        extensions.insert(permit);
        extensions.insert(place);
        extensions.insert(session);
        Ok(())
    }
}

fn http1_builder() -> http1::Builder {
    let mut builder = http1::Builder::new();
    // The time-out also ends connections that idle between requests. Not `pipeline_flush`: with it hyper takes all of a body
    // into its own memory, whether the client reads or not.
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_READ_TIMEOUT);
    builder
}

fn http2_builder() -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_EVERY)
        .max_concurrent_streams(STREAMS_PER_CONNECTION);
    builder
}

/// Counts something while it lives.
struct Gauge<'a>(&'a std::sync::atomic::AtomicU64);

impl<'a> Gauge<'a> {
    fn up(gauge: &'a std::sync::atomic::AtomicU64) -> Self {
        gauge.fetch_add(1, Relaxed);
        Self(gauge)
    }
}

impl Drop for Gauge<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

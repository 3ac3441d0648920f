//! One port, TLS, and all that is spoken over it: agreed on by ALPN, or told by the first bytes.

use crate::wire::Running;
use eddy_link::tls::{ALPN, TlsClient};
use eddy_link::{Config, PREFACE};
use eddy_server::TlsServer;
use std::io;
use std::sync::Arc;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

const GET: &[u8] = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
/// The preface of HTTP/2 and an empty SETTINGS frame.
const HTTP_2: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
const SETTINGS: u8 = 4;

/// A server, and the certificate that its clients trust.
async fn start() -> (Running, String) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("made");
    let (chain, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    let tls = TlsServer::new(chain.as_bytes(), key.as_bytes()).expect("they belong together");
    (Running::start_with(Some(tls)).await, chain)
}

async fn connect(
    running: &Running,
    roots: &str,
    protocols: &[&[u8]],
) -> io::Result<TlsStream<TcpStream>> {
    let mut store = RootCertStore::empty();
    let root = CertificateDer::from_pem_slice(roots.as_bytes()).expect("a certificate");
    store.add(root).expect("a root");
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider has them")
        .with_root_certificates(store)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    let name = ServerName::try_from("localhost").expect("a name");
    let stream = running.connect().await;
    TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
}

/// What comes first after `bytes` were sent.
async fn first(stream: &mut TlsStream<TcpStream>, bytes: &[u8]) -> [u8; 9] {
    stream.write_all(bytes).await.expect("it goes out");
    let mut answer = [0; 9];
    stream.read_exact(&mut answer).await.expect("it answers");
    answer
}

#[tokio::test]
async fn protocols_are_told_apart() {
    let (running, roots) = start().await;
    type Protocols<'a> = &'a [&'a [u8]];
    let cases: [(Protocols<'_>, &[u8], &[u8]); 5] = [
        (&[b"http/1.1"], GET, b"HTTP/1.1 "),
        (&[], GET, b"HTTP/1.1 "),
        (&[b"http/0.9", b"http/1.1"], GET, b"HTTP/1.1 "),
        (&[b"h2", b"http/1.1"], HTTP_2, b""),
        (&[], HTTP_2, b""),
    ];
    for (protocols, bytes, begins) in cases {
        let mut stream = connect(&running, &roots, protocols).await.expect("shaken");
        let answer = first(&mut stream, bytes).await;
        match begins {
            b"" => assert_eq!(answer[3], SETTINGS, "{protocols:?}: {answer:?}"),
            begins => assert_eq!(answer, begins, "{protocols:?}"),
        }
    }
    // A link's first frame is HELLO, kind 1.
    for protocols in [&[ALPN][..], &[]] {
        let mut stream = connect(&running, &roots, protocols).await.expect("shaken");
        let preface = &PREFACE[..];
        let answer = first(&mut stream, preface).await;
        assert_eq!(answer[4], 1, "{protocols:?}: {answer:?}");
    }
}

#[tokio::test]
async fn what_is_not_spoken_is_refused() {
    let (running, roots) = start().await;
    assert!(connect(&running, &roots, &[b"smtp"]).await.is_err());
    let mut plain = running.connect().await;
    plain.write_all(GET).await.expect("it goes out");
    let mut answer = Vec::new();
    // Whether the last word is an alert or a reset, it is no answer.
    let _ = plain.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP/"), "{answer:?}");
    let mut stream = connect(&running, &roots, &[]).await.expect("still serves");
    assert_eq!(&first(&mut stream, GET).await, b"HTTP/1.1 ");
}

#[tokio::test]
async fn a_stop_waits_for_links_but_not_for_handshakes() {
    let (mut running, roots) = start().await;
    let silent = running.connect().await;
    let client = TlsClient::with_roots(roots.as_bytes()).expect("roots");
    let stream = client.connect("localhost", running.connect().await);
    let (link, linking) = eddy_link::open(stream.await.expect("shaken"), &Config::default());
    #[allow(clippy::disallowed_methods, reason = "a test's own task")]
    let linking = tokio::spawn(linking);
    link.greeted().await.expect("a node");
    running.stop.take().expect("it runs").send(()).expect("ok");
    linking.await.expect("no panic").expect("an orderly end");
    running.task.await.expect("no panic");
    drop(silent);
}

//! A link over TLS, and certificates that are not trusted.

use crate::support::{echo, large, serve, sockets};
use eddy_link::Config;
use eddy_link::tls::{TlsClient, TlsServer};
use eddy_types::ErrorCode;

fn certificate() -> (String, TlsServer) {
    let names = vec!["localhost".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).expect("a certificate");
    let (chain, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    let server = TlsServer::new(chain.as_bytes(), key.as_bytes()).expect("they belong together");
    (chain, server)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_go_over_tls() {
    let (roots, server) = certificate();
    let trusting = TlsClient::with_roots(roots.as_bytes()).expect("roots");
    let (near, far) = sockets().await;
    let (near, far) = tokio::join!(trusting.connect("localhost", near), server.accept(far));
    let config = Config::default();
    let served = serve(far.expect("shaken"), &config);
    let (link, linking) = eddy_link::open(near.expect("shaken"), &config);
    tokio::spawn(linking);
    for size in [0, 1000, 900_000] {
        let reply = echo(&link, large(size)).await.expect("an answer");
        assert!(reply.body == large(size), "{size}");
    }
    let many = (0..50).map(|i| echo(&link, format!("{i}")));
    for (i, reply) in futures::future::join_all(many)
        .await
        .into_iter()
        .enumerate()
    {
        assert_eq!(reply.expect("an answer").body, format!("{i}"));
    }
    served.drain.finish().await;
    served.task.await.expect("no panic").expect("in order");
}

#[tokio::test]
async fn certificates_of_others_are_not_trusted() {
    let (_, server) = certificate();
    let (other, _) = certificate();
    let distrusting = TlsClient::with_roots(other.as_bytes()).expect("roots");
    let (near, far) = sockets().await;
    let (near, far) = tokio::join!(distrusting.connect("localhost", near), server.accept(far));
    assert!(near.is_err() && far.is_err());
    let error = TlsClient::with_roots(b"no certificate").expect_err("no PEM");
    assert_eq!(error.code, ErrorCode::InvalidArgument);
    let error = TlsServer::new(other.as_bytes(), b"no key").expect_err("no PEM");
    assert_eq!(error.code, ErrorCode::InvalidArgument);
}

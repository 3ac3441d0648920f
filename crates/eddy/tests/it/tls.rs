//! A node with a certificate, and clients that trust it or do not.

use crate::binary::{Ran, command, eddy};
use crate::node::{Node, Setup, bench_guest};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};

/// A certificate of its own authority, in files.
struct Pair {
    certificate: PathBuf,
    key: PathBuf,
}

impl Pair {
    fn new(dir: &Path, name: &str) -> Self {
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        let pair = Self {
            certificate: dir.join(name).with_extension("crt"),
            key: dir.join(name).with_extension("key"),
        };
        std::fs::write(&pair.certificate, made.cert.pem()).unwrap();
        std::fs::write(&pair.key, made.signing_key.serialize_pem()).unwrap();
        pair
    }

    fn args(&self) -> Vec<&str> {
        let key = ["--tls-key", self.key.to_str().unwrap()];
        [
            &["--tls-cert", self.certificate.to_str().unwrap()],
            &key[..],
        ]
        .concat()
    }

    fn up(&self, dir: &Path) -> Node {
        let guest = bench_guest();
        let setup = Setup {
            app: Some(&guest),
            args: self.args(),
            ..Setup::default()
        };
        Node::with(&dir.join("data"), &setup)
    }
}

/// `eddy` as a client that trusts the certificates in `ca`.
fn client(url: &str, ca: &Path, args: &[&str]) -> Ran {
    let mut command = command(args);
    command.env("EDDY_URL", url).env("EDDY_TLS_CA", ca);
    let output = command.output().unwrap();
    Ran {
        code: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http_and_calls_go_over_tls() {
    let dir = tempfile::tempdir().unwrap();
    let pair = Pair::new(dir.path(), "node");
    let mut node = pair.up(dir.path());
    assert!(node.url.starts_with("https://127.0.0.1:"), "{}", node.url);
    let ca = pair.certificate.as_path();
    let ran = client(&node.url, ca, &["ls"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let ran = client(&node.url, ca, &["call", "counter/a", "increment"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    // The command would have gone on with HTTP, so ask by the link itself.
    let roots = std::fs::read(ca).unwrap();
    let link = eddy_client::Client::builder(&node.url).tls_roots(roots);
    let link = link.connect().await.unwrap();
    let deleted = link.agent("counter", "a").delete().await;
    assert_eq!(deleted, Ok(()));
    drop(link);
    // By name, and with the option instead of the variable.
    let url = node.url.replace("127.0.0.1", "localhost");
    let option = ["--tls-ca", ca.to_str().unwrap(), "--url", &url, "ls"];
    let ran = eddy(&option);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_eq!(node.terminate().code(), Some(0));
}

#[test]
fn who_does_not_trust_the_certificate_asks_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let pair = Pair::new(dir.path(), "node");
    let other = Pair::new(dir.path(), "other");
    let node = pair.up(dir.path());
    for args in [&["ls"][..], &["call", "counter/a", "increment"]] {
        let ran = client(&node.url, &other.certificate, args);
        assert_eq!((ran.code, &*ran.stdout), (4, ""), "{args:?}");
        assert!(
            ran.stderr.contains("error[node-unreachable]: ")
                && ran.stderr.contains("certificate")
                && ran.stderr.contains("--tls-ca"),
            "{}",
            ran.stderr
        );
    }
}

#[test]
fn without_tls_nothing_is_served_and_nothing_breaks() {
    let dir = tempfile::tempdir().unwrap();
    let pair = Pair::new(dir.path(), "node");
    let node = pair.up(dir.path());
    let address = node.url.strip_prefix("https://").unwrap();
    let plain = format!("http://{address}");
    for args in [&["ls"][..], &["call", "counter/a", "increment"]] {
        let ran = eddy(&[&["--url", &plain], args].concat());
        assert_eq!(ran.code, 4, "{}", ran.stderr);
        assert!(ran.stderr.contains("node-unreachable"), "{}", ran.stderr);
    }
    for bytes in [
        &b"GET /healthz HTTP/1.1\r\n\r\n"[..],
        b"\0eddy1\r\n",
        b"\x16\x03",
    ] {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(bytes).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(!answer.starts_with(b"HTTP/"), "{answer:?}");
    }
    let ran = client(&node.url, &pair.certificate, &["ls"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
}

#[test]
fn a_bad_certificate_is_told_before_the_node_starts() {
    let dir = tempfile::tempdir().unwrap();
    let pair = Pair::new(dir.path(), "node");
    let other = Pair::new(dir.path(), "other");
    let data = dir.path().join("data");
    let up = [
        "up",
        "--listen",
        "127.0.0.1:0",
        "--data",
        data.to_str().unwrap(),
    ];
    let (certificate, key) = (
        pair.certificate.to_str().unwrap(),
        pair.key.to_str().unwrap(),
    );
    let cases: [(&[&str], &str); 5] = [
        (&["--tls-cert", certificate], "--tls-key <FILE>"),
        (&["--tls-key", key], "--tls-cert <FILE>"),
        (
            &["--tls-cert", certificate, "--tls-key", "/no/such/file"],
            "error[invalid-argument]: --tls-key: the file /no/such/file cannot be read: No such file",
        ),
        (
            &[
                "--tls-cert",
                certificate,
                "--tls-key",
                other.key.to_str().unwrap(),
            ],
            "the private key does not belong to the certificate",
        ),
        (
            &["--tls-cert", key, "--tls-key", key],
            "there is no certificate in the PEM text",
        ),
    ];
    for (args, says) in cases {
        let ran = eddy(&[&up, args].concat());
        assert_eq!(
            (ran.code, &*ran.stdout),
            (2, ""),
            "{args:?}: {}",
            ran.stderr
        );
        assert!(ran.stderr.contains(says), "{args:?}: {}", ran.stderr);
        assert!(!data.exists(), "nothing was made");
    }
    let mut ls = command(&["ls"]);
    let ran = ls.env("EDDY_TLS_CA", "/no/such/file").output().unwrap();
    assert_eq!(ran.status.code(), Some(2));
    // A variable that is set to nothing counts as unset.
    let ran = client(crate::binary::NOBODY, Path::new(""), &["ls"]);
    assert_eq!(ran.code, 4, "{}", ran.stderr);
}

#[test]
fn a_renewed_certificate_is_shown_without_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let pair = Pair::new(dir.path(), "node");
    let node = pair.up(dir.path());
    let old = dir.path().join("old.crt");
    std::fs::copy(&pair.certificate, &old).unwrap();
    assert_eq!(client(&node.url, &old, &["ls"]).code, 0);
    // Half of it first: what does not fit together leaves the one before in place.
    let new = Pair::new(dir.path(), "new");
    std::fs::copy(&new.certificate, &pair.certificate).unwrap();
    std::thread::sleep(std::time::Duration::from_secs(5));
    assert_eq!(client(&node.url, &old, &["ls"]).code, 0);
    std::fs::copy(&new.key, &pair.key).unwrap();
    let shown = (0..300).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(100));
        client(&node.url, &new.certificate, &["ls"]).code == 0
    });
    assert!(shown, "the new one is never shown");
    let distrusted = client(&node.url, &old, &["ls"]);
    assert_eq!(distrusted.code, 4, "{}", distrusted.stderr);
}

//! TLS for either side, by rustls with the ring provider. A link over TLS is written by its driver
//! alone; nothing else differs. A port that speaks HTTP too is told by ALPN which of them a client
//! wants; who speaks HTTP there is not known here.

use crate::transport::{ByteStream, Transport};
use eddy_types::{EddyError, ErrorCode};
use std::io;
use std::sync::{Arc, PoisonError, RwLock};
use tokio::net::TcpStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// The name of the link in ALPN.
pub const ALPN: &[u8] = b"eddy/1";

/// The client's half of TLS: which certificates it trusts. Cheap to clone.
#[derive(Clone)]
pub struct TlsClient(TlsConnector);

impl TlsClient {
    /// Trusts certificates signed by one of the roots in `pem`.
    ///
    /// # Errors
    /// `invalid-argument` when there is no root in it, or one does not parse.
    pub fn with_roots(pem: &[u8]) -> Result<Self, EddyError> {
        let mut roots = RootCertStore::empty();
        for certificate in certificates(pem)? {
            roots
                .add(certificate)
                .map_err(|error| bad(&format!("a root certificate is not valid: {error}")))?;
        }
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| bad(&error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![ALPN.to_vec()];
        Ok(Self(TlsConnector::from(Arc::new(config))))
    }

    /// Shakes hands over `stream` with the server called `name`, a DNS name or an IP address.
    ///
    /// # Errors
    /// `InvalidInput` for a bad name; what rustls says of a certificate it does not trust.
    pub async fn connect(&self, name: &str, stream: TcpStream) -> io::Result<Transport> {
        let _ = stream.set_nodelay(true);
        let name = ServerName::try_from(name.to_owned())
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let stream = self.0.connect(name, stream).await?;
        Ok(Transport::other(stream))
    }
}

impl std::fmt::Debug for TlsClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TlsClient")
    }
}

/// The server's half of TLS: its certificate. Cheap to clone; clones show the same one.
#[derive(Clone)]
pub struct TlsServer(Arc<RwLock<Arc<ServerConfig>>>);

/// A stream after its handshake.
#[derive(Debug)]
pub struct Accepted<S> {
    /// What goes over TLS.
    pub stream: S,
    /// What the two sides agreed to speak, when the client said what it speaks.
    pub protocol: Option<Vec<u8>>,
}

impl TlsServer {
    /// Shows the certificates in `chain`, the server's own first, with the private key in `key`.
    /// Both are PEM.
    ///
    /// # Errors
    /// `invalid-argument` when one does not parse, or they do not belong together.
    pub fn new(chain: &[u8], key: &[u8]) -> Result<Self, EddyError> {
        let config = server_config(chain, key, vec![ALPN.to_vec()])?;
        Ok(Self(Arc::new(RwLock::new(Arc::new(config)))))
    }

    /// Shows another certificate from now on, to connections that come.
    ///
    /// # Errors
    /// As [`Self::new`]; the one before stays then.
    pub fn renew(&self, chain: &[u8], key: &[u8]) -> Result<(), EddyError> {
        let spoken = self.config().alpn_protocols.clone();
        let config = server_config(chain, key, spoken)?;
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
        Ok(())
    }

    fn config(&self) -> Arc<ServerConfig> {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Also speaks `protocols`, by their names in ALPN, the best first. A client that names only
    /// others is refused in its handshake.
    #[must_use]
    pub fn also(self, protocols: &[&[u8]]) -> Self {
        let mut config = (*self.config()).clone();
        let more = protocols.iter().map(|protocol| protocol.to_vec());
        config.alpn_protocols.extend(more);
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
        self
    }

    /// Shakes hands over `stream`. Bound it in time: a client may say nothing.
    ///
    /// # Errors
    /// What rustls says of the client's bytes.
    pub async fn accept(&self, stream: TcpStream) -> io::Result<Transport> {
        let accepted = self.accept_any(stream).await?;
        Ok(Transport::other(accepted.stream))
    }

    /// [`Self::accept`], for who speaks other protocols too.
    ///
    /// # Errors
    /// As [`Self::accept`].
    pub async fn accept_any(
        &self,
        stream: TcpStream,
    ) -> io::Result<Accepted<impl ByteStream + use<>>> {
        let _ = stream.set_nodelay(true);
        let stream = TlsAcceptor::from(self.config()).accept(stream).await?;
        let protocol = stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec);
        Ok(Accepted { stream, protocol })
    }
}

fn server_config(
    chain: &[u8],
    key: &[u8],
    spoken: Vec<Vec<u8>>,
) -> Result<ServerConfig, EddyError> {
    let chain = certificates(chain)?;
    let key = PrivateKeyDer::from_pem_slice(key)
        .map_err(|error| bad(&format!("the private key cannot be read: {error}")))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| bad(&error.to_string()))?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => mismatch(),
            error => bad(&format!("certificate and key cannot be used: {error}")),
        })?;
    config.alpn_protocols = spoken;
    Ok(config)
}

impl std::fmt::Debug for TlsServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TlsServer")
    }
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, EddyError> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) => Err(bad("there is no certificate in the PEM text")),
        Err(error) => Err(bad(&format!("a certificate cannot be read: {error}"))),
    }
}

fn mismatch() -> EddyError {
    let detail = "the private key does not belong to the certificate";
    EddyError::new(ErrorCode::InvalidArgument, detail)
        .hint("Of several certificates, the server's own comes first.")
}

fn bad(detail: &str) -> EddyError {
    EddyError::new(ErrorCode::InvalidArgument, detail)
        .hint("Give PEM text: -----BEGIN CERTIFICATE----- and so on.")
}

//! TLS for either side, by rustls with the ring provider. A link over TLS is written by its driver
//! alone; nothing else differs.

use crate::transport::Transport;
use eddy_types::{EddyError, ErrorCode};
use std::io;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};

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
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| bad(&error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
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

/// The server's half of TLS: its certificate. Cheap to clone.
#[derive(Clone)]
pub struct TlsServer(TlsAcceptor);

impl TlsServer {
    /// Shows the certificates in `chain`, the server's own first, with the private key in `key`.
    /// Both are PEM.
    ///
    /// # Errors
    /// `invalid-argument` when one does not parse, or they do not belong together.
    pub fn new(chain: &[u8], key: &[u8]) -> Result<Self, EddyError> {
        let chain = certificates(chain)?;
        let key = PrivateKeyDer::from_pem_slice(key)
            .map_err(|error| bad(&format!("the private key cannot be read: {error}")))?;
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| bad(&error.to_string()))?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(|error| bad(&format!("certificate and key do not do: {error}")))?;
        Ok(Self(TlsAcceptor::from(Arc::new(config))))
    }

    /// Shakes hands over `stream`. Bound it in time: a client may say nothing.
    ///
    /// # Errors
    /// What rustls says of the client's bytes.
    pub async fn accept(&self, stream: TcpStream) -> io::Result<Transport> {
        let _ = stream.set_nodelay(true);
        let stream = self.0.accept(stream).await?;
        Ok(Transport::other(stream))
    }
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

fn bad(detail: &str) -> EddyError {
    EddyError::new(ErrorCode::InvalidArgument, detail)
        .hint("Give PEM text: -----BEGIN CERTIFICATE----- and so on.")
}

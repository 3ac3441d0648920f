//! The node's certificate: read at the start, and again whenever its files change, so that a renewed
//! one needs no restart. Connections that are open keep the one they began with.

use crate::input;
use eddy_server::TlsServer;
use eddy_types::EddyError;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// The files of a certificate, and what the node shows of them.
pub(crate) struct Certificate {
    chain: PathBuf,
    key: PathBuf,
    server: TlsServer,
    seen: Seen,
}

/// What tells that a file is another one, or has other content.
type Seen = [Option<(u64, i64, i64, u64)>; 2];

impl Certificate {
    /// Reads both files.
    ///
    /// # Errors
    /// `invalid-argument` with the options' names.
    pub(crate) fn read(chain: &Path, key: &Path) -> Result<Self, EddyError> {
        let seen = seen(chain, key);
        let (chain_pem, key_pem) = pems(chain, key)?;
        let server = TlsServer::new(&chain_pem, &key_pem);
        Ok(Self {
            server: server.map_err(|error| named(chain, key, error))?,
            chain: chain.to_owned(),
            key: key.to_owned(),
            seen,
        })
    }

    /// What the node shows, now and after each change.
    pub(crate) fn server(&self) -> TlsServer {
        self.server.clone()
    }

    /// Reads the files again whenever they change. Ends never.
    pub(crate) async fn keep_fresh(&mut self) {
        let mut told = None;
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let now = seen(&self.chain, &self.key);
            if now == self.seen {
                continue;
            }
            // One file may be written before the other: what does not fit together now may do so at
            // the next look.
            match self.renew() {
                Ok(()) => {
                    self.seen = now;
                    tracing::info!("the certificate was read again");
                }
                Err(_) if told.replace(now) == Some(now) => {}
                Err(error) => tracing::warn!(
                    code = %error.code,
                    "the changed certificate cannot be used, the one before stays: {}", error.detail
                ),
            }
        }
    }

    fn renew(&self) -> Result<(), EddyError> {
        let (chain, key) = pems(&self.chain, &self.key)?;
        let renewed = self.server.renew(&chain, &key);
        renewed.map_err(|error| named(&self.chain, &self.key, error))
    }
}

fn pems(chain: &Path, key: &Path) -> Result<(Vec<u8>, Vec<u8>), EddyError> {
    Ok((
        input::pem(chain, "--tls-cert")?,
        input::pem(key, "--tls-key")?,
    ))
}

fn named(chain: &Path, key: &Path, error: EddyError) -> EddyError {
    let (chain, key) = (chain.display(), key.display());
    let detail = format!("--tls-cert {chain}, --tls-key {key}: {}", error.detail);
    EddyError { detail, ..error }
}

fn seen(chain: &Path, key: &Path) -> Seen {
    [chain, key].map(|path| {
        // Links are followed: certificate managers switch one.
        let found = fs::metadata(path).ok()?;
        Some((found.ino(), found.mtime(), found.mtime_nsec(), found.size()))
    })
}

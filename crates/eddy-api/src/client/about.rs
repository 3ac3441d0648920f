//! What a node says of itself.

use super::Client;
use eddy_types::EddyError;
use reqwest::Method;
use serde::Deserialize;

/// The part of `/v1/openapi.json` that names the version.
#[derive(Deserialize)]
struct Description {
    info: Info,
}

#[derive(Deserialize)]
struct Info {
    version: String,
}

impl Client {
    /// The version of the node.
    ///
    /// # Errors
    /// `node-unreachable`: also when what answers there is no node.
    pub async fn version(&self) -> Result<String, EddyError> {
        let request = self.request(Method::GET, &["openapi.json"])?;
        let description: Description = self.document(request).await?;
        Ok(description.info.version)
    }
}

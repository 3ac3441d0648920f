//! What `POST /v1/apps` takes: the manifest and the code, in one JSON document.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use utoipa::ToSchema;

/// An app to deploy.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeployRequest {
    /// What `eddy.toml` says, as JSON with the same keys.
    #[schema(value_type = Object)]
    pub manifest: serde_json::Value,
    /// The code, named as in the manifest.
    pub components: Vec<DeployComponent>,
}

/// The code of one component.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum DeployComponent {
    /// A WebAssembly component.
    Wasm {
        /// Its name in the manifest.
        name: String,
        /// The binary, in base64 (RFC 4648, with padding).
        #[schema(value_type = String, content_encoding = "base64")]
        wasm: Base64,
    },
    /// JavaScript modules, types stripped; the first is the entry.
    Js {
        /// Its name in the manifest.
        name: String,
        /// The modules.
        modules: Vec<Module>,
    },
    /// Python modules; the first is the entry.
    Python {
        /// Its name in the manifest.
        name: String,
        /// The modules.
        modules: Vec<PythonModule>,
        /// The Python runtime that runs them, a WebAssembly component: SHA-256 of its bytes, in hex.
        runtime: String,
        /// The runtime's bytes, in base64. Left out when the node may have them: without them it answers
        /// `unknown-runtime` when it has not.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(value_type = Option<String>, content_encoding = "base64")]
        wasm: Option<Base64>,
    },
}

/// One Python module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PythonModule {
    /// What it is imported as: `shop.cart`.
    pub name: String,
    /// The path that tracebacks name, relative to the project: `shop/cart.py`.
    pub path: String,
    /// Python.
    pub source: String,
}

/// One JavaScript module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Module {
    /// The path that stack traces name, relative to the project.
    pub name: String,
    /// JavaScript.
    pub source: String,
    /// Source map (version 3, JSON) back to what the user wrote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_map: Option<String>,
}

/// Bytes that travel as base64 text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Base64(pub Bytes);

impl Serialize for Base64 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Base64 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        STANDARD
            .decode(text)
            .map(|bytes| Self(bytes.into()))
            .map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn components_keep_their_form() {
        let request = DeployRequest {
            manifest: serde_json::json!({"app": {"name": "shop"}}),
            components: vec![
                DeployComponent::Wasm {
                    name: "a".into(),
                    wasm: Base64(Bytes::from_static(b"\0asm\xff")),
                },
                DeployComponent::Js {
                    name: "b".into(),
                    modules: vec![Module {
                        name: "b.ts".into(),
                        source: "export {}".into(),
                        source_map: None,
                    }],
                },
            ],
        };
        insta::assert_json_snapshot!(request);
        let text = serde_json::to_string(&request).expect("it is JSON");
        let back: DeployRequest = serde_json::from_str(&text).expect("it reads its own form");
        assert!(matches!(
            &back.components[0],
            DeployComponent::Wasm { wasm, .. } if wasm.0 == b"\0asm\xff"[..]
        ));
    }

    #[test]
    fn unknown_fields_are_refused() {
        let text =
            r#"{"manifest":{},"components":[{"kind":"wasm","name":"a","wasm":"AA==","x":1}]}"#;
        assert!(serde_json::from_str::<DeployRequest>(text).is_err());
    }
}

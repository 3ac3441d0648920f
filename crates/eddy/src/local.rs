//! A node inside this process: how `eddy up` and `eddy test` set one up, and what they deploy on it.

use eddy_bundle::{Bundle, BundledCode};
use eddy_node::{Code, Deployment, Module, NodeConfig};
use std::collections::BTreeMap;
use std::path::Path;

/// A secret NAME is what this and NAME is set to in the node's environment.
const SECRET_PREFIX: &str = "EDDY_SECRET_";

/// A node over `data`, with the secrets of the environment.
pub(crate) fn config(data: &Path) -> NodeConfig {
    let secrets: BTreeMap<String, String> = std::env::vars_os()
        .filter_map(|(name, value)| {
            let name = name.into_string().ok()?;
            let name = name.strip_prefix(SECRET_PREFIX)?;
            Some((name.to_owned(), value.into_string().ok()?))
        })
        .collect();
    NodeConfig {
        secrets,
        ..NodeConfig::new(data)
    }
}

/// A bundle as a node takes it.
pub(crate) fn deployment(bundle: Bundle) -> Deployment {
    let components = bundle.components.into_iter();
    let components = components.map(|component| (component.name, code(component.code)));
    Deployment {
        components: components.collect(),
        manifest: bundle.manifest,
    }
}

/// The code of a component as a node takes it.
pub(crate) fn code(code: BundledCode) -> Code {
    match code {
        BundledCode::Wasm(bytes) => Code::Wasm(bytes.into()),
        BundledCode::Js { modules } => {
            let modules = modules.into_iter().map(|module| Module {
                name: module.name,
                source: module.source,
                source_map: module.source_map,
            });
            Code::Js(modules.collect())
        }
    }
}

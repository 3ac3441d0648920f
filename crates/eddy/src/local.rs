//! A node inside this process: how `eddy up` and `eddy test` set one up, and what they deploy on it.

use crate::exit::Failed;
use crate::output::Output;
use crate::python::{self, Runtime};
use eddy_bundle::{Bundle, BundledCode};
use eddy_node::{Code, Deployment, Module, NodeConfig, PythonModule};
use eddy_types::EddyError;
use eddy_types::manifest::SECRET_PREFIX;
use std::collections::BTreeMap;
use std::path::Path;

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

/// A bundle as a node takes it. A Python app brings its runtime, which is made when it is missing.
pub(crate) async fn deployment(bundle: Bundle, output: &Output) -> Result<Deployment, Failed> {
    let runtime = python::runtime_for(&bundle, output).await?;
    let components = bundle.components.into_iter();
    let components = components.map(|component| {
        let code = code(component.code, runtime.as_ref())?;
        Ok((component.name, code))
    });
    Ok(Deployment {
        components: components.collect::<Result<_, EddyError>>()?,
        manifest: bundle.manifest,
    })
}

/// The code of a component as a node takes it.
pub(crate) fn code(code: BundledCode, runtime: Option<&Runtime>) -> Result<Code, EddyError> {
    Ok(match code {
        BundledCode::Wasm(bytes) => Code::Wasm(bytes.into()),
        BundledCode::Python { modules } => {
            let runtime = python::needed(runtime)?;
            let modules = modules.into_iter().map(|module| PythonModule {
                name: module.name,
                path: module.path,
                source: module.source,
            });
            Code::Python {
                modules: modules.collect(),
                runtime: eddy_node::Runtime {
                    digest: runtime.digest,
                    bytes: Some(runtime.bytes()?),
                },
            }
        }
        BundledCode::Js { modules } => {
            let modules = modules.into_iter().map(|module| Module {
                name: module.name,
                source: module.source,
                source_map: module.source_map,
            });
            Code::Js(modules.collect())
        }
    })
}

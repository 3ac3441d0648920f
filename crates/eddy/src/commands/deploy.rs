//! `eddy deploy`: bundle here, compile there.

use crate::args::DeployArgs;
use crate::bundling::on_a_large_stack;
use crate::commands::apps::listed;
use crate::exit::Failed;
use crate::output::Output;
use crate::progress;
use crate::python::{self, Runtime};
use crate::remote::Remote;
use bytes::Bytes;
use eddy_api::{App, Base64, DeployComponent, DeployRequest, Module, PythonModule};
use eddy_bundle::{Bundle, BundledCode, BundledComponent};
use eddy_types::{EddyError, ErrorCode};
use std::path::Path;

pub(crate) async fn run(remote: &Remote, args: &DeployArgs, output: &Output) -> Result<(), Failed> {
    let client = remote.http()?;
    let bundle = bundle(&args.path, output).await?;
    let runtime = python::runtime_for(&bundle, output).await?;
    let mut request = request(bundle, runtime.as_ref())?;
    let app = {
        let _progress = progress::start(output, &format!("Compiling on {}", client.url()));
        match (client.deploy(&request).await, &runtime) {
            (Err(error), Some(runtime)) if error.code == ErrorCode::UnknownRuntime => {
                attach(&mut request, &runtime.bytes()?);
                client.deploy(&request).await?
            }
            (answer, _) => answer?,
        }
    };
    output.data(&app, || listing(&app))?;
    output.say(format_args!(
        "deployed {} version {}",
        app.name, app.version
    ));
    Ok(())
}

/// Bundles a path; what tools say meanwhile is shown to people, and is part of the error for programs.
pub(crate) async fn bundle(path: &Path, output: &Output) -> Result<Bundle, Failed> {
    let progress = progress::start(output, &format!("Bundling {}", path.display()));
    let (path, output) = (path.to_owned(), output.clone());
    let bundle = on_a_large_stack(move || {
        let tell = |line: &str| progress.line(&output, line);
        let tell: Option<&dyn Fn(&str)> = match output.is_json() {
            true => None,
            false => Some(&tell),
        };
        eddy_bundle::bundle_telling(&path, tell)
    });
    Ok(bundle.await??)
}

/// What an app now offers.
pub(crate) fn listing(app: &App) -> String {
    listed(std::slice::from_ref(app))
}

/// Sends a runtime along that the node does not have. It is large, so that is tried without first.
fn attach(request: &mut DeployRequest, runtime: &Bytes) {
    for component in &mut request.components {
        if let DeployComponent::Python { wasm, .. } = component {
            *wasm = Some(Base64(runtime.clone()));
        }
    }
}

fn request(bundle: Bundle, runtime: Option<&Runtime>) -> Result<DeployRequest, EddyError> {
    let manifest = serde_json::value::to_raw_value(&bundle.manifest)
        .map_err(|error| EddyError::internal(format!("a manifest does not encode: {error}")))?;
    Ok(DeployRequest {
        manifest,
        components: bundle
            .components
            .into_iter()
            .map(|part| component(part, runtime))
            .collect::<Result<_, _>>()?,
    })
}

fn component(
    component: BundledComponent,
    runtime: Option<&Runtime>,
) -> Result<DeployComponent, EddyError> {
    let name = component.name.to_string();
    Ok(match component.code {
        BundledCode::Wasm(bytes) => DeployComponent::Wasm {
            name,
            wasm: Base64(bytes.into()),
        },
        BundledCode::Python { modules } => {
            let modules = modules.into_iter().map(|module| PythonModule {
                name: module.name,
                path: module.path,
                source: module.source,
            });
            DeployComponent::Python {
                name,
                modules: modules.collect(),
                runtime: python::needed(runtime)?.digest.to_string(),
                wasm: None,
            }
        }
        BundledCode::Js { modules } => {
            let modules = modules.into_iter().map(|module| Module {
                name: module.name,
                source: module.source,
                source_map: module.source_map,
            });
            DeployComponent::Js {
                name,
                modules: modules.collect(),
            }
        }
    })
}

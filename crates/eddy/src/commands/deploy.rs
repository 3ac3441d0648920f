//! `eddy deploy`: bundle here, compile there.

use crate::args::DeployArgs;
use crate::commands::apps::rows;
use crate::exit::Failed;
use crate::output::{Output, table};
use crate::progress;
use crate::remote::Remote;
use eddy_api::{App, Base64, DeployComponent, DeployRequest, Module};
use eddy_bundle::{Bundle, BundledCode, BundledComponent};
use eddy_types::EddyError;
use std::path::Path;

pub(crate) async fn run(remote: &Remote, args: &DeployArgs, output: &Output) -> Result<(), Failed> {
    let client = remote.http()?;
    let bundle = bundle(&args.path, output)?;
    let request = request(bundle)?;
    let app = {
        let _progress = progress::start(output, &format!("Compiling on {}", client.url()));
        client.deploy(&request).await?
    };
    output.data(&app, || listing(&app))?;
    output.say(format_args!(
        "deployed {} version {}",
        app.name, app.version
    ));
    Ok(())
}

/// Bundles a path; what tools say meanwhile is shown to people, and is part of the error for programs.
pub(crate) fn bundle(path: &Path, output: &Output) -> Result<Bundle, Failed> {
    let progress = progress::start(output, &format!("Bundling {}", path.display()));
    let tell = |line: &str| progress.line(output, line);
    let tell: Option<&dyn Fn(&str)> = match output.is_json() {
        true => None,
        false => Some(&tell),
    };
    Ok(eddy_bundle::bundle_telling(path, tell)?)
}

/// What an app now offers.
pub(crate) fn listing(app: &App) -> String {
    table(&["app", "version", "kind", "name", "methods"], rows(app))
}

fn request(bundle: Bundle) -> Result<DeployRequest, EddyError> {
    let manifest = serde_json::to_value(&bundle.manifest)
        .map_err(|error| EddyError::internal(format!("a manifest does not encode: {error}")))?;
    Ok(DeployRequest {
        manifest,
        components: bundle.components.into_iter().map(component).collect(),
    })
}

fn component(component: BundledComponent) -> DeployComponent {
    let name = component.name.to_string();
    match component.code {
        BundledCode::Wasm(bytes) => DeployComponent::Wasm {
            name,
            wasm: Base64(bytes.into()),
        },
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
    }
}

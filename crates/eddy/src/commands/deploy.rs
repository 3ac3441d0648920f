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

pub(crate) async fn run(remote: &Remote, args: &DeployArgs, output: &Output) -> Result<(), Failed> {
    let client = remote.http()?;
    let bundle = {
        let _progress = progress::start(output, &format!("Bundling {}", args.path.display()));
        eddy_bundle::bundle(&args.path)?
    };
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

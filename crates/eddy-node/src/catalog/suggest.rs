//! "Did you mean": the nearest name of the same tenant, for who may list its names. Only on the way to an
//! error, so that a request that is right pays nothing.

use super::Catalog;
use eddy_types::{AgentId, EddyError, ErrorCode, FunctionId, Name, TenantId, most_similar};

impl Catalog {
    /// A function that was not there.
    pub(crate) fn suggest_function(&self, function: &FunctionId, error: EddyError) -> EddyError {
        if error.code != ErrorCode::UnknownFunction {
            return error;
        }
        let apps = self.apps(&function.tenant);
        let functions = apps.iter().flat_map(|app| &app.spec.functions);
        let taking = functions.filter(|(_, spec)| !spec.serves_http());
        let names = taking.map(|(name, _)| name.as_str());
        suggested(error, function.name.as_str(), names)
    }

    /// An agent type that was not there, or a method that the type does not have.
    pub(crate) fn suggest_method(
        &self,
        agent: &AgentId,
        method: &str,
        error: EddyError,
    ) -> EddyError {
        let (tenant, name) = (agent.tenant(), agent.agent_type());
        if error.code != ErrorCode::UnknownMethod {
            return self.suggest_agent_type(tenant, name, error);
        }
        let apps = self.apps(tenant);
        let found = apps.iter().find_map(|app| app.spec.agents.get(name));
        let methods = found.into_iter().flat_map(|spec| spec.methods.keys());
        suggested(error, method, methods.map(|method| method.as_str()))
    }

    /// An agent type that was not there.
    pub(crate) fn suggest_agent_type(
        &self,
        tenant: &TenantId,
        agent_type: &Name,
        error: EddyError,
    ) -> EddyError {
        if error.code != ErrorCode::UnknownAgentType {
            return error;
        }
        let apps = self.apps(tenant);
        let names = apps.iter().flat_map(|app| app.spec.agents.keys());
        suggested(error, agent_type.as_str(), names.map(Name::as_str))
    }

    /// An app that was not there.
    pub(crate) fn suggest_app(&self, tenant: &TenantId, app: &Name, error: EddyError) -> EddyError {
        let apps = self.apps(tenant);
        let names = apps.iter().map(|app| app.spec.name.as_str());
        suggested(error, app.as_str(), names)
    }
}

/// The error with the nearest of the names before its hint, if one is near enough.
fn suggested<'n>(
    error: EddyError,
    given: &str,
    names: impl IntoIterator<Item = &'n str>,
) -> EddyError {
    let Some(name) = most_similar(given, names) else {
        return error;
    };
    let meant = format!("Did you mean `{name}`?");
    let hint = match &error.hint {
        Some(rest) => format!("{meant} {rest}"),
        None => meant,
    };
    error.hint(hint)
}

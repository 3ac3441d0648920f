//! The assembly of a node: activations, mailboxes, gates, timers, functions, deploys, shutdown.
//! The only crate that spawns tasks, reads the clock and draws random numbers.

mod facade;

pub use facade::*;

use bytes::Bytes;
use eddy_core::MessageId;
use eddy_types::{AgentId, AppSpec, EddyError, FunctionId, MethodName, Name, TenantId};
use std::sync::Arc;
use std::time::Duration;

/// A running node. Cheap to share by `Arc`.
pub struct Node {}

#[allow(clippy::todo, unused_variables, missing_docs)]
impl Node {
    pub async fn start(config: NodeConfig) -> Result<Arc<Self>, EddyError> {
        todo!()
    }
    /// Calls a method of an agent. `Err` when it never reached the agent.
    pub async fn call(
        &self,
        agent: AgentId,
        method: MethodName,
        argument: Bytes,
        options: CallOptions,
    ) -> Result<Reply, EddyError> {
        todo!()
    }
    /// Invokes a function and waits. `Err` when it never reached the function.
    pub async fn invoke(
        &self,
        function: FunctionId,
        argument: Bytes,
        options: CallOptions,
    ) -> Result<Reply, EddyError> {
        todo!()
    }
    /// Accepts an invocation durably and answers with its id; it runs later.
    pub async fn invoke_async(
        &self,
        function: FunctionId,
        argument: Bytes,
        options: CallOptions,
    ) -> Result<MessageId, EddyError> {
        todo!()
    }
    pub async fn delete_agent(&self, agent: AgentId, options: CallOptions) -> Result<(), EddyError> {
        todo!()
    }
    pub fn agent(&self, agent: &AgentId) -> Result<AgentInfo, EddyError> {
        todo!()
    }
    pub fn agents(
        &self,
        tenant: &TenantId,
        agent_type: &Name,
        prefix: &str,
        page: &PageRequest,
    ) -> Result<Page<AgentInfo>, EddyError> {
        todo!()
    }
    pub fn invocation(&self, tenant: &TenantId, id: MessageId) -> Result<InvocationInfo, EddyError> {
        todo!()
    }
    pub fn invocations(&self, tenant: &TenantId, page: &PageRequest) -> Result<Page<InvocationInfo>, EddyError> {
        todo!()
    }
    pub fn dead_letters(&self, tenant: &TenantId, page: &PageRequest) -> Result<Page<DeadLetterInfo>, EddyError> {
        todo!()
    }
    /// Sends a dead letter again as a new send. The id is its text form, as listings show it.
    pub async fn redrive(&self, tenant: &TenantId, id: &str) -> Result<(), EddyError> {
        todo!()
    }
    pub async fn discard(&self, tenant: &TenantId, id: &str) -> Result<(), EddyError> {
        todo!()
    }
    /// Compiles, checks and stores an app as its next version, and switches to it.
    pub async fn deploy(&self, tenant: &TenantId, deployment: Deployment) -> Result<Arc<AppSpec>, EddyError> {
        todo!()
    }
    pub fn apps(&self, tenant: &TenantId) -> Vec<Arc<AppSpec>> {
        todo!()
    }
    pub fn app(&self, tenant: &TenantId, name: &Name) -> Result<Arc<AppSpec>, EddyError> {
        todo!()
    }
    pub async fn delete_app(&self, tenant: &TenantId, name: &Name) -> Result<(), EddyError> {
        todo!()
    }
    /// `Ok` while the node serves; the reason when it does not.
    pub fn ready(&self) -> Result<(), EddyError> {
        todo!()
    }
    pub fn stats(&self) -> NodeStats {
        todo!()
    }
    /// Ends when the node had to stop by itself, with the reason (a failed flush).
    pub async fn stopped(&self) -> Stopped {
        todo!()
    }
    /// Refuses new work, gives running turns the grace, flushes, and closes.
    pub async fn shutdown(&self, grace: Duration) -> Result<(), EddyError> {
        todo!()
    }
}

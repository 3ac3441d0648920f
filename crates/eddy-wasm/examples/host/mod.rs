//! The host of the examples: turns that touch little.

use bytes::Bytes;
use eddy_types::EddyError;
use eddy_wasm::{Entry, HttpRequest, LogLevel, PendingFuture, TurnHost, Value};

/// A host with no state that forgets what is written.
pub struct Nothing;

fn none<T>() -> Result<T, EddyError> {
    Err(EddyError::internal("the benchmark's host has no effects"))
}

impl TurnHost for Nothing {
    fn state_get(&mut self, _: &str) -> Result<Option<Value>, EddyError> {
        Ok(None)
    }
    fn state_set(&mut self, _: String, _: Value) -> Result<(), EddyError> {
        Ok(())
    }
    fn state_delete(&mut self, _: &str) -> Result<bool, EddyError> {
        none()
    }
    fn state_list(&mut self, _: &str, _: Option<&str>, _: usize) -> Result<Vec<Entry>, EddyError> {
        none()
    }
    fn send(&mut self, _: &str, _: &str, _: &str, _: Bytes) -> Result<(), EddyError> {
        none()
    }
    fn set_timer(&mut self, _: &str, _: u64, _: &str, _: Bytes) -> Result<(), EddyError> {
        none()
    }
    fn cancel_timer(&mut self, _: &str) -> Result<bool, EddyError> {
        none()
    }
    fn start_call(
        &mut self,
        _: &str,
        _: &str,
        _: &str,
        _: Bytes,
    ) -> Result<PendingFuture, EddyError> {
        none()
    }
    fn start_invoke(&mut self, _: &str, _: Bytes) -> Result<PendingFuture, EddyError> {
        none()
    }
    fn start_fetch(&mut self, _: HttpRequest) -> Result<PendingFuture, EddyError> {
        none()
    }
    fn start_sleep(&mut self, _: u64) -> Result<PendingFuture, EddyError> {
        none()
    }
    fn invocation(&self) -> String {
        String::new()
    }
    fn now(&self) -> u64 {
        0
    }
    fn random(&mut self) -> u64 {
        0
    }
    fn env(&self, _: &str) -> Option<String> {
        None
    }
    fn log(&mut self, _: LogLevel, _: &str) {}
}

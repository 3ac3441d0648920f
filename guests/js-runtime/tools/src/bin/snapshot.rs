//! Runs the start of the runtime's component once and writes the component that begins where that
//! left off. Clocks stand still and randomness is all zeros, so that the same input gives the same
//! output.

use anyhow::{Context as _, Result};
use std::convert::Infallible;
use std::time::Duration;
use wasmtime::component::{Component, Linker, ResourceTable};
use wasmtime::{Config, Engine, Store};
use wasmtime_wasi::{
    HostMonotonicClock, HostWallClock, WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView,
};
use wasmtime_wizer::Wizer;

struct Frozen;

impl HostWallClock for Frozen {
    fn resolution(&self) -> Duration {
        Duration::from_millis(1)
    }
    fn now(&self) -> Duration {
        Duration::from_secs(1)
    }
}

impl HostMonotonicClock for Frozen {
    fn resolution(&self) -> u64 {
        1
    }
    fn now(&self) -> u64 {
        1
    }
}

struct Zeros;

impl rand::TryRng for Zeros {
    type Error = Infallible;
    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(0)
    }
    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(0)
    }
    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        bytes.fill(0);
        Ok(())
    }
}

struct Host {
    wasi: WasiCtx,
    table: ResourceTable,
}

impl WasiView for Host {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let input = arguments.next().context("usage: snapshot INPUT OUTPUT")?;
    let output = arguments.next().context("usage: snapshot INPUT OUTPUT")?;
    let engine = Engine::new(&Config::new())?;
    let mut wasi = WasiCtxBuilder::new();
    wasi.inherit_stderr().wall_clock(Frozen).monotonic_clock(Frozen);
    wasi.secure_random(Zeros).insecure_random(Zeros).insecure_random_seed(0);
    let host = Host { wasi: wasi.build(), table: ResourceTable::new() };
    let mut store = Store::new(&engine, host);
    let wasm = std::fs::read(&input).with_context(|| format!("cannot read {input}"))?;
    let (snapshot, _) = Wizer::new()
        .init_func("wizer-initialize")
        .run_component(&mut store, &wasm, async |store, component| instantiate(store, component).await)
        .await?;
    std::fs::write(&output, snapshot).with_context(|| format!("cannot write {output}"))?;
    Ok(())
}

async fn instantiate(
    store: &mut Store<Host>,
    component: &Component,
) -> wasmtime::Result<wasmtime::component::Instance> {
    let mut linker = Linker::new(store.engine());
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    // The platform is not there yet: a start that asked it anything would fail here.
    linker.define_unknown_imports_as_traps(component)?;
    linker.instantiate_async(store, component).await
}

//! Runs the start of the runtime's component once and writes the component that begins where that
//! left off. Clocks stand still and randomness is all zeros, so that the same input gives the same
//! output.

use std::convert::Infallible;
use std::time::Duration;
use wasmtime::component::types::{self, ComponentItem};
use wasmtime::component::{
    Component, Instance, Lift, Linker, LinkerInstance, ResourceTable, ResourceType, WasmList,
};
use wasmtime::error::Context as _;
use wasmtime::{Config, Engine, Result, Store, bail};
use wasmtime_wasi::{
    HostMonotonicClock, HostWallClock, WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView,
};
use wasmtime_wizer::{ComponentInstanceState, Wizer};

/// The export that starts the runtime. It does nothing in the snapshot, where it has run.
const START: &str = "wizer-initialize";

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
    fn try_next_u32(&mut self) -> std::result::Result<u32, Infallible> {
        Ok(0)
    }
    fn try_next_u64(&mut self) -> std::result::Result<u64, Infallible> {
        Ok(0)
    }
    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> std::result::Result<(), Infallible> {
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
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let input = arguments.next().context("usage: snapshot INPUT OUTPUT")?;
    let output = arguments.next().context("usage: snapshot INPUT OUTPUT")?;
    let engine = Engine::new(&Config::new())?;
    let mut wasi = WasiCtxBuilder::new();
    wasi.inherit_stderr()
        .wall_clock(Frozen)
        .monotonic_clock(Frozen);
    wasi.secure_random(Zeros)
        .insecure_random(Zeros)
        .insecure_random_seed(0);
    let host = Host {
        wasi: wasi.build(),
        table: ResourceTable::new(),
    };
    let mut store = Store::new(&engine, host);
    let wasm = std::fs::read(&input).with_context(|| format!("cannot read {input}"))?;
    let mut wizer = Wizer::new();
    // The export stays: in a component, wizer would take away the core function but not its alias.
    wizer.init_func(START).keep_init_func(true);
    let (context, instrumented) = wizer.instrument_component(&wasm)?;
    let component = Component::new(&engine, instrumented)?;
    let instance = instantiate(&mut store, &component).await?;
    let start = instance.get_typed_func::<(), ()>(&mut store, START)?;
    start.call_async(&mut store, ()).await?;
    let snapshot = wizer
        .snapshot_component(&context, &mut Started { store, instance })
        .await?;
    std::fs::write(&output, snapshot).with_context(|| format!("cannot write {output}"))?;
    Ok(())
}

async fn instantiate(store: &mut Store<Host>, component: &Component) -> Result<Instance> {
    let mut linker = Linker::new(store.engine());
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    for (name, item) in component.component_type().imports(store.engine()) {
        if let ComponentItem::ComponentInstance(interface) = item.ty
            && name.starts_with("eddy:")
        {
            refuse(&mut linker.instance(name)?, &interface, store.engine())?;
        }
    }
    linker.instantiate_async(store, component).await
}

/// Defines an interface of the platform, which is not there yet: a start that asks it anything fails.
fn refuse(
    linker: &mut LinkerInstance<'_, Host>,
    interface: &types::ComponentInstance,
    engine: &Engine,
) -> Result<()> {
    for (name, item) in interface.exports(engine) {
        match item.ty {
            ComponentItem::ComponentFunc(_) => {
                linker.func_new(name, |_, _, _, _| bail!("the platform was asked at start"))?;
            }
            ComponentItem::Resource(_) => {
                linker.resource(name, ResourceType::host::<()>(), |_, _| Ok(()))?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// The instance after its start: gives the contents of its memories and globals.
struct Started {
    store: Store<Host>,
    instance: Instance,
}

impl Started {
    async fn read<R: Lift + Send + Sync + 'static>(&mut self, interface: &str, name: &str) -> R {
        let (_, interface) = self
            .instance
            .get_export(&mut self.store, None, interface)
            .expect("wizer added the interface it asks for");
        let (_, function) = self
            .instance
            .get_export(&mut self.store, Some(&interface), name)
            .expect("wizer added the function it asks for");
        let function = self
            .instance
            .get_typed_func::<(), (R,)>(&mut self.store, function)
            .expect("wizer knows the types of what it added");
        function
            .call_async(&mut self.store, ())
            .await
            .expect("an accessor only reads")
            .0
    }
}

impl ComponentInstanceState for Started {
    async fn call_func_ret_list_u8(
        &mut self,
        interface: &str,
        name: &str,
        contents: impl FnOnce(&[u8]) + Send,
    ) {
        let list: WasmList<u8> = self.read(interface, name).await;
        contents(list.as_le_slice(&self.store));
    }
    async fn call_func_ret_s32(&mut self, interface: &str, name: &str) -> i32 {
        self.read(interface, name).await
    }
    async fn call_func_ret_s64(&mut self, interface: &str, name: &str) -> i64 {
        self.read(interface, name).await
    }
    async fn call_func_ret_f32(&mut self, interface: &str, name: &str) -> u32 {
        self.read::<f32>(interface, name).await.to_bits()
    }
    async fn call_func_ret_f64(&mut self, interface: &str, name: &str) -> u64 {
        self.read::<f64>(interface, name).await.to_bits()
    }
}

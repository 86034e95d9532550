//! The same components, pooled and metered alike, with nothing around them.

use wasmtime::component::{Component, HasSelf, Linker};
use wasmtime::{Config, Enabled, Engine, PoolingAllocationConfig, Store};

mod bindings {
    wasmtime::component::bindgen!({
        path: "wit",
        world: "tool",
        ownership: Borrowing { duplicate_if_necessary: true },
        exports: { default: async },
    });
}

/// A host without limits, quotas or faults.
struct Bare;

impl bindings::l9::tool::types::Host for Bare {}

impl bindings::l9::tool::host::Host for Bare {
    fn log(&mut self, _: bindings::l9::tool::types::Level, _: String) {}

    fn now_ms(&mut self) -> u64 {
        0
    }

    fn random(&mut self, len: u32) -> Vec<u8> {
        vec![0; len as usize]
    }
}

/// One engine and its pool, for any number of components.
pub(crate) struct Pool {
    engine: Engine,
    linker: Linker<Bare>,
}

/// A component of the pool.
pub(crate) struct Raw {
    engine: Engine,
    pre: bindings::ToolPre<Bare>,
}

impl Pool {
    pub(crate) fn new() -> Self {
        let mut pool = PoolingAllocationConfig::new();
        pool.linear_memory_keep_resident(256 << 10).table_keep_resident(256 << 10).pagemap_scan(Enabled::Auto);
        let mut config = Config::new();
        config.concurrency_support(false).allocation_strategy(pool);
        config.consume_fuel(true).epoch_interruption(true);
        let engine = Engine::new(&config).unwrap();
        let mut linker = Linker::new(&engine);
        bindings::Tool::add_to_linker::<_, HasSelf<_>>(&mut linker, |bare: &mut Bare| bare).unwrap();
        Self { engine, linker }
    }

    pub(crate) fn load(&self, component: &[u8]) -> Raw {
        let component = Component::from_binary(&self.engine, component).unwrap();
        let pre = bindings::ToolPre::new(self.linker.instantiate_pre(&component).unwrap()).unwrap();
        Raw { engine: self.engine.clone(), pre }
    }
}

impl Raw {
    pub(crate) async fn call(&self, tool: &str, input: &str) -> String {
        let mut store = Store::new(&self.engine, Bare);
        store.set_fuel(5_000_000_000).unwrap();
        store.set_epoch_deadline(1_000_000);
        let instance = self.pre.instantiate_async(&mut store).await.unwrap();
        instance.call_invoke(&mut store, bindings::Call { tool, input }).await.unwrap().unwrap()
    }
}

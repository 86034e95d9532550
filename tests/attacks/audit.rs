//! An attack on the record itself: an effect while nothing can be written.
#![expect(clippy::disallowed_methods, reason = "a test waits for real")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use l9::governor::{self, Baseline, Governor};
use l9::kernel::{Advance as _, Components};
use l9::redact::KnownSecrets;
use l9::tool::EffectClass;
use l9::{Engine, Error, Principal, Result, Runtime, StartOptions, native};
use l9_core::digest::Digest;
use l9_core::id::{RunId, TenantId};
use l9_core::journal::{
    Append, Appended, Created, DeadLetter, DeadLetters, Inbox, Journal, Lease, Leases, NewRun, RunFilter, RunRow,
    Snapshot, StoredCommand,
};
use l9_core::model::ModelClients;
use l9_core::queue::Task;
use l9_core::run::Record;
use l9_core::stop::{Scope, StoredStop};
use l9_core::time::SystemClock;
use l9_memory::in_memory::Store;
use l9_tools::registry::Registry;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A store that takes no records while it is down, and counts how often it was asked to.
#[derive(Debug, Default)]
struct Falling {
    store: Store,
    down: AtomicBool,
    refused: AtomicU32,
}

/// Methods that are the store's own.
macro_rules! passes {
    ($trait:ident { $(fn $name:ident($($argument:ident: [$($kind:tt)*]),*) -> $out:ty;)* } $($own:tt)*) => {
        #[async_trait]
        impl $trait for Falling {
            $(async fn $name(&self, $($argument: $($kind)*),*) -> Result<$out> {
                self.store.$name($($argument),*).await
            })*
            $($own)*
        }
    };
}

passes! {
    Journal {
        fn create(new: [NewRun]) -> Created;
        fn read(tenant: [&TenantId], run: [RunId], from: [u64], limit: [usize]) -> Vec<Record>;
        fn snapshot(tenant: [&TenantId], run: [RunId]) -> Option<Snapshot>;
        fn expire(tenant: [&TenantId], run: [RunId], snapshot: [Snapshot], gone: [&[Digest]]) -> u64;
        fn about(tenant: [&TenantId], subject: [&Digest]) -> Vec<RunRow>;
        fn erase(tenant: [&TenantId], run: [RunId], artifacts: [&[Digest]]) -> u64;
        fn refill(tenant: [&TenantId], run: [RunId], records: [Vec<Record>]) -> u64;
        fn recent(tenant: [&TenantId], before: [Option<u64>], limit: [usize]) -> Vec<(u64, Record)>;
        fn run(tenant: [&TenantId], run: [RunId]) -> Option<RunRow>;
        fn runs(tenant: [&TenantId], filter: [&RunFilter], limit: [usize]) -> Vec<RunRow>;
        fn tenants() -> Vec<TenantId>;
        fn artifact(tenant: [&TenantId], id: [Digest]) -> Option<Vec<u8>>;
        fn ping() -> ();
    }
    async fn append(&self, append: Append) -> Result<Appended> {
        if self.down.load(Ordering::SeqCst) {
            self.refused.fetch_add(1, Ordering::SeqCst);
            return Err(Error::unavailable("the store is down"));
        }
        self.store.append(append).await
    }
}

passes! {
    Leases {
        fn acquire(tenant: [&TenantId], run: [RunId], owner: [&str], ttl: [Duration]) -> Option<Lease>;
        fn renew(owner: [&str], ttl: [Duration]) -> Vec<Lease>;
        fn release(lease: [&Lease], wake_in: [Option<Duration>]) -> ();
        fn due(limit: [usize], hold: [Duration]) -> Vec<Task>;
        fn stop(stop: [StoredStop]) -> StoredStop;
        fn unstop(scope: [&Scope]) -> Option<StoredStop>;
        fn stops() -> Vec<StoredStop>;
        fn held(scope: [&Scope]) -> u64;
    }
}

passes! {
    DeadLetters {
        fn bury(letter: [DeadLetter]) -> bool;
        fn dead(tenant: [Option<&TenantId>], limit: [usize]) -> Vec<DeadLetter>;
        fn dead_count(tenant: [Option<&TenantId>]) -> u64;
        fn redrive(tenant: [&TenantId], run: [RunId]) -> Option<Task>;
    }
}

passes! {
    Inbox {
        fn post(tenant: [&TenantId], run: [RunId], command: [StoredCommand]) -> bool;
        fn pending(tenant: [&TenantId], run: [RunId]) -> Vec<StoredCommand>;
    }
}

#[derive(Deserialize, JsonSchema)]
struct Nothing {}

#[derive(Serialize, JsonSchema)]
struct Done {}

#[tokio::test]
async fn attack_53_an_effect_while_the_audit_store_is_down() {
    let (store, happened) = (Arc::new(Falling::default()), Arc::new(AtomicU32::new(0)));
    let counts = Arc::clone(&happened);
    let tool = native::tool("ledger/write", "1.0.0", "Writes.").effect(EffectClass::OpaqueWrite).handler(
        move |_, _: Nothing| {
            counts.fetch_add(1, Ordering::SeqCst);
            async { Ok(Done {}) }
        },
    );
    let registry = Registry::default();
    registry.register_native(tool).unwrap();
    let runtime = Runtime::builder().in_memory().build().await.unwrap();
    let governor = Governor::new(
        Arc::new(registry),
        ModelClients::default(),
        Arc::new(Baseline),
        Arc::new(KnownSecrets::default()),
        Arc::new(SystemClock::default()),
        governor::Settings::default(),
    );
    let parts = Components {
        store: Arc::<Falling>::clone(&store),
        governor: Arc::new(governor),
        ..runtime.engine().parts().clone()
    };
    let lease = Duration::from_secs(600);
    let engine = Engine::new(parts, l9::kernel::Settings { node: "node".into(), owner: "node".into(), lease });
    let (by, tool) = (Principal::local(), "ledger/write".parse().unwrap());
    let task = async || {
        let run = engine.start_tool(&by, &tool, "{}", StartOptions::default()).await.unwrap().run;
        Task { tenant: by.tenant.clone(), run, priority: 0 }
    };
    // Control: with the store there, the effect happens.
    Box::pin(engine.advance(&task().await)).await.unwrap();
    assert_eq!(happened.load(Ordering::SeqCst), 1);

    // The run is taken up and wants its effect; the intent is refused again and again.
    let wanted = task().await;
    store.down.store(true, Ordering::SeqCst);
    let (advancing, other) = (engine.clone(), wanted.clone());
    let advancing = tokio::spawn(async move { Box::pin(advancing.advance(&other)).await });
    while store.refused.load(Ordering::SeqCst) < 5 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(happened.load(Ordering::SeqCst), 1, "an effect without a record of it");
    // Once it is back, exactly what was intended happens.
    store.down.store(false, Ordering::SeqCst);
    advancing.await.unwrap().unwrap();
    let ended = engine.outcome(&by.tenant, wanted.run).await.unwrap();
    assert_eq!((ended.code, happened.load(Ordering::SeqCst)), (None, 2));
}

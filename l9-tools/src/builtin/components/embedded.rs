//! What a manifest says of a tool whose component is embedded.

use l9_core::Result;
use l9_core::digest::sha256;
use l9_core::id::ToolId;
use l9_core::tool::{
    Approval, AuditArgs, Determinism, EffectClass, Labels, Limits, Manifest, Module, OutputIntegrity, Runtime,
};
use semver::Version;
use serde_json::Value;

use crate::wasm::WORLD;

/// What a component asks of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asks {
    /// Its input is all that it has.
    Nothing,
    /// The time, once: that of the call.
    Time,
}

impl Asks {
    fn calls(self) -> u32 {
        match self {
            Self::Nothing => 0,
            Self::Time => 1,
        }
    }
}

/// What differs between the built-in components' tools; all are deterministic.
pub(super) struct Embedded {
    pub(super) id: &'static str,
    pub(super) title: &'static str,
    pub(super) description: &'static str,
    pub(super) component: &'static [u8],
    pub(super) input: Value,
    pub(super) output: Value,
    pub(super) limits: Limits,
    /// What it asks of the host, if anything.
    pub(super) asks: Asks,
}

impl Embedded {
    pub(super) fn manifest(&self) -> Result<Manifest> {
        Ok(Manifest {
            schema_version: 1,
            id: ToolId::new(self.id)?,
            version: Version::new(1, 0, 0),
            title: self.title.into(),
            description: self.description.into(),
            runtime: Runtime::Wasm {
                module: Module {
                    sha256: sha256(&[self.component]),
                    size: self.component.len() as u64,
                    world: WORLD.into(),
                },
            },
            input_schema: self.input.clone(),
            output_schema: Some(self.output.clone()),
            effect: match self.asks {
                Asks::Nothing => EffectClass::Pure,
                Asks::Time => EffectClass::Read,
            },
            destructive: false,
            args: Default::default(),
            limits: Limits {
                host_calls: self.asks.calls(),
                host_call_bytes: u64::from(self.asks.calls()) * 8,
                ..self.limits.clone()
            },
            net: Vec::new(),
            fs: Vec::new(),
            kv: None,
            secrets: Vec::new(),
            rate: None,
            // Such an output is made of its input alone, so it is as trusted as that.
            labels: Labels { output_integrity: OutputIntegrity::Trusted, ..Labels::default() },
            approval: Approval::default(),
            determinism: Determinism::Deterministic,
            audit: AuditArgs::default(),
            expires: None,
        })
    }
}

/// These components hold no handles and log nothing.
pub(super) fn small() -> Limits {
    Limits { log_bytes: 0, handles: 0, ..Limits::default() }
}

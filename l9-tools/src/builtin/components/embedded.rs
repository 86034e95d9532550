//! What a manifest says of a tool whose component is embedded.

use l9_core::Result;
use l9_core::digest::sha256;
use l9_core::id::ToolId;
use l9_core::tool::{
    Approval, ArgRole, ArgRule, AuditArgs, Determinism, EffectClass, FsGrant, Labels, Limits, Manifest, Module, Mount,
    OutputIntegrity, Runtime,
};
use semver::Version;
use serde_json::Value;

use crate::wasm::WORLD;

/// The version of a component that has not changed since it was first there.
pub(super) const FIRST: Version = Version::new(1, 0, 0);

/// What a component asks of the host.
#[derive(Debug)]
pub(super) enum Asks {
    /// Its input is all that it has.
    Nothing,
    /// The time, once: that of the call.
    Time,
    /// Files of these mounts, within the host calls of its limits.
    Files(Vec<FsGrant>),
}

/// What differs between the built-in components' tools.
pub(super) struct Embedded {
    pub(super) id: &'static str,
    /// Another component is another version, whatever differs in it.
    pub(super) version: Version,
    pub(super) title: &'static str,
    pub(super) description: &'static str,
    pub(super) component: &'static [u8],
    pub(super) input: Value,
    pub(super) output: Value,
    pub(super) limits: Limits,
    /// What it asks of the host, if anything.
    pub(super) asks: Asks,
    /// Its consequential arguments.
    pub(super) args: &'static [(&'static str, ArgRole)],
}

impl Embedded {
    pub(super) fn manifest(&self) -> Result<Manifest> {
        Ok(Manifest {
            schema_version: 1,
            id: ToolId::new(self.id)?,
            version: self.version.clone(),
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
            effect: self.effect(),
            destructive: self.effect() == EffectClass::KeyedWrite,
            args: self.args.iter().map(|(at, role)| ((*at).to_owned(), ArgRule::from(*role))).collect(),
            subjects: Vec::new(),
            limits: self.limits(),
            net: Vec::new(),
            fs: self.mounts().to_vec(),
            kv: None,
            secrets: Vec::new(),
            rate: None,
            labels: Labels { output_integrity: self.integrity(), ..Labels::default() },
            approval: Approval::default(),
            determinism: Determinism::Deterministic,
            audit: AuditArgs::default(),
            expires: None,
        })
    }

    fn mounts(&self) -> &[FsGrant] {
        if let Asks::Files(mounts) = &self.asks { mounts } else { &[] }
    }

    /// Writing a whole file leaves the same file however often it is done.
    fn effect(&self) -> EffectClass {
        match &self.asks {
            Asks::Nothing => EffectClass::Pure,
            Asks::Files(mounts) if mounts.iter().any(|mount| mount.mode == Mount::ReadWrite) => EffectClass::KeyedWrite,
            Asks::Time | Asks::Files(_) => EffectClass::Read,
        }
    }

    /// An output that is made of the input alone is as trusted as that; what stands in a file
    /// is nobody's word.
    fn integrity(&self) -> OutputIntegrity {
        match self.asks {
            Asks::Nothing | Asks::Time => OutputIntegrity::Trusted,
            Asks::Files(_) => OutputIntegrity::Untrusted,
        }
    }

    fn limits(&self) -> Limits {
        let (host_calls, host_call_bytes) = match self.asks {
            Asks::Nothing => (0, 0),
            Asks::Time => (1, 8),
            Asks::Files(_) => (self.limits.host_calls, self.limits.host_call_bytes),
        };
        Limits { host_calls, host_call_bytes, ..self.limits.clone() }
    }
}

/// These components hold no handles and log nothing.
pub(super) fn small() -> Limits {
    Limits { log_bytes: 0, handles: 0, ..Limits::default() }
}

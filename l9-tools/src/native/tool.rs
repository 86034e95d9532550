//! Describing a native tool.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;

use l9_core::id::ToolId;
use l9_core::tool::{
    Approval, ArgRule, AuditArgs, Determinism, EffectClass, Labels, Limits, Manifest, Probed, Rate, Runtime,
    ToolSandbox,
};
use l9_core::{Error, Result};
use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use schemars::{JsonSchema, Schema};
use semver::Version;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::context::Context;
use super::sandbox::{Handler, Probing};

/// A native tool, ready for [`crate::registry::Registry::register_native`].
#[derive(Debug)]
#[must_use = "a tool exists for agents once it is registered"]
pub struct NativeTool {
    described: Result<Manifest>,
    sandbox: Arc<dyn ToolSandbox>,
}

impl NativeTool {
    /// The manifest and the sandbox.
    ///
    /// # Errors
    /// `Invalid` when the id or version given to [`tool`] is not of its form.
    pub fn into_parts(self) -> Result<(Manifest, Arc<dyn ToolSandbox>)> {
        Ok((self.described?, self.sandbox))
    }
}

impl NativeTool {
    /// Says how to find out, after a crash, whether a call under the context's idempotency
    /// key took effect: for tools of the class `queryable_write`.
    pub fn with_probe<I, F, R>(self, probe: F) -> Self
    where
        I: DeserializeOwned + Send + 'static,
        F: Fn(Context, I) -> R + Send + Sync + 'static,
        R: Future<Output = super::Result<Probed>> + Send + 'static,
    {
        let Self { described, sandbox } = self;
        Self { described, sandbox: Arc::new(Probing::new(sandbox, probe)) }
    }
}

/// Begins a tool: its id `namespace/name`, its version, and what it does and when to use
/// it, in words for models.
pub fn tool(id: &str, version: &str, description: &str) -> Builder {
    Builder {
        id: id.to_owned(),
        version: version.to_owned(),
        title: id.to_owned(),
        description: description.to_owned(),
        effect: EffectClass::default(),
        destructive: false,
        args: BTreeMap::new(),
        subjects: Vec::new(),
        limits: Limits::default(),
        rate: None,
        labels: Labels::default(),
        approval: Approval::default(),
        determinism: Determinism::default(),
        audit: AuditArgs::default(),
    }
}

/// Describes a tool; [`Builder::handler`] ends it.
#[derive(Debug)]
#[must_use = "a description becomes a tool with a handler"]
pub struct Builder {
    id: String,
    version: String,
    title: String,
    description: String,
    effect: EffectClass,
    destructive: bool,
    args: BTreeMap<String, ArgRule>,
    subjects: Vec<String>,
    limits: Limits,
    rate: Option<Rate>,
    labels: Labels,
    approval: Approval,
    determinism: Determinism,
    audit: AuditArgs,
}

impl Builder {
    /// A few words for people; the id if not given.
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.title = title.into();
        self
    }

    /// What a call does to the world; `opaque_write`, the most careful, if not given.
    pub fn effect(mut self, effect: EffectClass) -> Self {
        self.effect = effect;
        self
    }

    /// What it does cannot be undone.
    pub fn destructive(mut self) -> Self {
        self.destructive = true;
        self
    }

    /// Declares a consequential argument by its JSON pointer.
    pub fn arg(mut self, pointer: impl Into<String>, rule: ArgRule) -> Self {
        self.args.insert(pointer.into(), rule);
        self
    }

    /// Declares an argument that names a data subject, by its JSON pointer.
    pub fn subject(mut self, pointer: impl Into<String>) -> Self {
        self.subjects.push(pointer.into());
        self
    }

    /// What one call may use; of the limits, wall time and output bytes and depth hold for
    /// native code.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// How often it may be called.
    pub fn rate(mut self, rate: Rate) -> Self {
        self.rate = Some(rate);
        self
    }

    /// What its output is to be believed; untrusted if not given.
    pub fn labels(mut self, labels: Labels) -> Self {
        self.labels = labels;
        self
    }

    /// Whether a person is asked before a call.
    pub fn approval(mut self, approval: Approval) -> Self {
        self.approval = approval;
        self
    }

    /// Equal input gives equal output.
    pub fn deterministic(mut self) -> Self {
        self.determinism = Determinism::Deterministic;
        self
    }

    /// What of the arguments is journaled.
    pub fn audit(mut self, audit: AuditArgs) -> Self {
        self.audit = audit;
        self
    }

    /// The code. Input and output schemas are derived from the types; a panic becomes a
    /// fault. Work that blocks the thread belongs into `spawn_blocking`.
    pub fn handler<I, O, F, R>(self, handler: F) -> NativeTool
    where
        I: DeserializeOwned + JsonSchema + Send + 'static,
        O: Serialize + JsonSchema + Send + 'static,
        F: Fn(Context, I) -> R + Send + Sync + 'static,
        R: Future<Output = super::Result<O>> + Send + 'static,
    {
        NativeTool {
            described: self.manifest(schema_of::<I>(), schema_of::<O>()),
            sandbox: Arc::new(Handler::new(handler)),
        }
    }

    fn manifest(self, input_schema: Value, output_schema: Value) -> Result<Manifest> {
        let version = Version::parse(&self.version).map_err(|error| {
            Error::invalid(format!("version {:?} of {} is not semantic: {error}", self.version, self.id))
        })?;
        Ok(Manifest {
            schema_version: 1,
            id: ToolId::new(self.id)?,
            version,
            title: self.title,
            description: self.description,
            runtime: Runtime::Native,
            input_schema,
            output_schema: Some(output_schema),
            effect: self.effect,
            destructive: self.destructive,
            args: self.args,
            subjects: self.subjects,
            limits: self.limits,
            net: Vec::new(),
            fs: Vec::new(),
            kv: None,
            secrets: Vec::new(),
            rate: self.rate,
            labels: self.labels,
            approval: self.approval,
            determinism: self.determinism,
            audit: self.audit,
            expires: None,
        })
    }
}

/// What a type of up to 32 bits has room for: nobody checks `format`.
fn bounded(schema: &mut Schema) {
    let (least, most) = match schema.get("format").and_then(Value::as_str) {
        Some("int8") => (i64::from(i8::MIN), i64::from(i8::MAX)),
        Some("int16") => (i64::from(i16::MIN), i64::from(i16::MAX)),
        Some("int32") => (i64::from(i32::MIN), i64::from(i32::MAX)),
        Some("uint8") => (0, i64::from(u8::MAX)),
        Some("uint16") => (0, i64::from(u16::MAX)),
        Some("uint32") => (0, i64::from(u32::MAX)),
        _ => return,
    };
    let object = schema.ensure_object();
    object.entry("minimum").or_insert(least.into());
    object.entry("maximum").or_insert(most.into());
}

/// Without `$ref` where possible: several model providers do not follow them.
fn schema_of<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    settings.with_transform(RecursiveTransform(bounded)).into_generator().into_root_schema_for::<T>().to_value()
}

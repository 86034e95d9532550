//! What a manifest lets its tool do, in words that somebody who accepts it can read.

use l9_core::tool::{Approval, EffectClass, Inject, Manifest, Mount, Runtime};

/// One line for everything the tool may do or touch.
#[must_use]
pub fn grants(manifest: &Manifest) -> Vec<String> {
    let mut lines = vec![runs(&manifest.runtime), effect(manifest)];
    for net in &manifest.net {
        let port = net.port.map(|port| format!(":{port}")).unwrap_or_default();
        let private = if net.allow_private { ", also at a private address" } else { "" };
        lines.push(format!(
            "may send {} to {}://{}{port}{}{private}",
            net.methods.join(", "),
            net.scheme,
            net.host,
            net.path_prefix
        ));
    }
    for fs in &manifest.fs {
        let how = match fs.mode {
            Mount::ReadOnly => "read",
            Mount::ReadWrite => "read and write",
        };
        lines.push(format!("may {how} files of the mount {}", fs.mount));
    }
    for secret in &manifest.secrets {
        let place = match &secret.inject {
            Inject::Header(name) => format!("the header {name}"),
            Inject::Query(name) => format!("the query parameter {name}"),
            Inject::Body(pointer) => format!("the body at {pointer}"),
        };
        lines.push(format!("the secret {} is put into {place} of requests to {}", secret.handle, secret.audience));
    }
    if let Some(most) = manifest.labels.max_confidentiality_out {
        lines.push(format!("is given nothing more confidential than {}", word(&most)));
    }
    lines.push(format!("what it gives counts as {}", word(&manifest.labels.output_integrity)));
    if manifest.approval == Approval::Always {
        lines.push("asks a person before every call".to_owned());
    }
    if let Some(expires) = manifest.expires {
        lines.push(format!("is refused from {expires} on"));
    }
    lines
}

fn runs(runtime: &Runtime) -> String {
    match runtime {
        Runtime::Wasm { .. } => "runs in the wasm sandbox".to_owned(),
        Runtime::Native => "runs inside L9 itself, where no sandbox holds it".to_owned(),
        Runtime::Http(_) => "is a request that L9 sends".to_owned(),
        Runtime::Mcp { server, tool } => format!("is {tool} of the MCP server {server}"),
        _ => "runs in a way this version does not know".to_owned(),
    }
}

fn effect(manifest: &Manifest) -> String {
    let effect = match manifest.effect {
        EffectClass::Pure => "touches nothing outside",
        EffectClass::Read => "reads and changes nothing",
        EffectClass::KeyedWrite => "writes, and may be repeated under the same key",
        EffectClass::QueryableWrite => "writes, and can be asked whether it did",
        EffectClass::SameDbWrite => "writes into L9's own database",
        EffectClass::OpaqueWrite => "writes, and nobody can tell afterwards whether it did",
    };
    let undone = if manifest.destructive { "; what it does cannot be undone" } else { "" };
    format!("{effect}{undone}")
}

/// The name that a manifest writes it by.
fn word(value: &impl serde::Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

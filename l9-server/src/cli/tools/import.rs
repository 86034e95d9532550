//! `tools import`: manifests of HTTP tools from a document that describes a service.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use l9::openapi::{Imported, Options};
use l9::tool::Manifest;
use serde_json::{Value, json};

use crate::cli::context::Context;
use crate::cli::failure::{Exit, Failure};

/// What can be imported.
#[derive(Debug, Subcommand)]
pub(crate) enum Import {
    /// An OpenAPI 3.0 or 3.1 document, JSON or YAML: one tool for each operation
    #[command(after_help = "\
What cannot be expressed is told with its place in the document. Look the manifests through
before they are used: what an operation does is taken from its method.

Example:
  l9-server tools import openapi notes.json --output .l9/tools --server https://notes.example.com")]
    Openapi(Openapi),
}

/// An OpenAPI document, and what to make of it.
#[derive(Debug, Args)]
pub(crate) struct Openapi {
    /// The document
    file: PathBuf,
    /// The folder that the manifests are written to; files that are there are left alone
    #[arg(long, value_name = "DIR")]
    output: PathBuf,
    /// Only the operation with this id; may be given more than once
    #[arg(long = "operation", value_name = "ID")]
    operations: Vec<String>,
    /// Where the service is, if the document does not say or says otherwise
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// The namespace of the tools; made of the document's title if absent
    #[arg(long, value_name = "NAME")]
    namespace: Option<String>,
}

/// Writes the manifests and tells what could not be expressed.
pub(super) fn import(context: &Context, Import::Openapi(asked): Import) -> Result<Exit, Failure> {
    let Openapi { file, output, operations, server, namespace } = asked;
    let unreadable = |error: &dyn std::fmt::Display| Failure::usage(format!("{}: {error}", file.display()));
    let text = fs::read_to_string(&file).map_err(|error| unreadable(&error))?;
    let document = l9::openapi::read(&text).map_err(|error| unreadable(&error))?;
    let imported = l9::openapi::import(&document, &Options { operations, server, namespace });
    let imported = imported.map_err(|error| unreadable(&error))?;
    let files = write(&output, &imported.tools)?;
    show(context, &imported, &files);
    Ok(if imported.tools.is_empty() { Exit::Failed } else { Exit::Done })
}

/// Writes one file for each tool, or none at all.
fn write(folder: &Path, tools: &[Manifest]) -> Result<Vec<PathBuf>, Failure> {
    let name = |tool: &Manifest| folder.join(format!("{}.json", tool.id.as_str().replace('/', "-")));
    let files: Vec<PathBuf> = tools.iter().map(name).collect();
    if let Some(there) = files.iter().find(|file| file.exists()) {
        return Err(Failure::usage(format!("{} is there already", there.display()))
            .with_help("remove it, or choose another folder with --output"));
    }
    let failed = |error: &dyn std::fmt::Display| Failure::failed(format!("{}: {error}", folder.display()));
    fs::create_dir_all(folder).map_err(|error| failed(&error))?;
    for (file, tool) in files.iter().zip(tools) {
        let text = serde_json::to_string_pretty(tool).map_err(|error| failed(&error))?;
        fs::write(file, text + "\n").map_err(|error| failed(&error))?;
    }
    Ok(files)
}

fn show(context: &Context, Imported { tools, warnings }: &Imported, files: &[PathBuf]) {
    let secrets: BTreeSet<(&str, &str)> = tools
        .iter()
        .flat_map(|tool| &tool.secrets)
        .map(|secret| (secret.handle.as_str(), secret.audience.as_str()))
        .collect();
    let screen = context.screen;
    if screen.is_json() {
        let tools: Vec<Value> =
            tools.iter().zip(files).map(|(tool, file)| json!({"id": tool.id, "file": file})).collect();
        let warnings: Vec<Value> =
            warnings.iter().map(|told| json!({"place": told.place, "what": told.what})).collect();
        let secrets: Vec<Value> =
            secrets.iter().map(|(handle, host)| json!({"handle": handle, "host": host})).collect();
        return screen.object(&json!({"tools": tools, "warnings": warnings, "secrets": secrets}));
    }
    tools.iter().zip(files).for_each(|(tool, file)| screen.line(&format!("{}  {}", tool.id, file.display())));
    for told in warnings {
        screen.note(&format!("{}: {}", told.place, told.what));
    }
    for (handle, host) in secrets {
        screen.note(&format!(
            "grant {handle} to {host} under tools.secrets, and give it a value: l9-server secrets set {handle}"
        ));
    }
}

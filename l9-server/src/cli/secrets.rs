//! `secrets`: set, list and remove the secrets that tools may use. No value is ever shown.

use std::collections::BTreeSet;
use std::sync::Arc;

use clap::Subcommand;
use l9::secrets::{Folder, Provider, Sealed};
use l9::{Runtime, Settings};
use secrecy::SecretString;
use serde_json::json;

use super::context::Context;
use super::failure::{Exit, Failure};
use super::run::words_or_stdin;
use crate::terminal::Table;

/// What can be done with secrets.
#[derive(Debug, Subcommand)]
pub(crate) enum Secrets {
    /// The secrets there are, where their values lie and who may use them
    List,
    /// Seal the value that standard input gives under the data folder's root key
    #[command(after_help = "\
Who may use it stands in config.yaml, under tools.secrets. A value in the environment or in
the folder of secrets comes before a sealed one.

Example:
  l9-server secrets set notes-key < key.txt")]
    Set {
        /// The handle by which manifests name it: a-z, 0-9, - and _
        handle: String,
    },
    /// Take a sealed value away
    Remove {
        /// The handle
        handle: String,
    },
}

/// Does what was asked with secrets.
pub(super) async fn secrets(context: &Context, command: Secrets) -> Result<Exit, Failure> {
    // A manifest whose secret is not there yet must not stand in the way of setting it.
    let settings = Settings { tools_dir: None, secret_grants: Default::default(), ..context.config.settings()? };
    let runtime = context.open_with(settings).await?;
    let done = act(context, &runtime, command);
    runtime.shutdown().await;
    done.map(|()| Exit::Done)
}

fn act(context: &Context, runtime: &Runtime, command: Secrets) -> Result<(), Failure> {
    let settings = context.config.settings()?;
    let sealed = Sealed::at(settings.sealed_secrets_path(), Arc::clone(&runtime.engine().parts().vault));
    match command {
        Secrets::List => list(context, &settings, &sealed),
        Secrets::Set { handle } => {
            let text = words_or_stdin("-".to_owned())?;
            let value = Some(text.trim()).filter(|value| !value.is_empty()).map(SecretString::from);
            let value = value.ok_or_else(|| {
                let help = format!("give it on standard input: l9-server secrets set {handle} < key.txt");
                Failure::usage("there is no value").with_help(help)
            })?;
            sealed.set(&handle, &value)?;
            if !settings.secret_grants.contains_key(&handle) {
                let mend = format!("tools: {{ secrets: {{ {handle}: {{ hosts: [api.example.com] }} }} }}");
                context.screen.note(&format!("no tool may use {handle} yet: add to config.yaml {mend}"));
            }
            Ok(())
        }
        Secrets::Remove { handle } => {
            if !sealed.remove(&handle)? {
                let help = "`l9-server secrets list` shows where values lie";
                return Err(Failure::usage(format!("there is no sealed value of {handle}")).with_help(help));
            }
            Ok(())
        }
    }
}

fn list(context: &Context, settings: &Settings, sealed: &Sealed) -> Result<(), Failure> {
    let folder = Folder::at(settings.secrets_folder());
    let sources: [(&str, &dyn Provider); 3] =
        [("environment", &*context.secrets), ("folder", &folder), ("sealed", sealed)];
    let handles: BTreeSet<String> = settings.secret_grants.keys().cloned().chain(sealed.handles()?).collect();
    let mut rows = Vec::new();
    for handle in handles {
        let mut value = None;
        for (name, source) in sources {
            if value.is_none() && source.get(&handle)?.is_some() {
                value = Some(name);
            }
        }
        rows.push((value, settings.secret_grants.get(&handle), handle));
    }
    if context.screen.is_json() {
        let rows = rows.into_iter();
        let rows = rows.map(|(value, grant, handle)| json!({"handle": handle, "value": value, "grant": grant}));
        context.screen.object(&rows.collect::<Vec<_>>());
        return Ok(());
    }
    let mut table = Table::new(&["SECRET", "VALUE", "HOSTS", "TOOLS"]);
    for (value, grant, handle) in rows {
        let names = |names: Option<&Vec<String>>| names.map_or_else(|| "none".to_owned(), |names| names.join(" "));
        let (hosts, tools) = (names(grant.map(|grant| &grant.hosts)), names(grant.map(|grant| &grant.tools)));
        table.row([handle, value.unwrap_or("none").to_owned(), hosts, tools]);
    }
    table.lines(context.screen.paint()).iter().for_each(|line| context.screen.line(line));
    Ok(())
}

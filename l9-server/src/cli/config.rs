//! `config`: check and show.

use serde_json::json;

use super::arguments::{self, Global};
use super::context::read;
use super::failure::{Exit, Failure};
use crate::config::{Loaded, load_agents, refuse_serving};
use crate::terminal::{Screen, Table};

/// Checks or shows the configuration.
pub(super) fn config(global: &Global, command: &arguments::Config) -> Result<Exit, Failure> {
    let loaded = read(global, &[])?;
    let screen = Screen::new(global.json);
    match command {
        arguments::Config::Show => show(screen, &loaded),
        arguments::Config::Check => check(screen, &loaded)?,
    }
    Ok(Exit::Done)
}

fn show(screen: Screen, loaded: &Loaded) {
    if screen.is_json() {
        let settings: serde_json::Map<String, serde_json::Value> = loaded
            .settings
            .iter()
            .map(|setting| {
                let shown = json!({"value": setting.value, "source": setting.source.to_string()});
                (setting.path.clone(), shown)
            })
            .collect();
        return screen.object(&settings);
    }
    let mut table = Table::new(&["SETTING", "VALUE", "SOURCE"]);
    for setting in &loaded.settings {
        let value = if setting.value.is_null() { "-".to_owned() } else { setting.value.to_string() };
        table.row([setting.path.clone(), value, setting.source.to_string()]);
    }
    table.lines(screen.paint()).iter().for_each(|line| screen.line(line));
    warn(screen, loaded);
}

fn check(screen: Screen, loaded: &Loaded) -> Result<(), Failure> {
    let agents = load_agents(&loaded.config)?;
    refuse_serving(&loaded.config)?;
    if screen.is_json() {
        let warnings: Vec<_> =
            loaded.warnings.iter().map(|problem| json!({"message": problem.message, "help": problem.help})).collect();
        screen.object(&json!({"ok": true, "warnings": warnings, "agents": agents.len()}));
    } else {
        warn(screen, loaded);
        let set = loaded.settings.iter().filter(|setting| setting.source != crate::config::Source::Default).count();
        screen.line(&format!(
            "{} the configuration is sound: {set} settings, {} agent profiles",
            screen.paint().good("✓"),
            agents.len()
        ));
    }
    Ok(())
}

fn warn(screen: Screen, loaded: &Loaded) {
    for problem in &loaded.warnings {
        let help = problem.help.as_ref().map(|help| format!("; {help}")).unwrap_or_default();
        screen.note(&format!("{}{help}", problem.message));
    }
}

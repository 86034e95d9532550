//! `doctor`: is this machine fit, is this installation sound, and if not, what to do.
//!
//! It changes nothing that lasts: what it writes it removes, and the sandbox is tried in
//! memory. It calls nobody outside.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use l9::Runtime;
use l9::keys::Keyring;
use l9::registry::Source;
use l9::secrets::{Provider, Sealed};
use l9::time::{Clock as _, SystemClock, Timestamp};
use serde::Serialize;

use super::arguments::Global;
use super::context::{Context, read};
use super::failure::{Exit, Failure};
use crate::config::{Config, Database, load_agents, refuse_serving};
use crate::terminal::{Screen, duration};

/// Less free space than this is a fault.
const LEAST_FREE: u64 = 256 << 20;

/// A flush that takes longer than this makes every step slow.
const SLOW_FLUSH_MS: u128 = 250;

/// The first call compiles the tool, which a busy machine may not finish in its time.
const SANDBOX_TRIES: u32 = 3;

/// A clock before this is wrong: 2026-01-01T00:00:00Z.
const NOT_BEFORE: Timestamp = Timestamp::from_millis(1_767_225_600_000);

/// What one look found.
#[derive(Debug, Serialize)]
struct Check {
    name: &'static str,
    ok: bool,
    found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    mend: Option<String>,
}

impl Check {
    fn good(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, ok: true, found: found.into(), mend: None }
    }

    fn bad(name: &'static str, found: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { name, ok: false, found: found.into(), mend: Some(mend.into()) }
    }
}

/// Checks everything and tells.
pub(super) async fn doctor(global: &Global) -> Result<Exit, Failure> {
    let screen = Screen::new(global.json);
    let mut checks = Vec::new();
    match read(global, &[]) {
        Ok(_) => {
            let context = Context::load(global, &[], "error")?;
            Box::pin(examine(&context, &mut checks)).await;
        }
        Err(problems) => checks.extend(problems.0.into_iter().map(|problem| {
            Check::bad("configuration", problem.message, problem.help.unwrap_or_else(|| "correct the setting".into()))
        })),
    }
    let ok = checks.iter().all(|check| check.ok);
    if screen.is_json() {
        screen.object(&serde_json::json!({"ok": ok, "checks": checks}));
    } else {
        let paint = screen.paint();
        for check in &checks {
            let mark = if check.ok { paint.good("✓") } else { paint.bad("✗") };
            screen.line(&format!("{mark} {:<14} {}", check.name, check.found));
            if let Some(mend) = &check.mend {
                screen.line(&format!("  {} {mend}", paint.faint("mend:")));
            }
        }
    }
    Ok(if ok { Exit::Done } else { Exit::Failed })
}

async fn examine(context: &Context, checks: &mut Vec<Check>) {
    let config = &context.config;
    checks.push(configuration(config));
    checks.push(folder(&config.storage.data_dir));
    checks.push(root_key(config));
    checks.push(flush(&nearest(&config.storage.data_dir)));
    checks.push(space(&nearest(&config.storage.data_dir)));
    checks.push(clock());
    checks.push(Box::pin(database(context)).await);
    checks.extend(redis(context).await);
    checks.extend(embedder(config));
    checks.push(Box::pin(tools(context)).await);
    checks.extend(Box::pin(sandbox_and_models(context)).await);
    checks.extend(servers(config));
}

fn configuration(config: &Config) -> Check {
    match load_agents(config).and_then(|agents| refuse_serving(config).map(|()| agents)) {
        Ok(agents) => Check::good("configuration", format!("sound, {} agent profiles from files", agents.len())),
        Err(problems) => {
            let mend = problems.0.iter().find_map(|problem| problem.help.clone());
            Check::bad("configuration", problems.to_string(), mend.unwrap_or_else(|| "correct the setting".into()))
        }
    }
}

/// The folder itself, or the nearest one above it that is there.
fn nearest(folder: &Path) -> PathBuf {
    let here = Path::new(".");
    folder
        .ancestors()
        .find(|above| above.is_dir())
        .filter(|above| !above.as_os_str().is_empty())
        .unwrap_or(here)
        .to_owned()
}

fn folder(path: &Path) -> Check {
    const NAME: &str = "data folder";
    let shown = path.display();
    if path.exists() && !path.is_dir() {
        return Check::bad(NAME, format!("{shown} is a file"), "choose a folder with --data-dir or L9_DATA_DIR");
    }
    if let Err(error) = tempfile::NamedTempFile::new_in(nearest(path)) {
        return Check::bad(
            NAME,
            format!("{shown} cannot be written: {error}"),
            format!("make it writable for this user, or choose another folder than {shown} with --data-dir"),
        );
    }
    if !path.exists() {
        return Check::good(NAME, format!("{shown} is not there yet: the first run makes it"));
    }
    match others_may_enter(path) {
        Some(mode) => {
            Check::bad(NAME, format!("others may enter {shown} (mode {mode:03o})"), format!("chmod 700 {shown}"))
        }
        None => Check::good(NAME, format!("{shown} can be written")),
    }
}

#[cfg(unix)]
fn others_may_enter(path: &Path) -> Option<u32> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = std::fs::metadata(path).ok()?.permissions().mode() & 0o777;
    // Reading a name is harmless: what is in the files is sealed. Writing is not.
    (mode & 0o022 != 0).then_some(mode)
}

#[cfg(not(unix))]
fn others_may_enter(_path: &Path) -> Option<u32> {
    None
}

fn root_key(config: &Config) -> Check {
    const NAME: &str = "root key";
    let key = config.storage.root_key.clone().unwrap_or_else(|| config.storage.data_dir.join("root.key"));
    let shown = key.display();
    match key_file(&key) {
        Ok(true) => Check::good(NAME, format!("{shown} is for its owner only; keep a backup of it")),
        Ok(false) if matches!(config.database(), Database::File(path) if path.exists()) => Check::bad(
            NAME,
            format!("{shown} is missing, and {} is sealed under it", config.database_shown()),
            "restore the key file from its backup; without it nothing stored can be read",
        ),
        Ok(false) => Check::good(NAME, "none yet: the first run makes it"),
        Err(why) => Check::bad(
            NAME,
            format!("{shown} {why}"),
            format!("chmod 600 {shown}; if its content is lost, restore its backup"),
        ),
    }
}

/// Whether the key is there; an error says what is wrong with it, never what it holds.
fn key_file(path: &Path) -> Result<bool, String> {
    let metadata = match std::fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(format!("cannot be looked at: {error}")),
    };
    if let Some(mode) = others_may_read(&metadata) {
        return Err(format!("can be read by others (mode {mode:03o})"));
    }
    l9::keys::check_file(path).map(|()| true).map_err(|error| error.to_string())
}

#[cfg(unix)]
fn others_may_read(metadata: &std::fs::Metadata) -> Option<u32> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = metadata.permissions().mode() & 0o777;
    (mode & 0o077 != 0).then_some(mode)
}

#[cfg(not(unix))]
fn others_may_read(_metadata: &std::fs::Metadata) -> Option<u32> {
    None
}

fn flush(folder: &Path) -> Check {
    const NAME: &str = "flush";
    let clock = SystemClock::default();
    let before = clock.monotonic();
    let write = || -> std::io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(&[0x19; 4096])?;
        file.as_file().sync_all()
    };
    match write() {
        Err(error) => Check::bad(
            NAME,
            format!("4 KiB cannot be written and flushed: {error}"),
            "free some space, or mend the disk",
        ),
        Ok(()) => {
            let took = clock.monotonic() - before;
            if took.as_millis() > SLOW_FLUSH_MS {
                let mend = "use a faster disk for the data folder: every step of a run waits for one flush";
                return Check::bad(NAME, format!("4 KiB took {} to be written and flushed", duration(took)), mend);
            }
            Check::good(NAME, format!("4 KiB written and flushed in {}", duration(took)))
        }
    }
}

#[cfg(unix)]
fn space(folder: &Path) -> Check {
    const NAME: &str = "disk space";
    match rustix::fs::statvfs(folder) {
        Err(error) => Check::bad(NAME, format!("unknown: {error}"), "check the disk of the data folder"),
        Ok(disk) => {
            let free = disk.f_bavail.saturating_mul(disk.f_frsize);
            let found = format!("{} MiB free", free >> 20);
            if free < LEAST_FREE {
                Check::bad(NAME, found, format!("free at least {} MiB", LEAST_FREE >> 20))
            } else {
                Check::good(NAME, found)
            }
        }
    }
}

#[cfg(not(unix))]
fn space(_folder: &Path) -> Check {
    Check::good("disk space", "not looked at on this system")
}

fn clock() -> Check {
    let now = SystemClock::default().now();
    if now < NOT_BEFORE {
        return Check::bad("clock", format!("it says {now}, which is in the past"), "set the clock, or let NTP do it");
    }
    Check::good("clock", now.to_string())
}

async fn database(context: &Context) -> Check {
    const NAME: &str = "database";
    let shown = context.config.database_shown();
    if matches!(context.config.database(), Database::File(path) if !path.exists()) {
        return Check::good(NAME, format!("{shown} is not there yet: the first run makes it"));
    }
    let opened = match context.config.settings() {
        // What is wrong with tools is told beside.
        Ok(settings) => {
            let embedding = l9::embedding::Settings::default();
            context.open_with(l9::Settings { tools_dir: None, embedding, ..settings }).await
        }
        Err(problem) => Err(Failure::from(problem)),
    };
    match opened {
        Err(failure) => Check::bad(NAME, failure.to_string(), mend_of(&failure)),
        Ok(runtime) => {
            let health = runtime.health().await;
            runtime.shutdown().await;
            if health.store == "ok" {
                Check::good(NAME, format!("{shown} opens and is up to date with {}", env!("CARGO_PKG_VERSION")))
            } else {
                Check::bad(NAME, health.store, "`l9-server audit verify` names what is damaged")
            }
        }
    }
}

/// Whether the Redis server answers, if one is named.
async fn redis(context: &Context) -> Option<Check> {
    const NAME: &str = "redis";
    const MEND: &str = "start it, or mend REDIS_URL, REDIS_PASSWORD and redis.cluster";
    context.config.redis.url.as_ref()?;
    let server = context
        .config
        .settings()
        .map_err(|problem| problem.message)
        .and_then(|settings| l9::redis::Server::new(&settings.redis).map_err(|error| error.to_string()));
    Some(match server {
        Err(why) => Check::bad(NAME, why, MEND),
        Ok(server) => match server.ping().await {
            Ok(used) => Check::good(NAME, format!("{} answers and uses {} KiB", server.shown(), used >> 10)),
            Err(error) => Check::bad(NAME, error.to_string(), MEND),
        },
    })
}

/// Whether what finds memories by meaning can be used; a server is not asked.
fn embedder(config: &Config) -> Option<Check> {
    const NAME: &str = "embedder";
    const MEND: &str = "mend memory.model_dir and what it names, or set memory.embedder to none";
    Some(match config.settings().map_err(|problem| problem.message) {
        Err(why) => Check::bad(NAME, why, MEND),
        Ok(settings) => match settings.embedding.describe(settings.openai_api_key.as_ref()) {
            Ok(None) => return None,
            Ok(Some(found)) => Check::good(NAME, found),
            Err(error) => Check::bad(NAME, error.to_string(), MEND),
        },
    })
}

/// Whether the manifests of the folder could be used by a system that knows no others.
async fn tools(context: &Context) -> Check {
    const NAME: &str = "tools";
    let opened = match context.config.settings() {
        Ok(settings) => {
            let (storage, embedding) = (l9::Storage::InMemory, l9::embedding::Settings::default());
            let sealed = sealed_secrets(&settings);
            context.open_knowing(l9::Settings { storage, embedding, ..settings }, sealed).await
        }
        Err(problem) => Err(Failure::from(problem)),
    };
    match opened {
        Err(failure) => {
            let mend = failure.help().map_or_else(|| "correct the file that is named".to_owned(), str::to_owned);
            Check::bad(NAME, failure.to_string(), mend)
        }
        Ok(runtime) => {
            let shelved = runtime.registry().shelved();
            let from = |source| shelved.iter().filter(|one| one.source == source).count();
            let found = format!("{} built in, {} from manifests", from(Source::Program), from(Source::Operator));
            runtime.shutdown().await;
            Check::good(NAME, found)
        }
    }
}

/// The secrets that are sealed beside the database, which a system in memory has no key for. None
/// without the key: its own check says so.
fn sealed_secrets(settings: &l9::Settings) -> Option<Arc<dyn Provider>> {
    let path = settings.sealed_secrets_path();
    let keyring = path.exists().then(|| Keyring::open(settings.root_key_path()).ok()).flatten()?;
    Some(Arc::new(Sealed::at(path, Arc::new(keyring))))
}

fn mend_of(failure: &Failure) -> String {
    failure
        .help()
        .map_or_else(|| "see the message; `l9-server audit verify` names damaged records".to_owned(), str::to_owned)
}

async fn sandbox_and_models(context: &Context) -> Vec<Check> {
    // A system of its own, so that looking leaves no run behind.
    let folder =
        tempfile::tempdir().map_err(|error| Failure::failed(format!("no temporary folder can be made: {error}")));
    let built = match (folder, context.config.settings()) {
        (Err(failure), _) => Err(failure),
        (_, Err(problem)) => Err(Failure::from(problem)),
        (Ok(folder), Ok(mut settings)) => {
            settings.data_dir = folder.path().to_owned();
            settings.storage = l9::Storage::Sqlite;
            (settings.database, settings.root_key) = (None, None);
            (settings.seed, settings.tools_dir) = (None, None);
            // What happens here is in nobody's log, and no witness hears of it.
            settings.audit = l9::audit::Settings::default();
            // Nobody outside is started or asked.
            settings.mcp.clear();
            settings.redis = l9::redis::Settings::default();
            settings.embedding = l9::embedding::Settings::default();
            context.open_apart(settings).await.map(|runtime| (runtime, folder))
        }
    };
    match built {
        Err(failure) => vec![Check::bad("sandbox", failure.to_string(), mend_of(&failure))],
        Ok((runtime, _folder)) => {
            let checks = vec![sandbox(&runtime).await, models(&runtime, &context.config).await];
            runtime.shutdown().await;
            checks
        }
    }
}

async fn sandbox(runtime: &Runtime) -> Check {
    const NAME: &str = "sandbox";
    let clock = SystemClock::default();
    let mut last = Check::bad(NAME, "not tried", "run doctor again");
    for _ in 0..SANDBOX_TRIES {
        let before = clock.monotonic();
        let ended = async { runtime.call("calc/evaluate", r#"{"expression": "6 * 7"}"#).await?.outcome().await };
        last = match ended.await {
            Ok(ended) if ended.answer["result"] == "42" => {
                let took = duration(clock.monotonic() - before);
                return Check::good(NAME, format!("calc/evaluate computed 6 * 7 = 42 in {took}"));
            }
            Ok(ended) => Check::bad(
                NAME,
                format!("calc/evaluate answered: {}", ended.text()),
                "run doctor again when this machine is less busy; if it stays, install this build again",
            ),
            Err(error) => {
                return Check::bad(NAME, error.to_string(), "check that this process may map executable memory");
            }
        };
    }
    last
}

/// Whether the programs of MCP servers are there; none is started and nobody is asked.
fn servers(config: &Config) -> Vec<Check> {
    const NAME: &str = "mcp servers";
    let servers = &config.mcp.servers;
    let missing = servers.iter().filter_map(|(name, server)| Some((name, server.missing_program()?)));
    let bad = missing.map(|(name, program)| {
        let mend = format!("install {program}, or correct mcp.servers.{name}.command");
        Check::bad(NAME, format!("{name}: there is no program {program}"), mend)
    });
    let mut checks: Vec<Check> = bad.collect();
    if checks.is_empty() && !servers.is_empty() {
        let names: Vec<&str> = servers.keys().map(String::as_str).collect();
        checks.push(Check::good(NAME, format!("{} (none was started or asked)", names.join(", "))));
    }
    checks
}

async fn models(runtime: &Runtime, config: &Config) -> Check {
    let names = runtime.health().await.models.join(", ");
    let hosted = config.models.openai.api_key.is_some() || config.models.anthropic.api_key.is_some();
    let hint = if hosted { "" } else { "; set OPENAI_API_KEY or ANTHROPIC_API_KEY for a language model" };
    Check::good("models", format!("{names}{hint} (nobody was called)"))
}

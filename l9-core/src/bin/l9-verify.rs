//! `l9-verify`: checks an evidence bundle, or a statement about an emergency stop, with
//! nothing but the log's key and, where there is one, a checkpoint that was kept elsewhere.
//! It opens no database and no connection.

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::ExitCode;

use l9_core::evidence::{
    Finding, Standstill, StatementVerdict, Trust, Turn, Verdict, VerifyingKey, is_statement, verify_bundle,
    verify_statement,
};
use l9_core::stop::Scope;
use serde::Serialize;

const USAGE: &str = "\
Checks the evidence of a run: its signatures, every hash and link, every body, and its place
in the log. Checks as well what is stated of an emergency stop: who ordered it, why, and
when all was quiet.

Usage: l9-verify BUNDLE --vkey KEY [--trusted-head FILE] [--json]
       l9-verify STATEMENT --vkey KEY [--json]

  BUNDLE               what `l9-server audit export` wrote; `-` reads standard input
  STATEMENT            what `l9-server stop` or `unstop` gave as the statement
  --vkey KEY           the log's key, as `l9-server audit checkpoint --vkey` shows it, or a
                       file that holds it; take it from somewhere you trust
  --trusted-head FILE  a checkpoint that you kept: the log must continue it
  --json               answer in JSON
  -h, --help           this text
  -V, --version        the version

Exit codes: 0 all of it holds, 1 rejected, 2 bad usage.
";

struct Arguments {
    file: String,
    vkey: String,
    head: Option<String>,
    json: bool,
}

fn main() -> ExitCode {
    let given: Vec<String> = std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    let asks = |names: [&str; 2]| given.iter().any(|word| names.contains(&word.as_str()));
    if asks(["-h", "--help"]) {
        print(USAGE);
        return ExitCode::SUCCESS;
    }
    if asks(["-V", "--version"]) {
        print(&format!("l9-verify {}\n", env!("CARGO_PKG_VERSION")));
        return ExitCode::SUCCESS;
    }
    match parse(given).and_then(|arguments| check(&arguments)) {
        Ok((holds, shown)) => {
            print(&shown);
            if holds { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(message) => {
            let _ = writeln!(std::io::stderr(), "error: {message}\nhelp: `l9-verify --help` shows the usage");
            ExitCode::from(2)
        }
    }
}

fn parse(given: Vec<String>) -> Result<Arguments, String> {
    let (mut file, mut vkey, mut head, mut json) = (None, None, None, false);
    let mut words = given.into_iter();
    while let Some(word) = words.next() {
        let (name, mut value) = match word.split_once('=') {
            Some((name, value)) if name.starts_with("--") => (name.to_owned(), Some(value.to_owned())),
            _ => (word, None),
        };
        let mut take = |name: &str| value.take().or_else(|| words.next()).ok_or(format!("{name} needs a value"));
        let twice = match name.as_str() {
            "--vkey" => vkey.replace(take(&name)?).is_some(),
            "--trusted-head" => head.replace(take(&name)?).is_some(),
            "--json" => std::mem::replace(&mut json, true),
            option if option.starts_with("--") => return Err(format!("{option} is no option")),
            _ => file.replace(name.clone()).is_some(),
        };
        if twice {
            return Err(format!("{name} is given twice, or there is a second file"));
        }
    }
    let file = file.ok_or("no bundle or statement is named")?;
    let vkey = vkey.ok_or("no key is given: name it with --vkey")?;
    Ok(Arguments { file, vkey, head, json })
}

/// Whether it holds, and what is to be said of it.
fn check(arguments: &Arguments) -> Result<(bool, String), String> {
    let vkey = match arguments.vkey.parse::<VerifyingKey>() {
        Ok(key) => key,
        Err(_) if Path::new(&arguments.vkey).is_file() => {
            text(&arguments.vkey)?.trim().parse().map_err(|error: l9_core::Error| error.to_string())?
        }
        Err(error) => return Err(error.to_string()),
    };
    let head = arguments.head.as_deref().map(text).transpose()?;
    let bytes = read(&arguments.file)?;
    if is_statement(&bytes) {
        if head.is_some() {
            return Err("a statement proves nothing of a trusted head: leave --trusted-head out".to_owned());
        }
        let verdict = verify_statement(&bytes, &vkey);
        let shown = if arguments.json { as_json(&verdict) } else { statement_as_text(&verdict, vkey.name()) };
        return Ok((verdict.ok, shown));
    }
    let verdict = verify_bundle(&bytes, &Trust { key: &vkey, head: head.as_deref() });
    let shown = if arguments.json { as_json(&verdict) } else { as_text(&verdict) };
    Ok((verdict.ok, shown))
}

fn text(path: &str) -> Result<String, String> {
    String::from_utf8(read(path)?).map_err(|_| format!("{path} is no text"))
}

fn read(path: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let read = match path {
        "-" => std::io::stdin().lock().read_to_end(&mut bytes).map(drop),
        path => std::fs::read(path).map(|content| bytes = content),
    };
    read.map(|()| bytes).map_err(|error| format!("{path} cannot be read: {error}"))
}

fn as_json(verdict: &impl Serialize) -> String {
    serde_json::to_string(verdict).map_or_else(|error| format!("{{\"error\":\"{error}\"}}\n"), |text| text + "\n")
}

fn as_text(verdict: &Verdict) -> String {
    if !verdict.ok {
        return rejected(&verdict.faults);
    }
    let mut text = String::new();
    if let (Some(run), Some(tenant), Some(end)) = (verdict.run, &verdict.tenant, verdict.end) {
        let end = serde_json::to_string(&end).unwrap_or_default();
        text += &format!("✓ run {run} of tenant {tenant}, {}\n", end.trim_matches('"'));
    }
    text += &format!(
        "✓ {} records in order and linked, {} bodies and {} artifacts re-hashed, {} expired under the published horizon, \
         {} erased under signed statements\n",
        verdict.records, verdict.bodies, verdict.artifacts, verdict.expired, verdict.erased
    );
    if let Some(checkpoint) = &verdict.checkpoint {
        text += &format!(
            "✓ all in the tree of {} over {} records, signed {}\n",
            checkpoint.origin, checkpoint.size, checkpoint.at
        );
    }
    match verdict.trusted {
        Some(size) => text + &format!("✓ the log continues the trusted head over {size} records\n"),
        None => text + "▪ no trusted head was given: a rewritten or cut log would not show\n",
    }
}

/// Whose words are shown quoted: they may hold what a terminal obeys.
fn statement_as_text(verdict: &StatementVerdict, origin: &str) -> String {
    let Some(Standstill { turn, scope, since, at, size, order, .. }) =
        verdict.standstill.as_ref().filter(|_| verdict.ok)
    else {
        return rejected(&verdict.faults);
    };
    let whom = match scope {
        Scope::All => "all tenants".to_owned(),
        Scope::Tenant(tenant) => format!("tenant {tenant}"),
    };
    let (done, begun) = match turn {
        Turn::Quiet => (format!("stopped {whom}"), since),
        Turn::Lifted => (format!("let {whom} go on"), at),
    };
    let mut text = match &verdict.order {
        Some(said) => format!("✓ {:?} {done} at {begun}, and said why: {:?}\n", said.by, said.reason),
        None => format!("✓ somebody {done} at {begun}\n▪ who and why is not in the file; its digest is {order}\n"),
    };
    text += &match turn {
        Turn::Quiet => format!("✓ all was quiet at {at}, {}\n", soon(verdict)),
        Turn::Lifted => format!("✓ what stood since {since} was lifted then\n"),
    };
    text + &format!("✓ signed by {origin} over the tree of {size} records\n")
        + "▪ that nothing began meanwhile is checked with the records: `l9-server audit verify`\n"
}

/// How soon after the order all was quiet.
fn soon(verdict: &StatementVerdict) -> String {
    let took = verdict.standstill.as_ref().map_or(0, Standstill::took_ms);
    let within = verdict.order.as_ref().and_then(|order| order.within_ms).unwrap_or_default();
    match verdict.in_time {
        Some(true) => format!("{took} ms after the order, within the {within} ms that were asked for"),
        Some(false) => format!("{took} ms after the order, later than the {within} ms that were asked for"),
        None => format!("{took} ms after the order; no time that was asked for is in the file"),
    }
}

fn rejected(faults: &[Finding]) -> String {
    let faults = faults.iter().map(|fault| format!("✗ {}: {}\n", fault.place, fault.what));
    faults.collect::<String>() + "rejected\n"
}

fn print(text: &str) {
    // The reader may have gone: nothing is left to tell anybody.
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}

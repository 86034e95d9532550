//! `l9-verify`: checks an evidence bundle with nothing but the log's key and, where there
//! is one, a checkpoint that was kept elsewhere. It opens no database and no connection.

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::ExitCode;

use l9_core::evidence::{Trust, Verdict, VerifyingKey, verify_bundle};

const USAGE: &str = "\
Checks the evidence of a run: its signatures, every hash and link, every body, and its place
in the log.

Usage: l9-verify BUNDLE --vkey KEY [--trusted-head FILE] [--json]

  BUNDLE               what `l9-server audit export` wrote; `-` reads standard input
  --vkey KEY           the log's key, as `l9-server audit checkpoint --vkey` shows it, or a
                       file that holds it; take it from somewhere you trust
  --trusted-head FILE  a checkpoint that you kept: the log must continue it
  --json               answer in JSON
  -h, --help           this text
  -V, --version        the version

Exit codes: 0 all of it holds, 1 rejected, 2 bad usage.
";

struct Arguments {
    bundle: String,
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
    let checked = parse(given).and_then(|arguments| check(&arguments).map(|verdict| (verdict, arguments.json)));
    match checked {
        Ok((verdict, json)) => {
            let shown = if json { as_json(&verdict) } else { as_text(&verdict) };
            print(&shown);
            if verdict.ok { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(message) => {
            let _ = writeln!(std::io::stderr(), "error: {message}\nhelp: `l9-verify --help` shows the usage");
            ExitCode::from(2)
        }
    }
}

fn parse(given: Vec<String>) -> Result<Arguments, String> {
    let (mut bundle, mut vkey, mut head, mut json) = (None, None, None, false);
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
            _ => bundle.replace(name.clone()).is_some(),
        };
        if twice {
            return Err(format!("{name} is given twice, or there is a second bundle"));
        }
    }
    let bundle = bundle.ok_or("no bundle is named")?;
    let vkey = vkey.ok_or("no key is given: name it with --vkey")?;
    Ok(Arguments { bundle, vkey, head, json })
}

fn check(arguments: &Arguments) -> Result<Verdict, String> {
    let vkey = match arguments.vkey.parse::<VerifyingKey>() {
        Ok(key) => key,
        Err(_) if Path::new(&arguments.vkey).is_file() => {
            text(&arguments.vkey)?.trim().parse().map_err(|error: l9_core::Error| error.to_string())?
        }
        Err(error) => return Err(error.to_string()),
    };
    let head = arguments.head.as_deref().map(text).transpose()?;
    let bundle = read(&arguments.bundle)?;
    Ok(verify_bundle(&bundle, &Trust { key: &vkey, head: head.as_deref() }))
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

fn as_json(verdict: &Verdict) -> String {
    serde_json::to_string(verdict).map_or_else(|error| format!("{{\"error\":\"{error}\"}}\n"), |text| text + "\n")
}

fn as_text(verdict: &Verdict) -> String {
    if !verdict.ok {
        let faults = verdict.faults.iter().map(|fault| format!("✗ {}: {}\n", fault.place, fault.what));
        return faults.collect::<String>() + "rejected\n";
    }
    let mut text = String::new();
    if let (Some(run), Some(tenant), Some(end)) = (verdict.run, &verdict.tenant, verdict.end) {
        let end = serde_json::to_string(&end).unwrap_or_default();
        text += &format!("✓ run {run} of tenant {tenant}, {}\n", end.trim_matches('"'));
    }
    text += &format!(
        "✓ {} records in order and linked, {} bodies and {} artifacts re-hashed, {} expired under the published horizon\n",
        verdict.records, verdict.bodies, verdict.artifacts, verdict.expired
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

fn print(text: &str) {
    // The reader may have gone: nothing is left to tell anybody.
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}

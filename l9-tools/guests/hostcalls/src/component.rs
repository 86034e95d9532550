//! The component's export: every step as a call of the host.

mod bindings {
    //! Generated from the WIT world.
    wit_bindgen::generate!({ path: "../../wit", world: "full" });
}

use bindings::l9::tool::files::{self, Entry, Error, Kind};
use bindings::l9::tool::{host, http, kv, output, progress};
use bindings::{Call, Fault, Guest};
use serde_json::{Value, json};

use crate::step::{Input, Step, Told};

struct HostCalls;

impl Guest for HostCalls {
    fn invoke(call: Call) -> Result<String, Fault> {
        let input: Input = serde_json::from_str(&call.input).map_err(|error| Fault::InvalidInput(error.to_string()))?;
        let told: Result<Vec<Told>, Fault> = input.steps.iter().map(repeat).collect();
        let told = told?;
        Ok(input.last.unwrap_or_else(|| json!({ "steps": told }).to_string()))
    }
}

bindings::export!(HostCalls with_types_in bindings);

fn repeat(step: &Step) -> Result<Told, Fault> {
    let mut told = Told::default();
    for turn in 0..step.times {
        match once(step, turn)? {
            Ok(value) => (told.done, told.gave) = (told.done + 1, value),
            Err((kind, message)) => {
                (told.error, told.message) = (Some(kind.to_owned()), Some(message));
                break;
            }
        }
    }
    Ok(told)
}

type Answer = Result<Value, (&'static str, String)>;

fn once(step: &Step, turn: u32) -> Result<Answer, Fault> {
    let (mount, path) = (&step.mount, &step.path(turn));
    let unit = |result: Result<(), Error>| result.map(|()| Value::Null).map_err(told);
    let answer = match step.call.as_str() {
        "files.stat" => files::stat(mount, path).map(|found| entry(&found)).map_err(told),
        "files.list" => files::list(mount, path).map(|all| all.iter().map(entry).collect()).map_err(told),
        "files.read" => files::read(mount, path, step.offset, step.len).map(text).map_err(told),
        "files.write" => unit(files::write(mount, path, &step.contents())),
        "files.append" => unit(files::append(mount, path, &step.contents())),
        "files.make-folder" => unit(files::make_folder(mount, path)),
        "files.rename" => unit(files::rename(mount, path, &step.to)),
        "files.remove" => unit(files::remove(mount, path)),
        "kv.get" => Ok(kv::get(path).map_or(Value::Null, text)),
        "kv.set" => kv::set(path, &step.contents()).map(|()| Value::Null).map_err(|message| ("full", message)),
        "kv.delete" => Ok(json!(kv::delete(path))),
        "kv.keys" => Ok(json!(kv::keys())),
        "http.send" => http::send(&request(step, path)).map(|told| answer(told, step.spelt)).map_err(unsent),
        "progress.show" => {
            progress::show(&step.text);
            Ok(Value::Null)
        }
        "output.write" => {
            output::write(&step.text);
            Ok(Value::Null)
        }
        "host.log" => {
            host::log(host::Level::Info, &step.text);
            Ok(Value::Null)
        }
        other => return Err(Fault::InvalidInput(format!("no call named {other:?}"))),
    };
    Ok(answer)
}

fn request(step: &Step, url: &str) -> http::Request {
    let header = |(name, value): &(String, String)| http::Header { name: name.clone(), value: value.clone() };
    http::Request {
        method: step.method.clone(),
        url: url.to_owned(),
        headers: step.headers.iter().map(header).collect(),
        body: step.contents(),
        secrets: step.secrets.clone(),
    }
}

fn answer(http::Response { status, headers, body }: http::Response, spelt: bool) -> Value {
    let body = if spelt { body.into_iter().flat_map(|byte| [byte, b' ']).collect() } else { body };
    let headers: Vec<_> = headers.into_iter().map(|header| json!([header.name, header.value])).collect();
    json!({"status": status, "headers": headers, "body": text(body)})
}

fn unsent(error: http::Error) -> (&'static str, String) {
    match error {
        http::Error::Denied(message) => ("denied", message),
        http::Error::InvalidRequest(message) => ("invalid-request", message),
        http::Error::NotSent(message) => ("not-sent", message),
        http::Error::NoAnswer(message) => ("no-answer", message),
    }
}

fn text(bytes: Vec<u8>) -> Value {
    String::from_utf8_lossy(&bytes).into_owned().into()
}

fn entry(entry: &Entry) -> Value {
    let kind = match entry.kind {
        Kind::File => "file",
        Kind::Folder => "folder",
        Kind::Other => "other",
    };
    json!({"name": entry.name, "kind": kind, "size": entry.size})
}

fn told(error: Error) -> (&'static str, String) {
    match error {
        Error::Denied(message) => ("denied", message),
        Error::InvalidPath(message) => ("invalid-path", message),
        Error::NotFound(message) => ("not-found", message),
        Error::Exists(message) => ("exists", message),
        Error::NotFitting(message) => ("not-fitting", message),
        Error::NoSpace(message) => ("no-space", message),
        Error::Failed(message) => ("failed", message),
    }
}

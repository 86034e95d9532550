//! Web pages and PDFs for an intake, read by the sandboxed tools that agents have for them.
//!
//! Each is a call of its own on the governed path, so policy, limits, the emergency stop and
//! the journal hold for what an operator takes in as for what an agent reads. Nothing here
//! looks into a document.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use l9_core::kernel::StartOptions;
use l9_core::label::Label;
use l9_core::{Error, ErrorKind, Result};
use l9_memory::ingest::{Extract, Ingest, Part, Written};
use serde_json::{Value, json};

use crate::runtime::Runtime;

/// How long one call may take, a wait for a place in the sandbox included.
const DEADLINE: Duration = Duration::from_secs(120);
/// How often a call that is over a rate limit is tried, and how long to wait in between.
const TRIES: usize = 13;
const PAUSE: Duration = Duration::from_secs(5);
/// The most bytes of a call's arguments.
const ARGUMENTS: usize = 12 << 20;
/// The most pages that are asked for at once.
const PAGES: u64 = 1_000;
/// The most text of a document, in bytes, and the most calls that read it: each has the whole
/// document in the journal.
const TEXT: usize = 16 << 20;
const CALLS: usize = 16;

/// Reads documents by `web/extract` and `pdf/extract`.
#[derive(Debug, Clone)]
struct Documents {
    runtime: Runtime,
}

/// The intake with the runtime's tools to read documents.
pub(crate) fn reading(intake: Ingest, runtime: &Runtime) -> Ingest {
    intake.with_extract(Arc::new(Documents { runtime: runtime.clone() }))
}

impl Documents {
    async fn call(&self, tool: &str, arguments: &Value, label: &Label) -> Result<Value> {
        let arguments = arguments.to_string();
        if arguments.len() > ARGUMENTS {
            return Err(Error::invalid(match tool {
                "pdf/extract" => "it is larger than 9 MiB: split it, such as with `qpdf --split-pages=50`",
                _ => "it is larger than 12 MiB: split it",
            }));
        }
        for _ in 1..TRIES {
            match self.try_call(tool, &arguments, label).await {
                Err(error) if error.kind() == ErrorKind::Exhausted => self.runtime.clock().sleep(PAUSE).await,
                called => return called,
            }
        }
        self.try_call(tool, &arguments, label).await
    }

    async fn try_call(&self, tool: &str, arguments: &str, label: &Label) -> Result<Value> {
        self.runtime.start().await;
        let (engine, principal) = (self.runtime.engine(), self.runtime.principal());
        let options = StartOptions { deadline: Some(DEADLINE), label: label.clone(), ..StartOptions::default() };
        let started = engine.start_tool(&principal, &tool.parse()?, arguments, options).await?;
        let ended = engine.handle(&principal, started.run).await?.outcome().await?;
        match &ended.code {
            None => Ok(ended.answer),
            Some(code) => {
                let kind = match code.rsplit('.').next() {
                    Some("rate_limited") => ErrorKind::Exhausted,
                    _ if code.starts_with("denied") => ErrorKind::Denied,
                    _ => ErrorKind::Invalid,
                };
                Err(Error::new(kind, format!("{tool} did not read it, as run {} tells: {}", started.run, ended.text())))
            }
        }
    }

    async fn page(&self, html: &[u8], label: &Label) -> Result<Vec<Part>> {
        let html = std::str::from_utf8(html).map_err(|error| {
            Error::invalid(format!(
                "it is not UTF-8: a bad byte stands at offset {}: convert it first, such as with `iconv -t UTF-8`",
                error.valid_up_to()
            ))
        })?;
        let read = self.call("web/extract", &json!({"html": html}), label).await?;
        if read["truncated"] == json!(true) {
            return Err(Error::invalid("it has more than 512 KiB of text or 1000 links: split it"));
        }
        Ok(vec![Part { text: text(&read)?, page: None }])
    }

    async fn document(&self, pdf: &[u8], label: &Label) -> Result<Vec<Part>> {
        let pdf = STANDARD.encode(pdf);
        let (mut parts, mut bytes) = (Vec::new(), 0);
        for _ in 0..CALLS {
            let first = parts.len() as u64 + 1;
            let read = self.call("pdf/extract", &json!({"pdf": pdf, "first": first, "most": PAGES}), label).await?;
            let mut pages = read["pages"].as_array().cloned().unwrap_or_default();
            let truncated = read["truncated"] == json!(true);
            // The last page of what did not fit may be cut off: it is asked for anew.
            if truncated && pages.len() > 1 {
                pages.pop();
            } else if truncated {
                return Err(Error::invalid(format!("its page {first} has more than 512 KiB of text: split it")));
            }
            for page in &pages {
                let text = text(page)?;
                bytes += text.len();
                parts.push(Part { text, page: page["page"].as_u64() });
            }
            if !truncated {
                return Ok(parts);
            }
            if bytes > TEXT {
                break;
            }
        }
        Err(Error::invalid(format!(
            "it has more text than {} MiB, or than {CALLS} calls tell: split it, such as with `qpdf --split-pages=50`",
            TEXT >> 20
        )))
    }
}

#[async_trait]
impl Extract for Documents {
    async fn extract(&self, written: Written, document: &[u8], label: &Label) -> Result<Vec<Part>> {
        match written {
            Written::Html => self.page(document, label).await,
            Written::Pdf => self.document(document, label).await,
            other => Err(Error::invalid(format!("nothing here reads {other:?}"))),
        }
    }
}

fn text(read: &Value) -> Result<String> {
    let text = read["text"].as_str().ok_or_else(|| Error::internal("a tool gave no text"))?;
    Ok(text.to_owned())
}

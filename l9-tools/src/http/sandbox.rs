//! Performing an HTTP tool: one request through the egress of its grants.
//!
//! It opens no connection itself, and shows the value of a secret to nobody but the
//! egress.

use std::collections::BTreeMap;
use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;
use l9_core::digest::Digest;
use l9_core::egress::EgressRequest;
use l9_core::governor::Permit;
use l9_core::tool::{
    Happened, HttpCall, HttpProbe, Inject, Manifest, Probed, Runtime, ToolFault, ToolOutput, ToolSandbox,
};
use l9_core::{Error, Result};

use super::outcome::{Answer, Stand};
use super::outward::{Outward, Surroundings};
use super::template::{Arguments, Template, Unfilled, encode, json};
use crate::egress::{USER_AGENT, wire_bytes};
use crate::error::Grouped;
use crate::headers::KEY;

/// Performs the calls of one HTTP tool.
pub struct Sandbox {
    call: HttpCall,
    outward: Outward,
}

impl fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("http::Sandbox").field("url", &self.call.url).finish_non_exhaustive()
    }
}

/// A request's templates, of a call or of a probe.
#[derive(Clone, Copy)]
struct Form<'a> {
    method: &'a str,
    url: &'a str,
    headers: &'a BTreeMap<String, String>,
    query: &'a BTreeMap<String, String>,
}

impl Sandbox {
    /// The sandbox of that tool, with the secrets it is granted.
    ///
    /// # Errors
    /// `Invalid` for a manifest of another kind or with defects, `Denied` for a secret that
    /// it is not granted.
    pub fn new(manifest: &Manifest, around: &Surroundings) -> Result<Self> {
        crate::registry::check(manifest)?;
        let Runtime::Http(call) = &manifest.runtime else {
            return Err(Error::invalid(format!("{} is no HTTP tool: write kind: http", manifest.id)));
        };
        let outward = Outward::of(manifest, around)?;
        Ok(Self { call: call.clone(), outward })
    }

    fn request(
        &self,
        form: Form<'_>,
        manifest: &Manifest,
        arguments: Arguments<'_>,
    ) -> Result<EgressRequest, ToolFault> {
        let template = |text: &str| Template::parse(text).map_err(Unfilled::Unfit);
        let mut url = template(form.url)?.address(arguments)?;
        for (name, value) in form.query {
            let Some(value) = optional(template(value)?.encoded(arguments))? else { continue };
            url.push(if url.contains('?') { '&' } else { '?' });
            url.push_str(&format!("{}={value}", encode(name)));
        }
        let mut headers = vec![
            ("user-agent".to_owned(), USER_AGENT.to_owned()),
            ("accept".to_owned(), "application/json, */*;q=0.5".to_owned()),
        ];
        for (name, value) in form.headers {
            let Some(value) = optional(template(value)?.header(arguments))? else { continue };
            headers.retain(|(there, _)| !there.eq_ignore_ascii_case(name));
            headers.push((name.to_ascii_lowercase(), value));
        }
        if !manifest.effect.may_just_repeat() {
            headers.push((KEY.to_owned(), arguments.key.to_owned()));
        }
        let secrets = self.outward.secrets(&url).map(|(_, secret)| secret.clone()).collect();
        Ok(EgressRequest {
            method: form.method.to_owned(),
            url,
            headers,
            secrets,
            body: Bytes::new(),
            idle: manifest.limits.wall(),
            max_response_bytes: manifest.limits.output_bytes,
        })
    }

    /// The request of a call.
    fn call_request(&self, manifest: &Manifest, arguments: Arguments<'_>) -> Result<EgressRequest, ToolFault> {
        let HttpCall { method, url, headers, query, .. } = &self.call;
        let mut request = self.request(Form { method, url, headers, query }, manifest, arguments)?;
        if let Some(body) = self.body(manifest, arguments)? {
            request.body = body;
            if !request.headers.iter().any(|(name, _)| name == "content-type") {
                request.headers.push(("content-type".to_owned(), "application/json".to_owned()));
            }
        }
        Ok(request)
    }

    /// The body of a call, within the manifest's input limit.
    fn body(&self, manifest: &Manifest, arguments: Arguments<'_>) -> Result<Option<Bytes>, ToolFault> {
        let body = match &self.call.body {
            Some(template) => json(template, arguments)?,
            None => matches!(self.call.method.as_str(), "POST" | "PUT" | "PATCH").then(|| arguments.input.clone()),
        };
        let Some(body) = body else { return Ok(None) };
        let bytes = Bytes::from(body.to_string());
        let (size, most) = (bytes.len() as u64, manifest.limits.input_bytes);
        if size > most {
            let (size, most) = (Grouped(size), Grouped(most));
            return Err(ToolFault::new(
                "invalid_input",
                format!("the body has {size} bytes, over the limit of {most}"),
            ));
        }
        Ok(Some(bytes))
    }
}

#[async_trait]
impl ToolSandbox for Sandbox {
    fn egress_bytes(&self, manifest: &Manifest, input: &serde_json::Value) -> u64 {
        // Every key has the same length.
        let key = Digest::ZERO.to_string();
        let request = self.call_request(manifest, Arguments { input, key: &key });
        let redirects = manifest.net.iter().map(|grant| u64::from(grant.redirects)).max().unwrap_or(0);
        request.map_or(0, |request| wire_bytes(&request).saturating_mul(1 + redirects))
    }

    async fn call(
        &self,
        permit: Permit,
        manifest: &Manifest,
        input: &serde_json::Value,
    ) -> Result<ToolOutput, ToolFault> {
        let key = permit.idempotency_key().to_string();
        let request = self.call_request(manifest, Arguments { input, key: &key })?;
        let stand = Stand { reads: manifest.effect.may_just_repeat(), again: permit.attempt() > 1 };
        let answer = self.outward.exchange(&permit, &manifest.limits, request).await?;
        let value = answer.judged(&manifest.limits, stand)?;
        Ok(ToolOutput { value, ..ToolOutput::default() })
    }

    async fn probe(&self, permit: Permit, manifest: &Manifest, input: &serde_json::Value) -> Result<Probed, ToolFault> {
        let Some(probe) = &self.call.probe else { return Ok(Probed::Unknown) };
        let key = permit.idempotency_key().to_string();
        let HttpProbe { method, url, headers, query, happened } = &**probe;
        let form = Form { method, url, headers, query };
        let mut request = self.request(form, manifest, Arguments { input, key: &key })?;
        // A probe is a read of its own: the key belongs to the write it asks about.
        request.headers.retain(|(name, _)| name != KEY);
        request.secrets.retain(|secret| !matches!(secret.place, Inject::Body(_)));
        let answer = self.outward.exchange(&permit, &manifest.limits, request).await?;
        Ok(probed(&answer, happened.as_ref(), answer.value(&manifest.limits)))
    }
}

/// What the answer to a probe says.
fn probed(answer: &Answer, happened: Option<&Happened>, value: serde_json::Value) -> Probed {
    let good = (200..300).contains(&answer.status);
    match happened {
        Some(Happened::Status(status)) if answer.status == *status => Probed::Happened(value),
        None if good => Probed::Happened(value),
        Some(Happened::Pointer(at)) if good => match value.pointer(&format!("/body{at}")) {
            _ if value.get("body").is_none() => Probed::Unknown,
            None | Some(serde_json::Value::Null | serde_json::Value::Bool(false)) => Probed::NotHappened,
            Some(_) => Probed::Happened(value),
        },
        _ if answer.status == 404 => Probed::NotHappened,
        _ => Probed::Unknown,
    }
}

/// Nothing, if an argument that may be left out is absent.
fn optional(filled: Result<String, Unfilled>) -> Result<Option<String>, Unfilled> {
    match filled {
        Err(Unfilled::Absent(_)) => Ok(None),
        other => other.map(Some),
    }
}

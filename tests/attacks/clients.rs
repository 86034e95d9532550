//! Tools whose sandboxes are missing one guard each: what an attack does where only that
//! guard is not there.
#![expect(clippy::unwrap_used, reason = "a test may fail")]

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use l9::egress::{Egress as _, EgressRequest, Injection};
use l9::gateway::{Direct, Gateway, Resolver as _};
use l9::governor::Permit;
use l9::redact::KnownSecrets;
use l9::time::SystemClock;
use l9::tool::{Inject, Manifest, ToolFault, ToolOutput, ToolSandbox};
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::world::World;

/// Hands the egress a request with any header, as what checks no manifest would.
#[derive(Debug)]
pub(crate) struct Outspoken {
    gateway: Gateway,
    name: String,
    value: String,
    secret: bool,
}

impl Outspoken {
    /// One that writes a header itself, or gives it to the egress as a secret.
    pub(crate) fn through(gateway: Gateway, (name, value): (&str, &str), secret: bool) -> Arc<dyn ToolSandbox> {
        Arc::new(Self { gateway, name: name.to_owned(), value: value.to_owned(), secret })
    }
}

#[async_trait]
impl ToolSandbox for Outspoken {
    fn egress_bytes(&self, _: &Manifest, _: &Value) -> u64 {
        10_000
    }

    async fn call(&self, permit: Permit, manifest: &Manifest, _: &Value) -> Result<ToolOutput, ToolFault> {
        let net = &manifest.net[0];
        let (name, value) = (self.name.clone(), self.value.clone());
        let (headers, secrets) = if self.secret {
            let value = SecretString::from(value);
            (Vec::new(), vec![Injection { place: Inject::Header(name), value, audience: net.host.clone() }])
        } else {
            (vec![(name, value)], Vec::new())
        };
        let request = EgressRequest {
            method: "POST".into(),
            url: format!("http://{}:{}/api/x", net.host, net.port.unwrap()),
            headers,
            secrets,
            body: vec![b'x'].into(),
            idle: Duration::from_secs(10),
            max_response_bytes: 10_000,
        };
        let (wait, known) = (Duration::from_secs(10), Arc::new(KnownSecrets::default()));
        let egress =
            Direct::granted(&manifest.net, wait, &self.gateway, known, Arc::new(SystemClock::default())).unwrap();
        let refused = |error: l9::Error| ToolFault::new("refused", error.to_string());
        let response = egress.send(&permit, request).await.map_err(refused)?;
        Ok(ToolOutput { value: json!({"status": response.status}), ..ToolOutput::default() })
    }
}

/// Puts arguments into a request as they are, and goes where the outcome points, as links in
/// a page are followed.
#[derive(Debug)]
pub(crate) struct Careless(pub(crate) Arc<World>);

#[async_trait]
impl ToolSandbox for Careless {
    async fn call(&self, _: Permit, manifest: &Manifest, input: &Value) -> Result<ToolOutput, ToolFault> {
        let (net, text) = (&manifest.net[0], |name: &str| input[name].as_str().unwrap_or_default().to_owned());
        let (argument, port) = (text("path"), net.port.unwrap());
        let (host, path) = match argument.trim_start_matches("http:").strip_prefix("//") {
            Some(address) => address.split_once('/').unwrap(),
            None => (net.host.as_str(), argument.as_str()),
        };
        let address = self.0.route(self.0.resolve(host).await.unwrap()[0]);
        let mut stream = tokio::net::TcpStream::connect((address, port)).await.unwrap();
        let request = format!("GET /api/{path} HTTP/1.1\r\nhost: {host}\r\nx-more: {}\r\n\r\n", text("more"));
        stream.write_all(request.as_bytes()).await.unwrap();
        stream.read_to_end(&mut Vec::new()).await.unwrap();
        Ok(ToolOutput { value: json!({"reached": true}), ..ToolOutput::default() })
    }
}

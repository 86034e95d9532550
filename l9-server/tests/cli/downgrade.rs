//! An answer over TLS that points to the same service without TLS.
//!
//! `tls/` has a certificate for localhost and the authority that signed it, whose key was
//! thrown away; the process trusts it by `SSL_CERT_FILE`, as any other of its machine.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::json;

use crate::support::Cli;

fn certificates(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli/tls").join(name)
}

/// A server over TLS or not, which keeps what it was sent.
struct Server {
    port: u16,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn start(secure: bool, answer: String) -> Self {
        let chain = vec![CertificateDer::from_pem_file(certificates("server.pem")).unwrap()];
        let key = PrivateKeyDer::from_pem_file(certificates("server.key")).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = Arc::new(config.with_no_client_auth().with_single_cert(chain, key).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (port, seen) = (listener.local_addr().unwrap().port(), Arc::new(Mutex::new(Vec::new())));
        let saw = Arc::clone(&seen);
        std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                let _ = if secure {
                    let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
                    serve(StreamOwned::new(connection, stream), &answer, &saw)
                } else {
                    serve::<TcpStream>(stream, &answer, &saw)
                };
            }
        });
        Self { port, seen }
    }

    fn seen(&self) -> usize {
        self.seen.lock().unwrap().len()
    }
}

fn serve<S: Read + Write>(mut stream: S, answer: &str, saw: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        head.extend(byte);
    }
    saw.lock().unwrap().push(String::from_utf8_lossy(&head).into_owned());
    stream.write_all(answer.as_bytes())?;
    stream.flush()
}

fn elsewhere(to: &str) -> String {
    format!("HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
}

#[test]
fn a_redirect_that_leaves_tls_is_not_followed_and_another_is() {
    let cli = Cli::new().with("SSL_CERT_FILE", certificates("authority.pem").to_str().unwrap());
    let end =
        "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok".to_owned();
    // The answer of a hub leads to one of the others, all of which are granted alike.
    for (version, (hub, end_is_secure, code)) in
        [(true, false, 1), (true, true, 0), (false, false, 0), (false, true, 0)].into_iter().enumerate()
    {
        let scheme = |secure: bool| if secure { "https" } else { "http" };
        let target = Server::start(end_is_secure, end.clone());
        let to = format!("{}://localhost:{}/api/end", scheme(end_is_secure), target.port);
        let hub_server = Server::start(hub, elsewhere(&to));
        let net = |secure: bool, port: u16| {
            json!({"scheme": scheme(secure), "host": "localhost", "port": port, "methods": ["GET"],
                "path_prefix": "/api", "allow_private": true, "redirects": 1})
        };
        let manifest = json!({
            "schema_version": 1, "id": "web/fetch", "version": format!("1.0.{version}"), "title": "Fetch",
            "description": "Fetches what there is.", "effect": "read", "input_schema": {"type": "object"},
            "runtime": {"kind": "http", "method": "GET",
                "url": format!("{}://localhost:{}/api/start", scheme(hub), hub_server.port)},
            "net": [net(hub, hub_server.port), net(end_is_secure, target.port)],
            "limits": {"wall_ms": 30_000},
        });
        cli.write(".l9/tools/fetch.json", manifest.to_string());
        let ended = cli.run(&["tools", "call", "web/fetch", "{}"]).expect(code);
        assert_eq!((hub_server.seen(), target.seen()), (1, usize::from(code == 0)), "{hub} {end_is_secure} {ended:?}");
        if code != 0 {
            assert!(format!("{ended:?}").contains("redirected"), "{ended:?}");
        }
    }
    // Whoever does not trust the authority gets no further than the handshake.
    let other = Cli::new();
    let hub = Server::start(true, end);
    let manifest = json!({
        "schema_version": 1, "id": "web/fetch", "version": "1.0.0", "title": "Fetch", "effect": "read",
        "description": "Fetches what there is.", "input_schema": {"type": "object"},
        "runtime": {"kind": "http", "method": "GET", "url": format!("https://localhost:{}/api/start", hub.port)},
        "net": [{"scheme": "https", "host": "localhost", "port": hub.port, "methods": ["GET"], "path_prefix": "/api",
            "allow_private": true}],
    });
    other.write(".l9/tools/fetch.json", manifest.to_string());
    other.run(&["tools", "call", "web/fetch", "{}"]).expect(1);
    assert_eq!(hub.seen(), 0);
}

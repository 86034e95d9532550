//! Addresses that a tool asks for, against what it is granted.

use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use l9::egress::EgressRequest;
use l9::gateway::{Direct, Gateway, Resolver};
use l9::redact::KnownSecrets;
use l9::time::SystemClock;
use l9::tool::NetGrant;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::change::{changed, changes};

/// What readers of addresses stumble over.
const WORDS: [&str; 32] = [
    "@",
    "\\",
    "//",
    "/../",
    "/..",
    "%2e%2e/",
    "%2f",
    "%5c",
    "..;",
    "#",
    "?",
    ":80",
    ":443",
    ":",
    "[::1]",
    "127.0.0.1",
    "0x7f.1",
    "2130706433",
    "[::ffff:7f00:1]",
    "169.254.169.254",
    "evil.test",
    ".evil.test",
    ".",
    "\u{ff0f}",
    "\u{3002}",
    "\u{430}",
    "%00",
    "\t",
    "http://",
    "https:",
    "file:///",
    "api.test@",
];

/// Every name has one public address; it keeps what it was asked.
#[derive(Debug, Default)]
struct Names(Mutex<Vec<String>>);

#[async_trait]
impl Resolver for Names {
    async fn resolve(&self, host: &str) -> std::io::Result<Vec<IpAddr>> {
        self.0.lock().unwrap().push(host.to_owned());
        Ok(vec![IpAddr::from([93, 184, 216, 34])])
    }

    fn route(&self, _: IpAddr) -> IpAddr {
        IpAddr::from([127, 0, 0, 1])
    }
}

/// Answers every request and keeps its head.
async fn serve(listener: TcpListener, seen: Arc<Mutex<Vec<String>>>) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let seen = Arc::clone(&seen);
        tokio::spawn(async move {
            let mut bytes = Vec::new();
            while stream.read_buf(&mut bytes).await.is_ok_and(|read| read > 0) {
                if bytes.ends_with(b"\r\n\r\n") {
                    seen.lock().unwrap().push(String::from_utf8_lossy(&bytes).into_owned());
                    bytes.clear();
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
                }
            }
        });
    }
}

/// Whatever arrives was granted: by its host and port as they are, and below its path
/// however often it is decoded. No other name is looked up.
#[test]
fn no_address_leads_past_its_grant() {
    let threads = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (names, seen) = (Arc::<Names>::default(), Arc::<Mutex<Vec<String>>>::default());
    let listener = threads.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let port = listener.local_addr().unwrap().port();
    threads.spawn(serve(listener, Arc::clone(&seen)));
    let grant: NetGrant = serde_json::from_value(serde_json::json!({
        "scheme": "http", "host": "api.test", "port": port, "methods": ["GET"], "path_prefix": "/v1",
    }))
    .unwrap();
    let gateway = Gateway::new(Arc::<Names>::clone(&names));
    let (secrets, clock) = (Arc::new(KnownSecrets::default()), Arc::new(SystemClock::default()));
    let egress = Direct::granted(&[grant], Duration::from_secs(5), &gateway, secrets, clock).unwrap();
    let sound = format!("http://api.test:{port}/v1/notes?a=b");
    let host = format!("host: api.test:{port}\r\n");
    let config = Config { cases: 4096, failure_persistence: None, ..Config::default() };
    let arrived = std::cell::Cell::new(0);
    let ran = TestRunner::new(config).run(&changes(), |changes| {
        let url = String::from_utf8_lossy(&changed(sound.as_bytes(), &changes, &WORDS)).into_owned();
        let request = EgressRequest {
            method: "GET".to_owned(),
            url: url.clone(),
            headers: Vec::new(),
            secrets: Vec::new(),
            body: Vec::new().into(),
            idle: Duration::from_secs(5),
            max_response_bytes: 1024,
        };
        let sent = threads.block_on(egress.errand(&CancellationToken::new(), request));
        let requests = std::mem::take(&mut *seen.lock().unwrap());
        prop_assert_eq!(sent.is_ok(), requests.len() == 1, "{:?}: {:?}", url, sent.err());
        prop_assert!(names.0.lock().unwrap().iter().all(|name| name == "api.test"), "{:?}", url);
        for request in requests {
            let line = request.lines().next().unwrap();
            let path = line.strip_prefix("GET ").unwrap().strip_suffix(" HTTP/1.1").unwrap();
            prop_assert!(request.contains(&host), "{:?}: {}", url, request);
            let path = path.split('?').next().unwrap();
            prop_assert!(path == "/v1" || path.starts_with("/v1/"), "{:?}: {}", url, path);
            let bare = path.replace("%25", "%").replace("%2e", ".").replace("%2E", ".");
            let steps = bare.replace("%2f", "/").replace("%2F", "/").replace("%5c", "/").replace("%5C", "/");
            prop_assert!(
                steps.split('/').all(|step| !matches!(step.split(';').next(), Some(".."))),
                "{:?}: {}",
                url,
                path
            );
            arrived.set(arrived.get() + 1);
        }
        Ok(())
    });
    ran.unwrap();
    assert!(arrived.get() > 100, "some of them arrive: {}", arrived.get());
}

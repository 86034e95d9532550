//! `pdf/extract` in the sandbox.

use l9::Runtime;
use l9::run::Outcome;
use serde_json::{Value, json};

use super::support::{Called, base64, by_an_agent, call, fault};

/// A document of one page with that content, whose stream has these filters.
fn document(filters: &str, content: &[u8]) -> String {
    let mut bytes = b"%PDF-1.7
1 0 obj << /Type /Catalog /Pages 2 0 R >> endobj
2 0 obj << /Type /Pages /Count 1 /Kids [3 0 R] >> endobj
3 0 obj << /Type /Page /Parent 2 0 R /Contents 4 0 R /Resources << /Font << /F 5 0 R >> >> >> endobj
5 0 obj << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> endobj
4 0 obj << /Filter ["
        .to_vec();
    bytes.extend(format!("{filters}] /Length {} >> stream\n", content.len()).bytes());
    bytes.extend(content);
    bytes.extend(b"\nendstream endobj\ntrailer << /Root 1 0 R >>\n");
    base64(&bytes)
}

fn asked() -> Value {
    json!({"pdf": document("", b"BT /F 12 Tf 72 720 Td (Dredged in 1911.) Tj ET")})
}

async fn extract(runtime: &Runtime, arguments: &Value) -> Called {
    call(runtime, "pdf/extract", arguments).await
}

#[tokio::test]
async fn a_document_becomes_text_and_what_is_none_is_named() {
    let runtime = Runtime::builder().in_memory().build().await.unwrap();
    assert_eq!(
        extract(&runtime, &asked()).await.unwrap(),
        json!({
            "title": "", "page_count": 1, "pages": [{"page": 1, "text": "Dredged in 1911."}], "unreadable": 0,
            "truncated": false
        })
    );
    let (code, message) = fault(extract(&runtime, &json!({"pdf": base64(b"GIF89a")})).await);
    assert!(code == "invalid_input" && message.contains("these 6 bytes are no PDF"), "{code} {message}");
    let (_, message) = fault(extract(&runtime, &json!({"pdf": base64(b"%PDF-1.7"), "most": 0})).await);
    assert!(message.contains("/most"), "{message}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_document_that_unpacks_to_gigabytes_ends_the_call_and_nothing_else() {
    let runtime = Runtime::builder().in_memory().build().await.unwrap();
    // Each pair of these bytes stands for 128 of them, and so on; what ends each turn stands behind.
    let mut end = vec![0x80];
    for _ in 1..4 {
        end = [&[u8::try_from(end.len() - 1).unwrap()], end.as_slice(), &[0x80]].concat();
    }
    let bomb = document(&"/RunLengthDecode ".repeat(4), &[&[0x81; 4_096], end.as_slice()].concat());
    let bomb = json!({"pdf": bomb});
    let (code, message) = fault(extract(&runtime, &bomb).await);
    assert!(code == "limit.memory", "{code} {message}");
    assert!(extract(&runtime, &asked()).await.is_ok());
}

#[tokio::test]
async fn an_agent_reads_a_document() {
    let outcome = by_an_agent(Runtime::builder().in_memory(), "pdf/extract", &asked()).await.outcome;
    assert!(matches!(outcome, Outcome::Ok { .. }), "{outcome:?}");
}

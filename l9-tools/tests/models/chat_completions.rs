//! The chat completions wire: what is sent, what is read, and what is asked again.

use std::time::Duration;

use l9_core::model::{StopReason, Usage};
use l9_tools::models::Limits;
use serde_json::json;

use super::support::engine::{Terms, ask};
use super::support::provider::{Act, Provider, events, stream, stream_head};
use super::{CALLS, HELLO, KEY, asked, code, message, openai_at, question, quick, refused, whole};

#[tokio::test]
async fn a_stream_in_single_bytes_is_shown_and_answered() {
    let provider = Provider::start([vec![Act::Drip([stream(&HELLO), events(&["[DONE]"])].concat())]]).await;
    let asked = asked(&provider, quick()).await;
    let response = asked.result.unwrap();
    assert_eq!((response.text.as_str(), asked.words.as_str()), ("forty-two ✓", "forty-two ✓"));
    assert_eq!((response.stop, response.model.as_str()), (StopReason::End, "m-1"));
    assert_eq!(response.usage, Usage { input_tokens: 10, cached_tokens: 0, output_tokens: 5, micro_usd: 20 });
}

#[tokio::test]
async fn the_request_is_exactly_what_the_wire_wants() {
    let provider = Provider::start([whole(&HELLO)]).await;
    asked(&provider, quick()).await.result.unwrap();
    let received = &provider.received()[0];
    assert!(received.head.starts_with("POST /v1/chat/completions HTTP/1.1"), "{}", received.head);
    assert_eq!(received.header("authorization"), Some(format!("Bearer {KEY}").as_str()));
    assert_eq!(received.header("content-type"), Some("application/json"));
    assert_eq!(received.header("accept-encoding"), Some("identity"));
    for absent in ["cookie", "idempotency-key", "referer"] {
        assert_eq!(received.header(absent), None, "{absent}");
    }
    let function = |name: &str| json!({"type": "function", "function": {"name": name, "description": "looks up", "parameters": {"type": "object"}}});
    let expected = json!({
        "model": "m",
        "messages": [{"role": "system", "content": "be brief"}, {"role": "user", "content": "what is it?"}],
        "stream": true,
        "stream_options": {"include_usage": true},
        "max_tokens": 64,
        "tools": [function("web__search"), function("math__calc")],
    });
    assert_eq!(received.body, expected);
}

#[tokio::test]
async fn parallel_calls_keep_their_own_arguments_and_go_back_to_their_tools() {
    let provider = Provider::start([whole(&CALLS)]).await;
    let response = asked(&provider, quick()).await.result.unwrap();
    let calls: Vec<_> = response.tools.iter().map(|call| (call.name.as_str(), call.arguments.as_str())).collect();
    assert_eq!(
        calls,
        [("web/search", r#"{"q":"x"}"#), ("rm_rf", "{not json")],
        "what the model wrote is for the governor to refuse"
    );
    assert_eq!(response.stop, StopReason::Tools);
}

#[tokio::test]
async fn passing_refusals_are_retried_after_the_wait_they_ask_for() {
    for first in [
        refused(429, &[("retry-after", "1")], r#"{"error":{"message":"slow down"}}"#),
        refused(529, &[("retry-after-ms", "1000")], r#"{"error":{"type":"overloaded_error"}}"#),
        refused(
            503,
            &[("date", "Sun, 06 Nov 1994 08:49:37 GMT"), ("retry-after", "Sun, 06 Nov 1994 08:49:38 GMT")],
            "",
        ),
    ] {
        let provider = Provider::start([first, whole(&HELLO)]).await;
        let asked = asked(&provider, quick()).await;
        assert_eq!(asked.result.unwrap().text, "forty-two ✓");
        assert_eq!(provider.received().len(), 2);
        assert!(asked.took >= Duration::from_secs(1), "{:?}", asked.took);
    }
}

#[tokio::test]
async fn a_server_error_is_retried_and_so_is_one_in_the_stream() {
    let overloaded = [r#"{"error":{"message":"busy","type":"server_error","code":503}}"#];
    for first in [refused(500, &[], "oops"), refused(408, &[], ""), whole(&overloaded)] {
        let provider = Provider::start([first, whole(&HELLO)]).await;
        let asked = asked(&provider, quick()).await;
        assert_eq!((asked.result.unwrap().text.as_str(), provider.received().len()), ("forty-two ✓", 2));
    }
}

#[tokio::test]
async fn retries_end_and_the_last_words_of_the_provider_are_kept() {
    let provider = Provider::start([refused(502, &[], r#"{"error":{"message":"upstream is away"}}"#)]).await;
    let asked = asked(&provider, quick()).await;
    assert_eq!((code(&asked), provider.received().len()), ("unavailable", 3));
    assert!(message(&asked).contains("upstream is away"), "{}", message(&asked));
}

#[tokio::test]
async fn whoever_asks_to_be_left_alone_for_long_is_not_asked_again() {
    let provider = Provider::start([refused(429, &[("retry-after", "3600")], "")]).await;
    let asked = asked(&provider, quick()).await;
    assert_eq!((code(&asked), provider.received().len()), ("rate_limited", 1));
    assert_eq!(asked.result.as_ref().unwrap_err().retry_after, Some(Duration::from_secs(3600)));
    assert!(asked.took < Duration::from_secs(15));
}

#[tokio::test]
async fn lasting_refusals_are_not_retried_and_never_show_the_key() {
    let echo = format!(r#"{{"error":{{"message":"Incorrect API key provided: {KEY}"}}}}"#);
    for (status, expected, mend) in [
        (400, "bad_request", "answered 400"),
        (401, "unauthenticated", "OPENAI_API_KEY"),
        (403, "unauthenticated", "OPENAI_API_KEY"),
        (404, "bad_request", "base URL"),
    ] {
        let provider = Provider::start([refused(status, &[("content-type", "application/json")], &echo)]).await;
        let asked = asked(&provider, quick()).await;
        assert_eq!((code(&asked), provider.received().len()), (expected, 1), "{status}");
        assert!(message(&asked).contains(mend) && !message(&asked).contains(KEY), "{}", message(&asked));
    }
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let target = Provider::start([whole(&HELLO)]).await;
    let provider =
        Provider::start([refused(307, &[("location", &format!("{}/v1/chat/completions", target.url()))], "")]).await;
    let asked = asked(&provider, quick()).await;
    assert_eq!(code(&asked), "bad_request");
    assert!(message(&asked).contains(&target.url()) && target.received().is_empty());
}

#[tokio::test]
async fn nobody_listening_is_unavailable() {
    let url = Provider::start([Vec::new()]).await.url();
    let asked = ask(openai_at(&url, quick()), question(), Terms::default()).await;
    assert_eq!(code(&asked), "unavailable");
    assert!(message(&asked).contains("cannot connect"), "{}", message(&asked));
}

#[tokio::test]
async fn a_connection_reset_before_any_words_is_retried() {
    for acts in [vec![Act::Reset], vec![Act::Write(stream_head()), Act::Wait(Duration::from_millis(50)), Act::Reset]] {
        let provider = Provider::start([acts, whole(&HELLO)]).await;
        let asked = asked(&provider, quick()).await;
        assert_eq!((asked.result.unwrap().text.as_str(), asked.words.as_str()), ("forty-two ✓", "forty-two ✓"));
    }
}

#[tokio::test]
async fn a_stream_cut_after_words_is_asked_for_again_and_charged_for_both() {
    let cut = vec![Act::Write(stream(&HELLO[..1])), Act::Wait(Duration::from_millis(50)), Act::Reset];
    let provider = Provider::start([cut, whole(&HELLO)]).await;
    let asked = asked(&provider, quick()).await;
    let response = asked.result.unwrap();
    assert_eq!(response.text, "forty-two ✓", "what was shown does not stand in for the answer");
    assert!(asked.words.starts_with("forty\n\n[") && asked.words.ends_with("forty-two ✓"), "{}", asked.words);
    let reserved = openai_at(&provider.url(), quick()).estimate(&question()).tokens;
    assert_eq!((asked.spent.calls, asked.spent.tokens), (2, reserved + 15), "nobody counted the first");
}

#[tokio::test]
async fn a_stream_that_ends_politely_but_unfinished_is_cut_off() {
    let provider = Provider::start([vec![Act::Write(stream(&HELLO[..2]))]]).await;
    let asked = asked(&provider, quick()).await;
    assert_eq!((code(&asked), provider.received().len()), ("cut_off", 3));
}

#[tokio::test]
async fn an_answer_that_gave_its_reason_to_stop_survives_a_broken_end() {
    for end in [Act::Reset, Act::Hang] {
        let provider =
            Provider::start([vec![Act::Write(stream(&HELLO[..3])), Act::Wait(Duration::from_millis(50)), end]]).await;
        let asked = asked(&provider, Limits { idle_ms: 1000, ..quick() }).await;
        let response = asked.result.unwrap();
        assert_eq!((response.text.as_str(), provider.received().len()), ("forty-two ✓", 1));
        assert!(response.usage.input_tokens > 0, "a provider that does not count is counted for");
    }
}

#[tokio::test]
async fn what_is_not_the_wire_is_malformed_and_not_retried() {
    let html = refused(200, &[("content-type", "text/html")], "<html>welcome</html>");
    let broken = whole(&[r#"{"choices":[{"delta":"#]);
    let empty = refused(200, &[("content-type", "application/json")], "{}");
    let none = refused(204, &[], "");
    for acts in [html, broken, empty, none] {
        let provider = Provider::start([acts]).await;
        let asked = asked(&provider, quick()).await;
        assert_eq!((code(&asked), provider.received().len()), ("malformed", 1), "{}", message(&asked));
    }
}

#[tokio::test]
async fn a_server_that_does_not_stream_is_understood() {
    let body = r#"{"model":"m","choices":[{"message":{"content":"all at once"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":2}}"#;
    let provider = Provider::start([refused(200, &[("content-type", "application/json; charset=utf-8")], body)]).await;
    let asked = asked(&provider, quick()).await;
    assert_eq!((asked.result.unwrap().text.as_str(), asked.words.as_str()), ("all at once", "all at once"));
}

#[tokio::test]
async fn silence_ends_at_the_idle_limit() {
    let terms = Terms { attempts: 1, ..Terms::default() };
    let slow_head = vec![Act::Drip(b"HTTP/1.1 200 OK\r\ncontent-type: ".to_vec()), Act::Hang];
    for acts in [vec![Act::Hang], slow_head, vec![Act::Write(stream(&HELLO[..1])), Act::Hang]] {
        let provider = Provider::start([acts]).await;
        let client = openai_at(&provider.url(), Limits { idle_ms: 1000, ..quick() });
        let asked = ask(client, question(), terms).await;
        assert_eq!(code(&asked), "timeout", "{}", message(&asked));
        assert!(asked.took < Duration::from_secs(10));
    }
}

#[tokio::test]
async fn a_stream_that_never_ends_is_held_by_the_permit() {
    let trickle =
        (0..200).flat_map(|_| [Act::Write(b": still here\n\n".to_vec()), Act::Wait(Duration::from_millis(100))]);
    let provider = Provider::start([[Act::Write(stream_head())].into_iter().chain(trickle).collect()]).await;
    let terms = Terms { deadline: Duration::from_millis(800), ..Terms::default() };
    let asked = ask(openai_at(&provider.url(), quick()), question(), terms).await;
    assert_eq!((code(&asked), provider.received().len()), ("timeout", 1), "{}", message(&asked));
    assert!(asked.took >= Duration::from_millis(700) && asked.took < Duration::from_secs(10));
}

#[tokio::test]
async fn cancelling_the_run_ends_the_call_wherever_it_is() {
    let terms = Terms { cancel_after: Some(Duration::from_millis(200)), ..Terms::default() };
    for acts in [vec![Act::Hang], vec![Act::Write(stream(&HELLO[..1])), Act::Hang]] {
        let provider = Provider::start([acts]).await;
        let asked = ask(openai_at(&provider.url(), quick()), question(), terms).await;
        assert_eq!((code(&asked), provider.received().len()), ("cancelled", 1));
        assert!(asked.took < Duration::from_secs(8), "{:?}", asked.took);
    }
}

#[tokio::test]
async fn floods_are_capped() {
    let limits = Limits { max_response_bytes: 100_000, max_event_bytes: 10_000, ..quick() };
    let endless_line = vec![Act::Write(stream_head()), Act::Flood(vec![b'x'; 1000])];
    let endless_events = vec![Act::Write(stream_head()), Act::Flood(events(&[HELLO[0]]))];
    let endless_json = vec![
        Act::Write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n".to_vec()),
        Act::Flood(vec![b' '; 1000]),
    ];
    for acts in [endless_line, endless_events, endless_json] {
        let provider = Provider::start([acts]).await;
        let asked = asked(&provider, limits).await;
        assert_eq!((code(&asked), provider.received().len()), ("malformed", 1), "{}", message(&asked));
    }
}

#[tokio::test]
async fn a_flood_of_headers_or_of_refusal_is_survived() {
    let terms = Terms { attempts: 1, ..Terms::default() };
    let headers = vec![Act::Write(b"HTTP/1.1 200 OK\r\n".to_vec()), Act::Flood(b"x-much: more\r\n".to_vec())];
    let long = vec![
        Act::Write([b"HTTP/1.1 200 OK\r\nx: ".as_slice(), &[b'y'; 1 << 20]].concat()),
        Act::Flood(vec![b'y'; 1000]),
    ];
    let refusal = vec![Act::Write(b"HTTP/1.1 500 No\r\n\r\n".to_vec()), Act::Flood(vec![b'z'; 1000])];
    for acts in [headers, long, refusal] {
        let provider = Provider::start([acts]).await;
        let asked = ask(openai_at(&provider.url(), quick()), question(), terms).await;
        assert_eq!(code(&asked), "unavailable", "{}", message(&asked));
        assert!(message(&asked).len() < 1000);
    }
}

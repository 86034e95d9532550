//! The commands of `docs/api/http-api.md`, run in order against the served binary.

mod support;

use support::Served;

#[tokio::test]
async fn every_command_of_the_document_succeeds() {
    let served = Served::start().await;
    served.warm().await;
    let document = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/api/http-api.md");
    let text = std::fs::read_to_string(document).unwrap();
    let blocks = text.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next());
    let commands: String = blocks.collect::<String>().replace("http://127.0.0.1:8000", &served.url(""));
    assert!(commands.matches("curl").count() > 15, "the document has its examples");
    // Every curl fails on an answer that is an error.
    let script = format!("set -eu\ncurl() {{ command curl --fail-with-body --noproxy '*' \"$@\"; echo; }}\n{commands}");
    let ran = tokio::process::Command::new("sh").args(["-c", &script]).output().await.unwrap();
    let (told, errors) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success(), "{told}\n{errors}");
    for words in ["\"citations\":[{", "409.5", "event: run.event", "# TYPE task_queue_depth gauge", "\"openapi\":"] {
        assert!(told.contains(words), "{words} is missing in {told}");
    }
}

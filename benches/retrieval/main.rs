//! How well and how fast memory finds, without any model, through the public API and a real
//! database: prints tables.
//!
//! ```text
//! cargo bench -p l9 --bench retrieval                        quality on made conversations, speed
//! cargo bench -p l9 --bench retrieval -- --data FILE         quality on conversations in LoCoMo's format
//! cargo bench -p l9 --bench retrieval -- quality|truth|speed one of them
//! ```

#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "a benchmark may fail, and reads the real clock")]

mod locomo;
mod made;
mod quality;
mod speed;
mod truth;

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|one| one != "--bench").collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--data", file] => quality::measure(file, &locomo::read(std::path::Path::new(file))).await,
        ["quality"] => quality::measure("made, seed 7", &made::conversations(7)).await,
        ["truth"] => truth::measure().await,
        ["speed"] => speed::measure().await,
        [] => {
            quality::measure("made, seed 7", &made::conversations(7)).await;
            truth::measure().await;
            speed::measure().await;
        }
        _ => {
            eprintln!("usage: retrieval [quality | truth | speed | --data FILE]");
            std::process::exit(2);
        }
    }
}

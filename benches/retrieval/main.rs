//! How well and how fast memory finds, without any model or with one, through the public API
//! and a real database: prints tables.
//!
//! ```text
//! cargo bench -p l9 --bench retrieval                        quality on made conversations, speed
//! cargo bench -p l9 --bench retrieval -- --data FILE         quality on conversations in LoCoMo's format
//! cargo bench -p l9 --bench retrieval -- quality|truth|speed one of them
//!                                        … --embedder hashing|FOLDER  quality with vectors too
//! ```

#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "a benchmark may fail, and reads the real clock")]

mod locomo;
mod made;
mod pairs;
mod quality;
mod speed;
mod truth;

#[tokio::main]
async fn main() {
    let mut arguments: Vec<String> = std::env::args().skip(1).filter(|one| one != "--bench").collect();
    let mut embedder = quality::Embedder::default();
    if let Some(at) = arguments.iter().position(|one| one == "--embedder").filter(|at| at + 1 < arguments.len()) {
        embedder.0 = arguments.drain(at..at + 2).next_back();
    }
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--data", file] => quality::measure(file, &locomo::read(std::path::Path::new(file)), &embedder).await,
        ["quality"] => quality::measure("made, seed 7", &made::conversations(7), &embedder).await,
        ["truth"] => truth::measure().await,
        ["speed"] => speed::measure().await,
        [] => {
            quality::measure("made, seed 7", &made::conversations(7), &embedder).await;
            truth::measure().await;
            speed::measure().await;
        }
        _ => {
            eprintln!("usage: retrieval [quality | truth | speed | --data FILE] [--embedder hashing | FOLDER]");
            std::process::exit(2);
        }
    }
}

//! A governed agent in a few lines: no key, no server, one folder of state.
use l9::Runtime;

#[tokio::main]
async fn main() -> l9::Result<()> {
    let runtime = Runtime::builder().data_dir(".l9").build().await?;
    runtime.ingest("docs").await?;

    let run = runtime.run("researcher", "How does L9 resume a run after a crash?").await?;
    println!("run {}", run.run());
    let ended = run.outcome().await?;
    println!("{}", ended.text());
    for citation in &ended.citations {
        println!("  {} ({})", citation.source, citation.position);
    }

    let report = runtime.verify().await?;
    println!("{} records verify, {} do not", report.records, report.faults.len());
    runtime.shutdown().await;
    Ok(())
}

//! The same agent on a hosted model: OPENAI_API_KEY, and OPENAI_BASE_URL for any server
//! that speaks the wire, such as a local one. Words are printed as they come.
use l9::{AgentProfile, Runtime, Settings};

#[tokio::main]
async fn main() -> l9::Result<()> {
    let Ok(key) = std::env::var("OPENAI_API_KEY") else {
        eprintln!("set OPENAI_API_KEY (and OPENAI_BASE_URL for another server than OpenAI's)");
        std::process::exit(2);
    };
    let mut settings = Settings { openai_api_key: Some(key.into()), ..Settings::default() };
    if let Ok(base) = std::env::var("OPENAI_BASE_URL") {
        settings.openai.base_url = base;
    }
    let agent = AgentProfile::new("helper")?
        .with_model(&std::env::var("L9_MODEL").unwrap_or_else(|_| "openai".into()))?
        .with_instructions("Answer briefly. Use calc/evaluate for every calculation.")
        .with_tool("calc/evaluate")?;
    let runtime = Runtime::builder().settings(settings).in_memory().agent(agent).build().await?;

    let words = runtime.engine().parts().governor.deltas().subscribe();
    tokio::spawn(async move {
        loop {
            eprint!("{}", words.recv().await.1);
        }
    });
    let ended = runtime.run("helper", "What is 17.5% of 2,340?").await?.outcome().await?;
    println!("\n{}: {}", ended.status, ended.text());
    runtime.shutdown().await;
    Ok(())
}

//! A typed Rust tool: its schemas come from the structs, and it is governed like any
//! other. Here the principal calls it directly; an agent whose profile names it may too.
use l9::tool::EffectClass;
use l9::{Runtime, native};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the tool takes.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Journey {
    /// Where from.
    from: String,
    /// Where to.
    to: String,
    /// Kilometres a day.
    #[schemars(range(min = 1))]
    pace: u32,
}

/// What it gives.
#[derive(Serialize, JsonSchema)]
struct Days {
    days: u32,
}

#[tokio::main]
async fn main() -> l9::Result<()> {
    let tool = native::tool("travel/days", "1.0.0", "How many days a walk between two places takes.")
        .effect(EffectClass::Pure)
        .handler(|_context, journey: Journey| async move {
            let distance = u32::try_from(40 * (journey.from.len() + journey.to.len())).unwrap_or(u32::MAX);
            Ok(Days { days: distance.div_ceil(journey.pace) })
        });
    let runtime = Runtime::builder().in_memory().tool(tool).build().await?;

    let good = r#"{"from": "Vienna", "to": "Graz", "pace": 30}"#;
    println!("{}", runtime.call("travel/days", good).await?.outcome().await?.text());

    // The governor refuses what the schema does not allow; the tool never sees it.
    let bad = r#"{"from": "Vienna", "to": "Graz", "pace": 0}"#;
    let refused = runtime.call("travel/days", bad).await?.outcome().await?;
    println!("{}: {}", refused.code.as_deref().unwrap_or("allowed"), refused.text());
    runtime.shutdown().await;
    Ok(())
}

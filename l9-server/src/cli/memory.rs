//! `memory`: search what was taken in.

use l9::memory::{Hit, Query, Scope, Why};
use serde_json::{Value, json};

use super::arguments::{Memory, MemorySearch};
use super::context::Context;
use super::curation::curate;
use super::erasure::erase;
use super::failure::{Exit, Failure};
use crate::terminal::clip;

/// Does what was asked of memory.
pub(super) async fn memory(context: &Context, command: Memory) -> Result<Exit, Failure> {
    let MemorySearch { query, k, agent, session, as_of, valid_at, explain, duplicates } = match command {
        Memory::Search(search) => search,
        Memory::Curate(asked) => return curate(context, asked).await,
        Memory::Erase(asked) => return erase(context, asked).await,
    };
    if query.trim().is_empty() {
        return Err(Failure::usage("the query is empty: say what to look for"));
    }
    let screen = context.screen;
    let runtime = context.open_existing().await?;
    let scope = Scope { tenant: runtime.principal().tenant, agent, session };
    let query = Query { as_of, valid_at, explain, duplicates, ..Query::new(query, k.into()) };
    let hits = runtime.memory().search(&scope, &query).await?;
    if screen.is_json() {
        screen.object(&json!({"results": hits.iter().map(result).collect::<Vec<_>>()}));
    } else if hits.is_empty() {
        screen.line("nothing found");
    } else {
        for hit in &hits {
            let entry = &hit.entry.entry;
            let source = entry.source.as_deref().or(entry.key.as_deref()).unwrap_or("memory");
            let position = entry.position.as_ref().map(|position| format!(", {position}")).unwrap_or_default();
            let place = clip(&format!("{source}{position}"), 200);
            screen.line(&format!(
                "{}  {}",
                screen.paint().name(&place),
                screen.paint().faint(&format!("{:.3}", hit.score))
            ));
            screen.line(&format!("  {}", clip(&entry.text, 300)));
            if !hit.duplicates.is_empty() {
                let ids: Vec<String> = hit.duplicates.iter().map(ToString::to_string).collect();
                screen.line(&format!("  {}", screen.paint().faint(&format!("said again in {}", ids.join(", ")))));
            }
            if let Some(why) = &hit.why {
                screen.line(&format!("  {}", screen.paint().faint(&reason(why))));
            }
        }
    }
    runtime.shutdown().await;
    Ok(Exit::Done)
}

/// Why an entry was found, in words.
fn reason(why: &Why) -> String {
    let words = if why.words.is_empty() { "no word itself".into() } else { why.words.join(", ") };
    let speaker = if why.speaker { ", said by somebody the query names" } else { "" };
    let meaning = match (&why.meaning_failed, why.meaning) {
        (Some(failed), _) => format!(", meaning not compared: {failed}"),
        (None, Some(meaning)) => format!(", meaning {meaning:.2}"),
        (None, None) => String::new(),
    };
    format!("text {:.2} ({words}), conversation {:.2}{meaning}{speaker}", why.text, why.conversation)
}

fn result(hit: &Hit) -> Value {
    let entry = &hit.entry.entry;
    let mut result = json!({
        "id": hit.entry.id,
        "key": entry.key,
        "text": entry.text,
        "score": hit.score,
        "source": entry.source,
        "position": entry.position,
        "agent": entry.agent,
        "session": entry.session,
        "at": entry.at,
        "labels": entry.label,
        "standing": hit.entry.standing,
    });
    if !hit.duplicates.is_empty() {
        result["duplicates"] = json!(hit.duplicates);
    }
    if let Some(why) = &hit.why {
        result["why"] = json!(why);
    }
    result
}

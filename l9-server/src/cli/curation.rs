//! `memory get|list|sessions|history|supersede|reinstate|forget|quarantine|unquarantine|snapshot|restore`:
//! looking at memory, and putting right what is in it.

use clap::{Args, Subcommand, ValueEnum};
use l9::memory::{
    Cursor, Entry, Layer, Listing, NewEntry, NewQuarantine, Order, Page, Quarantine, Scope, Share, Shown, Snapshot,
    Standing, Suspect, Used,
};
use l9::time::Timestamp;
use l9::{AgentId, Runtime};
use serde_json::json;
use uuid::Uuid;

use super::context::Context;
use super::failure::{Exit, Failure};
use crate::terminal::{Screen, clip, count};

/// What can be done with what is kept.
#[derive(Debug, Subcommand)]
pub(crate) enum Curation {
    /// One entry, whole
    Get {
        /// The entry
        #[arg(value_name = "ID")]
        id: Uuid,
    },
    /// Entries by the time they were said, the newest first
    List(MemoryList),
    /// The conversations, the newest first
    Sessions(Part),
    /// A conversation in the order it was said
    History {
        /// The conversation
        #[arg(value_name = "SESSION")]
        session: String,
        #[command(flatten)]
        part: Part,
    },
    /// Say what is true now instead of an entry, which is found no longer but as of a time before
    #[command(after_help = "\
Example:
  l9-server memory supersede ID \"The harbour master is Ada.\" --valid-from 2026-05-01T00:00:00Z")]
    Supersede(Supersede),
    /// Make a superseded entry current again; the one that superseded it stays
    Reinstate {
        /// The superseded entry
        #[arg(value_name = "ID")]
        id: Uuid,
    },
    /// How much memory is used, and how much may be
    Usage {
        /// This agent's own entries too
        #[arg(long)]
        agent: Option<AgentId>,
    },
    /// Forget an entry; its bytes go at once, or with the last snapshot that covers it
    Forget {
        /// The entry
        #[arg(value_name = "ID")]
        id: Uuid,
    },
    /// Hide a source, or an entry, and everything that was derived from it
    #[command(after_help = "\
Examples:
  l9-server memory quarantine docs/rumours.md --reason \"it gives orders\"
  l9-server memory quarantine --entry ID --reason \"nobody said that\"
  l9-server memory unquarantine docs/rumours.md")]
    Quarantine(Hide),
    /// Every quarantine, the newest first
    Quarantines,
    /// Release a quarantine
    Unquarantine {
        /// The quarantine's id, or the source or entry that it is of
        #[arg(value_name = "WHAT")]
        what: String,
    },
    /// Mark the present state of memory, to go back to
    Snapshot {
        /// What to call it
        #[arg(value_name = "NAME")]
        name: String,
        /// Only this agent's own entries
        #[arg(long)]
        agent: Option<AgentId>,
    },
    /// Every snapshot, the newest first
    Snapshots,
    /// Go back to a snapshot; the state before is marked first, to undo it with
    Restore {
        /// The snapshot: its id, or its name if only one has it
        #[arg(value_name = "SNAPSHOT")]
        snapshot: String,
    },
}

/// Which entries to list.
#[derive(Debug, Args)]
pub(crate) struct MemoryList {
    /// Only what came from this file or address
    #[arg(long)]
    source: Option<String>,
    /// Only this conversation
    #[arg(long)]
    session: Option<String>,
    /// Only this layer
    #[arg(long, value_enum)]
    layer: Option<Lasting>,
    /// What is superseded or in quarantine as well
    #[arg(long)]
    all: bool,
    /// The oldest first
    #[arg(long)]
    oldest: bool,
    #[command(flatten)]
    part: Part,
}

/// How long a memory is meant to last.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Lasting {
    /// For a while
    ShortTerm,
    /// Until it is forgotten
    LongTerm,
}

/// Which part of a list.
#[derive(Debug, Args)]
pub(crate) struct Part {
    /// Only entries of this agent and those of no agent
    #[arg(long)]
    agent: Option<AgentId>,
    /// How many
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=500))]
    limit: u16,
    /// The `next` of the page before
    #[arg(long, value_name = "NEXT")]
    after: Option<Cursor>,
}

/// What is true now.
#[derive(Debug, Args)]
pub(crate) struct Supersede {
    /// The entry that is not true any more
    #[arg(value_name = "ID")]
    id: Uuid,
    /// What is true now, in words
    text: String,
    /// From when on [default: now]
    #[arg(long, value_name = "TIME")]
    valid_from: Option<Timestamp>,
}

/// What to hide.
#[derive(Debug, Args)]
pub(crate) struct Hide {
    /// The file or address, as search shows it
    #[arg(value_name = "SOURCE", required_unless_present = "entry")]
    source: Option<String>,
    /// An entry instead
    #[arg(long, value_name = "ID", conflicts_with = "source")]
    entry: Option<Uuid>,
    /// Why; kept
    #[arg(long, default_value = "not said")]
    reason: String,
}

/// Does what was asked with what is kept.
pub(super) async fn curate(context: &Context, asked: Curation) -> Result<Exit, Failure> {
    let runtime = context.open_existing().await?;
    let done = carry_out(&runtime, context.screen, asked).await;
    runtime.shutdown().await;
    done
}

async fn carry_out(runtime: &Runtime, screen: Screen, asked: Curation) -> Result<Exit, Failure> {
    let (memory, by) = (runtime.memory(), runtime.principal().subject);
    let tenant = runtime.principal().tenant;
    match asked {
        Curation::Get { id } => {
            let entry = memory.get(&tenant, id).await?.ok_or_else(|| unknown(id))?;
            if screen.is_json() {
                screen.object(&json!(entry));
            } else {
                show(screen, &entry);
            }
        }
        Curation::List(asked) => list(runtime, screen, asked).await?,
        Curation::Sessions(part) => sessions(runtime, screen, part).await?,
        Curation::History { session, part } => {
            let Part { agent, limit, after } = part;
            let listing = Listing { after, ..Listing::new(Order::Oldest, limit.into()) };
            let page = memory.list(&Scope { tenant, agent, session: Some(session) }, &listing).await?;
            show_page(screen, &page);
        }
        Curation::Supersede(Supersede { id, text, valid_from }) => {
            let kept = memory.supersede(&tenant, id, NewEntry { text, valid_from, ..NewEntry::default() }).await?;
            if screen.is_json() {
                screen.object(&json!(kept));
            } else {
                screen.line(&format!("{} supersedes {id}", kept.id));
            }
        }
        Curation::Usage { agent } => usage(runtime, screen, agent).await?,
        Curation::Reinstate { id } => {
            memory.reinstate(&tenant, id).await?;
            tell(screen, &json!({"id": id, "standing": Standing::Current}), &format!("{id} is current again"));
        }
        Curation::Forget { id } => {
            if !memory.forget(&tenant, id).await? {
                return Err(unknown(id));
            }
            tell(screen, &json!({"id": id, "forgotten": true}), &format!("{id} is forgotten"));
        }
        Curation::Quarantine(Hide { source, entry, reason }) => {
            let suspect = match (source, entry) {
                (Some(source), _) => Suspect::Source(source),
                (None, Some(entry)) => Suspect::Entry(entry),
                (None, None) => return Err(Failure::usage("name a source or an entry")),
            };
            let done = memory.quarantine(&tenant, NewQuarantine { suspect, reason, by }).await?;
            let (hidden, id) = (count(done.entries.len() as u64), done.quarantine.id);
            let told = format!("{hidden} entries are hidden; `l9-server memory unquarantine {id}` brings them back");
            tell(screen, &json!(done), &told);
        }
        Curation::Quarantines => quarantines(screen, &memory.quarantines(&tenant).await?),
        Curation::Unquarantine { what } => release(runtime, screen, &what).await?,
        Curation::Snapshot { name, agent } => {
            let snapshot = memory.snapshot(&tenant, agent, &name, &by).await?;
            let told = format!("{}  {}", snapshot.id, screen.safe(&snapshot.name));
            tell(screen, &json!(snapshot), &told);
        }
        Curation::Snapshots => snapshots(screen, &memory.snapshots(&tenant).await?),
        Curation::Restore { snapshot } => restore(runtime, screen, &snapshot).await?,
    }
    Ok(Exit::Done)
}

/// What is used, and what may be.
async fn usage(runtime: &Runtime, screen: Screen, agent: Option<AgentId>) -> Result<(), Failure> {
    let usage = runtime.memory_usage(&runtime.principal().tenant, agent.as_ref()).await?;
    if screen.is_json() {
        screen.object(&json!(usage));
        return Ok(());
    }
    let of = |most: Option<u64>| most.map(|most| format!(" of {most}")).unwrap_or_default();
    let whose = agent.map(|agent| format!("agent {agent}")).unwrap_or_default();
    for (whose, share) in [("the tenant", Some(usage.tenant)), (&whose, usage.agent)] {
        let Some(Share { used: Used { entries, bytes }, most_entries, most_bytes }) = share else { continue };
        screen.line(&format!("{whose}: {entries}{} entries, {bytes}{} bytes", of(most_entries), of(most_bytes)));
    }
    Ok(())
}

async fn list(runtime: &Runtime, screen: Screen, asked: MemoryList) -> Result<(), Failure> {
    let MemoryList { source, session, layer, all, oldest, part: Part { agent, limit, after } } = asked;
    let listing = Listing {
        layer: layer.map(|layer| match layer {
            Lasting::ShortTerm => Layer::ShortTerm,
            Lasting::LongTerm => Layer::LongTerm,
        }),
        source,
        shown: if all { Shown::All } else { Shown::Current },
        order: if oldest { Order::Oldest } else { Order::Newest },
        after,
        limit: limit.into(),
    };
    let scope = Scope { tenant: runtime.principal().tenant, agent, session };
    show_page(screen, &runtime.memory().list(&scope, &listing).await?);
    Ok(())
}

async fn sessions(runtime: &Runtime, screen: Screen, part: Part) -> Result<(), Failure> {
    let scope = Scope { tenant: runtime.principal().tenant, agent: part.agent, session: None };
    let Page { items, next } = runtime.memory().sessions(&scope, part.after, part.limit.into()).await?;
    if screen.is_json() {
        screen.object(&json!({"sessions": items, "next": next}));
        return Ok(());
    }
    for session in &items {
        let (name, entries) = (screen.safe(&clip(&session.session, 100)), count(session.entries));
        screen.line(&format!(
            "{}  {entries} entries, {} to {}",
            screen.paint().name(&name),
            session.first,
            session.last
        ));
    }
    more(screen, next);
    Ok(())
}

async fn release(runtime: &Runtime, screen: Screen, what: &str) -> Result<(), Failure> {
    let principal = runtime.principal();
    let standing = runtime.memory().quarantines(&principal.tenant).await?;
    let names = |quarantine: &&Quarantine| {
        let suspect = match &quarantine.suspect {
            Suspect::Source(source) => source.clone(),
            Suspect::Entry(id) => id.to_string(),
        };
        quarantine.id.to_string() == what || quarantine.released_at.is_none() && suspect == what
    };
    let mut released = Vec::new();
    for quarantine in standing.iter().filter(names) {
        released.push(runtime.memory().release(&principal.tenant, quarantine.id, &principal.subject).await?);
    }
    if released.is_empty() {
        return Err(Failure::usage(format!("there is no quarantine of {}", screen.safe(what)))
            .with_help("`l9-server memory quarantines` shows those there are"));
    }
    let entries = released.iter().map(|released| released.entries.len() as u64).sum();
    tell(screen, &json!({ "released": released }), &format!("{} entries are current again", count(entries)));
    Ok(())
}

async fn restore(runtime: &Runtime, screen: Screen, named: &str) -> Result<(), Failure> {
    let principal = runtime.principal();
    let all = runtime.memory().snapshots(&principal.tenant).await?;
    let found: Vec<&Snapshot> =
        all.iter().filter(|snapshot| snapshot.id.to_string() == named || snapshot.name == named).collect();
    let [snapshot] = found.as_slice() else {
        let (named, help) = (screen.safe(named), "`l9-server memory snapshots` shows them with their ids");
        let message = match found.len() {
            0 => format!("there is no snapshot {named}"),
            many => format!("{many} snapshots are called {named}: name one by its id"),
        };
        return Err(Failure::usage(message).with_help(help));
    };
    let restored = runtime.memory().restore(&principal.tenant, snapshot.id, &principal.subject).await?;
    let told = format!(
        "{} entries were forgotten and {} are back, {} are superseded again and {} no longer; \
         `l9-server memory restore {}` undoes it",
        count(restored.forgotten),
        count(restored.returned),
        count(restored.superseded),
        count(restored.reinstated),
        restored.before.id
    );
    tell(screen, &json!(restored), &told);
    Ok(())
}

fn quarantines(screen: Screen, found: &[Quarantine]) {
    if screen.is_json() {
        screen.object(&json!({ "quarantines": found }));
        return;
    }
    for quarantine in found {
        let Quarantine { id, suspect, reason, by, at, released_at, .. } = quarantine;
        let until = released_at.map(|until| format!(", released at {until}")).unwrap_or_default();
        screen.line(&format!("{id}  {}", screen.paint().name(&screen.safe(&clip(&suspect.to_string(), 200)))));
        screen.line(&format!("  {}, by {} at {at}{until}", screen.safe(&clip(reason, 200)), screen.safe(by)));
    }
}

fn snapshots(screen: Screen, found: &[Snapshot]) {
    if screen.is_json() {
        screen.object(&json!({ "snapshots": found }));
        return;
    }
    for Snapshot { id, name, agent, by, at } in found {
        let of = agent.as_ref().map(|agent| format!(" of {agent}")).unwrap_or_default();
        let name = screen.paint().name(&screen.safe(&clip(name, 100)));
        screen.line(&format!("{id}  {name}{of}, by {} at {at}", screen.safe(by)));
    }
}

fn show_page(screen: Screen, page: &Page<Entry>) {
    if screen.is_json() {
        screen.object(&json!({"results": page.items, "next": page.next}));
        return;
    }
    page.items.iter().for_each(|entry| show(screen, entry));
    more(screen, page.next);
}

fn show(screen: Screen, Entry { id, entry, recorded_at, standing, superseded_by }: &Entry) {
    let at = entry.at.unwrap_or(*recorded_at);
    let source = entry.source.as_deref().or(entry.key.as_deref()).unwrap_or("memory");
    let standing = match (standing, superseded_by) {
        (Standing::Current, _) => String::new(),
        (Standing::Superseded, Some(by)) => format!(", superseded by {by}"),
        (Standing::Quarantined, _) => ", in quarantine".to_owned(),
        _ => ", forgotten".to_owned(),
    };
    screen.line(&format!("{id}  {}  {at}{standing}", screen.paint().name(&screen.safe(&clip(source, 200)))));
    screen.line(&format!("  {}", screen.safe(&clip(&entry.text, 300))));
}

fn more(screen: Screen, next: Option<Cursor>) {
    if let Some(next) = next {
        screen.note(&format!("there is more: --after {next}"));
    }
}

fn tell(screen: Screen, object: &serde_json::Value, words: &str) {
    if screen.is_json() {
        screen.object(object);
    } else {
        screen.line(words);
    }
}

fn unknown(id: Uuid) -> Failure {
    Failure::failed(format!("there is no memory {id}")).with_help("`l9-server memory list` shows ids")
}

//! `keys`: the root keys, how much is sealed under each, and their rotation.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use clap::Subcommand;
use l9::Runtime;
use l9::keys::{Step, Use};
use serde_json::json;

use super::arguments::span;
use super::context::Context;
use super::failure::{Exit, Failure};
use crate::terminal::{Table, count};

/// Progress is told about this often, in rows.
const TELL: u64 = 10_000;

/// What can be done with the root keys.
#[derive(Debug, Subcommand)]
pub(crate) enum Keys {
    /// The root keys, when each was made and how much is sealed under it
    Show,
    /// Make a new root key, seal everything anew under it and destroy the older ones, beside
    /// whatever runs; one that did not end goes on
    #[command(after_help = "\
Back the key file up afterwards. Backups of the database from before open with a backup of the
file from before only.

Nodes that have copies of the key file get the new key before it seals:
  l9-server keys rotate --prepare     # then copy root.key to the other nodes
  l9-server keys rotate               # then copy it once more

Once a day, from a timer, by date and by count:
  l9-server keys rotate --older-than 365d --more-than 1000000000")]
    Rotate {
        /// Only put the new key into the file, so that it can be copied before it seals
        #[arg(long, conflicts_with_all = ["older_than", "more_than"])]
        prepare: bool,
        /// Only if the key that seals is older than this, such as 365d
        #[arg(long, value_parser = span, value_name = "TIME")]
        older_than: Option<Duration>,
        /// Only if more values than this are sealed under it; with --older-than, if either is so
        #[arg(long, value_name = "COUNT")]
        more_than: Option<u64>,
    },
}

/// Does what was asked with the root keys.
pub(super) async fn keys(context: &Context, command: Keys) -> Result<Exit, Failure> {
    let runtime = context.open_to_stop().await?;
    let done = act(context, &runtime, command).await;
    runtime.shutdown().await;
    done.map(|()| Exit::Done)
}

async fn act(context: &Context, runtime: &Runtime, command: Keys) -> Result<(), Failure> {
    let (keys, screen) = (runtime.keys()?, context.screen);
    match command {
        Keys::Show => {
            let keys = keys.census().await?;
            if screen.is_json() {
                screen.object(&json!({"keys": keys}));
                return Ok(());
            }
            let mut table = Table::new(&["KEY", "MADE", "USE", "SEALED"]);
            for key in keys {
                let made = key.made_at.map_or_else(|| "unknown".to_owned(), |at| at.to_string());
                let used = match key.used {
                    Some(Use::Seals) => "seals",
                    Some(Use::Next) => "comes next",
                    Some(_) => "opens",
                    None => "missing from the file",
                };
                table.row([key.id, made, used.to_owned(), key.sealed.to_string()]);
            }
            table.lines(screen.paint()).iter().for_each(|line| screen.line(line));
        }
        Keys::Rotate { prepare: true, .. } => {
            let key = keys.prepare()?;
            if screen.is_json() {
                screen.object(&json!({"next": key}));
            } else {
                screen.line(&format!("root key {key} seals after the next rotation"));
            }
        }
        Keys::Rotate { prepare: false, older_than, more_than } => {
            if older_than.is_some() || more_than.is_some() {
                match keys.due(older_than, more_than).await? {
                    Some(why) => screen.note(&why),
                    None if screen.is_json() => {
                        screen.object(&json!({"due": false}));
                        return Ok(());
                    }
                    None => {
                        screen.line("no rotation is due");
                        return Ok(());
                    }
                }
            }
            let told = AtomicU64::new(0);
            let tell = |step: &Step| {
                if step.done / TELL > told.swap(step.done / TELL, Ordering::Relaxed) {
                    screen.note(&format!("{} of about {} sealed anew ({})", step.done, step.of, step.table));
                }
            };
            let rotated = keys.rotate(&tell).await?;
            if screen.is_json() {
                screen.object(&json!(rotated));
                return Ok(());
            }
            screen.line(&format!(
                "root key {} seals; {} values sealed anew; destroyed: {}",
                rotated.key,
                count(rotated.resealed),
                rotated.destroyed.join(", ")
            ));
            if !rotated.scrubbed {
                screen.note("others read the database all the time: its log still holds bytes of the destroyed key");
            }
            screen.note("back the root key file up");
        }
    }
    Ok(())
}

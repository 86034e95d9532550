//! Step 7 beside the budget: how often effects may happen, how many of a tool and of a class at
//! once, and how many bytes of a tool a day. What is refused, or has to wait, has used up nothing.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::oneshot;

use super::capacity::{Capacity, Places};
use super::path::{Governor, Refusal, Stop, Work};
use super::quota::{Days, Share, Short, Wanted};
use super::resolve::pinned;
use super::turns::{Turn, Turns};
use crate::id::{TenantId, ToolId};
use crate::json;
use crate::principal::Principal;
use crate::rate::{Limit, Meter, Over};
use crate::run::{self, Call, DELEGATE, PLAN, RunCreated, Stage, WAIT};
use crate::tool::{Manifest, Rate};

/// The code of what is over a limit.
const CODE: &str = "rate_limited";

/// The kinds of limits, as metrics name them.
const TOOL_CALLER: &str = "tool_per_caller";
const TOOL_TENANT: &str = "tool_per_tenant";
const TOOL_BYTES: &str = "tool_daily_bytes";
const PRINCIPAL: &str = "principal";
const TENANT: &str = "tenant";

/// The most effects a minute in this process, whatever they do; `None` is no limit. Each is at
/// least 1.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rates {
    /// Of one principal, over all their runs.
    pub per_principal: Option<u32>,
    /// Of one tenant.
    pub per_tenant: Option<u32>,
}

/// What this process counts.
#[derive(Debug, Default)]
pub(super) struct Limiter {
    meter: Meter,
    /// Of each tool, the turns at as many calls as a contract of it lets be under way at once.
    slots: Mutex<HashMap<(ToolId, u32), Arc<Turns>>>,
    /// The turns of each class of effects that is bounded.
    places: Places,
    days: Days,
}

/// Room for one more effect, where it is bounded how many are under way; given back when it is
/// dropped.
#[derive(Debug, Default)]
pub(crate) struct Slot {
    of_tool: Option<Turn>,
    of_class: Option<Turn>,
}

/// A place in line: ends when the effect's turn has come. Whoever drops it leaves the line.
pub(crate) struct Place(BoxFuture<'static, Slot>);

impl Place {
    /// Waits for the turn.
    pub(crate) async fn turn(self) -> Slot {
        self.0.await
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Place")
    }
}

/// What an effect holds while it is under way, given back when it is dropped, however it ends.
#[derive(Debug, Default)]
pub(super) struct Hold {
    _slot: Slot,
    share: Option<Share>,
}

impl Hold {
    /// Counts what is about to be passed on.
    pub(super) fn begin(&mut self) {
        if let Some(share) = &mut self.share {
            share.begin();
        }
    }

    /// Counts what came back.
    pub(super) fn end(&mut self, result: &Value) {
        if let Some(share) = &mut self.share {
            share.end(bytes(result));
        }
    }
}

/// Whose effect is looked at, and whether it was let in before.
struct Asked<'a> {
    principal: &'a Principal,
    tool: Option<(&'a Manifest, &'a Value)>,
    again: bool,
}

impl Asked<'_> {
    fn rate(&self) -> Option<&Rate> {
        self.tool.and_then(|(manifest, _)| manifest.rate.as_ref())
    }

    /// The places of its class, if they are bounded and it takes one.
    fn places<'p>(&self, places: &'p Places) -> Option<&'p Arc<Turns>> {
        match self.tool {
            None => places.of(None),
            Some((manifest, _)) => places_of(places, manifest),
        }
    }
}

/// A run that only waits, for a time or for another run, takes no place of those who work: what
/// it waits for may need one.
fn places_of<'p>(places: &'p Places, manifest: &Manifest) -> Option<&'p Arc<Turns>> {
    let waits = matches!(manifest.id.as_str(), WAIT | DELEGATE | PLAN);
    if waits { None } else { places.of(Some(manifest.effect)) }
}

impl Governor {
    /// Of each class of effects that has a bound: how many are under way in this process, and the
    /// bound. Calls of models are the class `model`.
    pub fn under_way(&self) -> impl Iterator<Item = (&'static str, u32, u32)> {
        self.limiter.places.taken()
    }

    /// Whether what is wanted takes turns, a tool by the contract that is pinned.
    pub(crate) fn takes_turns(&self, created: &RunCreated, call: &Call) -> bool {
        let places = &self.limiter.places;
        let run::Wanted::Tool { name, .. } = &call.wanted else { return places.of(None).is_some() };
        let Ok(id) = ToolId::new(name) else { return false };
        let tenant = &created.principal.tenant;
        let tool = match pinned(created, &id) {
            Some(contract) => self.registry.known(tenant, &id, contract),
            None => self.registry.resolve(tenant, &id),
        };
        tool.is_some_and(|tool| {
            let rate = tool.manifest.rate.as_ref();
            rate.is_some_and(|rate| rate.concurrency.is_some()) || places_of(places, &tool.manifest).is_some()
        })
    }

    /// Holds what an effect needs while it is under way. `slot` is what it waited for, if it
    /// did. An effect of which an attempt was made before waits where a new one is refused: it
    /// was let in already, and an attempt at it may have landed.
    pub(super) fn hold(&self, created: &RunCreated, work: &Work, again: bool, slot: Slot) -> Result<Hold, Stop> {
        let tool = match work {
            Work::Model { .. } => None,
            Work::Tool { tool, arguments } => Some((&tool.manifest, arguments)),
        };
        let asked = Asked { principal: &created.principal, tool, again };
        let bounded = asked.rate().is_some() || asked.places(&self.limiter.places).is_some();
        if !bounded && self.settings.rates == Rates::default() {
            return Ok(Hold::default());
        }
        let held = self.share(created, &asked).and_then(|share| match self.limiter.slot(&asked, slot) {
            Ok(slot) => Ok(Hold { _slot: slot, share }),
            Err(place) => Err(Stop::Waits(place)),
        });
        // A seeded run must not depend on how fast it goes, nor on what else does.
        if created.seed.is_some() {
            return held;
        }
        let (now, limits) = (self.clock.monotonic(), self.limits(&asked));
        let within = match &held {
            Ok(_) => self.limiter.meter.take(now, &limits),
            Err(Stop::Waits(_)) => self.limiter.meter.check(now, &limits),
            Err(_) => return held,
        };
        match within {
            Ok(()) => held,
            Err(over) if again => Err(Stop::Waits(self.later(over.after))),
            Err(over) => Err(over_limit(over, &asked).into()),
        }
    }

    /// The limits of calls a minute that hold for an effect.
    fn limits(&self, asked: &Asked<'_>) -> Vec<Limit> {
        let Principal { tenant, subject, .. } = asked.principal;
        let meter = &self.limiter.meter;
        let (rates, mut limits) = (self.settings.rates, Vec::with_capacity(4));
        if let (Some((manifest, _)), Some(rate)) = (asked.tool, asked.rate()) {
            let of_caller = |most| meter.limit(TOOL_CALLER, (&manifest.id, tenant, subject), most);
            limits.extend(rate.per_caller.map(of_caller));
            limits.extend(rate.per_tenant.map(|most| meter.limit(TOOL_TENANT, (&manifest.id, tenant), most)));
        }
        limits.extend(rates.per_principal.map(|most| meter.limit(PRINCIPAL, (tenant, subject), most)));
        limits.extend(rates.per_tenant.map(|most| meter.limit(TENANT, tenant, most)));
        limits
    }

    /// A share of the day's bytes of a tool that has a quota.
    fn share(&self, created: &RunCreated, asked: &Asked<'_>) -> Result<Option<Share>, Stop> {
        let Some((manifest, arguments)) = asked.tool else { return Ok(None) };
        let Some(limit) = asked.rate().and_then(|rate| rate.daily_bytes) else { return Ok(None) };
        if created.seed.is_some() {
            return Ok(None);
        }
        let (arguments, now) = (bytes(arguments), self.clock.now());
        let wanted = Wanted { arguments, result: manifest.limits.output_bytes, limit, again: asked.again, now };
        let (tool, tenant) = (&manifest.id, &asked.principal.tenant);
        match self.limiter.days.hold(tool, tenant, wanted) {
            Ok(share) => Ok(Some(share)),
            Err(Short::Held(mut freed)) => Err(Stop::Waits(Place(
                async move {
                    // It is told, or nobody knows of that day any more.
                    let _ = freed.changed().await;
                    Slot::default()
                }
                .boxed(),
            ))),
            Err(Short::Used { used, anew }) => Err(refused(
                TOOL_BYTES,
                format!(
                    "tool {tool} takes {limit} bytes a day of one tenant, {used} of tenant {tenant} are used, and these \
                     arguments have {arguments}: it starts anew at {anew}"
                ),
            )
            .into()),
        }
    }

    /// A turn that comes with time.
    fn later(&self, after: Duration) -> Place {
        let clock = Arc::clone(&self.clock);
        Place(
            async move {
                clock.sleep(after).await;
                Slot::default()
            }
            .boxed(),
        )
    }
}

impl Limiter {
    pub(super) fn new(capacity: Capacity) -> Self {
        Self { places: Places::new(capacity), ..Self::default() }
    }

    /// A slot for an effect, where it is bounded how many are under way, or the place in line for
    /// what it has none of. Whoever waits for a place of its class has one of its tool by then,
    /// and nobody the other way round, so nobody waits in a circle.
    fn slot(&self, asked: &Asked<'_>, slot: Slot) -> Result<Slot, Place> {
        let bounded = asked.tool.zip(asked.rate().and_then(|rate| rate.concurrency));
        let of_tool = bounded.map(|((manifest, _), most)| self.slots_of(&manifest.id, most));
        let tenant = &asked.principal.tenant;
        let of_tool = match turn(slot.of_tool, of_tool.as_ref(), tenant) {
            Ok(held) => held,
            Err(line) => return Err(Place(async move { Slot { of_tool: line.await.ok(), of_class: None } }.boxed())),
        };
        match turn(slot.of_class, asked.places(&self.places), tenant) {
            Ok(of_class) => Ok(Slot { of_tool, of_class }),
            Err(line) => Err(Place(async move { Slot { of_tool, of_class: line.await.ok() } }.boxed())),
        }
    }

    /// The turns at a tool; contracts with other numbers have others.
    fn slots_of(&self, tool: &ToolId, most: u32) -> Arc<Turns> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(slots.entry((tool.clone(), most)).or_insert_with(|| Arc::new(Turns::new(most))))
    }
}

/// One of these turns, if any are wanted and unless it is held already, or where it will come.
fn turn(
    held: Option<Turn>,
    turns: Option<&Arc<Turns>>,
    tenant: &TenantId,
) -> Result<Option<Turn>, oneshot::Receiver<Turn>> {
    match turns {
        None => Ok(None),
        Some(turns) if held.as_ref().is_some_and(|held| held.is_of(turns)) => Ok(held),
        Some(turns) => turns.ask(tenant).map(Some),
    }
}

fn over_limit(Over { kind, most, after }: Over, asked: &Asked<'_>) -> Refusal {
    let Principal { tenant, subject, .. } = asked.principal;
    let tool = asked.tool.map_or("", |(manifest, _)| manifest.id.as_str());
    let used = match kind {
        TOOL_CALLER => format!("tool {tool} takes {most} calls a minute of one caller, and {subject} has made them"),
        TOOL_TENANT => {
            format!("tool {tool} takes {most} calls a minute of one tenant, and tenant {tenant} has made them")
        }
        PRINCIPAL => format!("{subject} may have {most} effects a minute, and has had them"),
        _ => format!("tenant {tenant} may have {most} effects a minute, and has had them"),
    };
    refused(kind, format!("{used}: try again in {} s", after.as_secs() + 1))
}

fn refused(kind: &'static str, reason: String) -> Refusal {
    metrics::counter!("l9_rate_limited_total", "limit" => kind).increment(1);
    Refusal::of(Stage::Budget, CODE, vec![reason])
}

/// The bytes of a value's canonical form.
fn bytes(value: &Value) -> u64 {
    json::canonical(value).map_or(u64::MAX, |text| text.len() as u64)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn manifest(concurrency: u32) -> Manifest {
        serde_json::from_value(json!({
            "schema_version": 1, "id": "web/read", "version": "1.0.0", "title": "read", "description": "read",
            "runtime": {"kind": "native"}, "input_schema": {"type": "object"}, "rate": {"concurrency": concurrency},
        }))
        .unwrap()
    }

    fn slot(limiter: &Limiter, manifest: &Manifest, slot: Slot) -> Result<Slot, Place> {
        let tool = Some((manifest, &Value::Null));
        limiter.slot(&Asked { principal: &Principal::local(), tool, again: false }, slot)
    }

    #[tokio::test]
    async fn turns_come_in_the_order_in_which_they_were_asked_for() {
        let (limiter, manifest) = (Limiter::default(), manifest(2));
        let ask = || slot(&limiter, &manifest, Slot::default());
        let (one, two) = (ask().unwrap(), ask().unwrap());
        let [mut third, fourth, mut fifth] = [ask(), ask(), ask()].map(|place| place.unwrap_err().turn().boxed());
        drop(one);
        assert!(ask().is_err(), "whoever comes now stands behind those who wait");
        assert!((&mut fifth).now_or_never().is_none());
        let third = (&mut third).now_or_never().expect("the first in line has it");
        // Whoever leaves the line stands in nobody's way.
        drop(fourth);
        drop(two);
        let fifth = (&mut fifth).now_or_never().expect("the next in line has it");
        // Who waited for a slot keeps it, and takes no other.
        let third = slot(&limiter, &manifest, third).unwrap();
        assert!(ask().is_err());
        drop((third, fifth));
        let all = [ask(), ask()];
        assert!(all.iter().all(Result::is_ok) && ask().is_err());
    }

    #[tokio::test]
    async fn a_class_has_so_many_places_for_all_its_tools_and_a_slot_of_a_tool_is_kept_meanwhile() {
        let limiter = Limiter::new(Capacity { opaque_write: Some(2), ..Capacity::default() });
        let (one, mut other) = (manifest(2), manifest(9));
        other.id = "web/write".parse().unwrap();
        let ask = |tool: &Manifest| slot(&limiter, tool, Slot::default());
        let taken = || limiter.places.taken().collect::<Vec<_>>();
        let (first, second) = (ask(&other).unwrap(), ask(&one).unwrap());
        assert_eq!(taken(), [("opaque_write", 2, 2)]);
        let mut third = ask(&one).unwrap_err().turn().boxed();
        assert!((&mut third).now_or_never().is_none());
        drop(first);
        let third = (&mut third).now_or_never().expect("the first in line has it");
        // It has both of the tool's now, whoever waited for a place of the class.
        assert!(third.of_tool.is_some() && third.of_class.is_some());
        let third = slot(&limiter, &one, third).unwrap();
        drop(second);
        assert!(ask(&one).is_ok());
        drop(third);
        assert_eq!(taken(), [("opaque_write", 0, 2)]);
        // Whoever only waits needs none of it.
        other.id = WAIT.parse().unwrap();
        assert!([(); 5].map(|()| ask(&other)).iter().all(Result::is_ok));
    }

    #[tokio::test]
    async fn a_slot_of_another_contract_is_none_of_this_one() {
        let limiter = Limiter::default();
        let (old, new) = (manifest(2), manifest(1));
        let held = slot(&limiter, &old, Slot::default()).unwrap();
        let other = slot(&limiter, &new, held).unwrap();
        assert!(slot(&limiter, &new, Slot::default()).is_err());
        drop(other);
        assert!(slot(&limiter, &new, Slot::default()).is_ok());
    }
}

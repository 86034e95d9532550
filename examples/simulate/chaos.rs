//! What befalls the nodes until the world is healed: crashes, drains, freezes past the
//! lease, partitions, outages of the database, jumps of the wall clock, the kill switch. Some
//! come at any time, and some are aimed at the moment between an intent and its result.

use std::sync::Arc;
use std::time::Duration;

use l9::RunId;
use tokio::sync::{Mutex, mpsc};

use crate::cluster::Cluster;
use crate::node::{LEASE, Node};

/// How long a draining node is given before it is ended.
const DRAIN: Duration = Duration::from_secs(3);

/// The most a wall clock jumps either way, in milliseconds.
const JUMP: u64 = 10_000;

/// Troubles the nodes until `calm_at`; nothing that it begins lasts much longer. With `outages`
/// the database is away from all of them now and then.
pub(crate) async fn trouble(cluster: Arc<Cluster>, calm_at: Duration, outages: bool) {
    let sim = Arc::clone(&cluster.sim);
    let pace = sim.draw(|random| random.between(400, 4_000));
    loop {
        let wait = sim.draw(|random| random.millis(0, 2 * pace));
        sim.timeline.sleep(wait).await;
        if sim.now() >= calm_at {
            return;
        }
        let Some((place, node)) = cluster.any() else { continue };
        let (kind, lasts) = sim.draw(|random| {
            let lasts = if random.chance(500) { random.millis(50, 2_000) } else { random.millis(2_000, 14_000) };
            (random.below(100), lasts)
        });
        let until = (sim.now() + lasts).min(calm_at);
        match kind {
            0..30 => crash(&cluster, place, &node, lasts / 2),
            30..38 => drain(&cluster, place, node, lasts / 4),
            38..65 => freeze(&cluster, &node, until),
            84..88 if outages => outage(&cluster, until),
            65..88 => cut(&cluster, &node, until),
            88..92 => stop(&cluster, node, lasts / 8),
            _ => jump(&cluster, &node),
        }
    }
}

/// Strikes the owners of runs at which effects have just been intended.
pub(crate) async fn strike(cluster: Arc<Cluster>, aimed: Arc<Mutex<mpsc::Receiver<RunId>>>, calm_at: Duration) {
    let sim = Arc::clone(&cluster.sim);
    loop {
        let next = aimed.lock().await.recv().await;
        let Some(run) = next else { return };
        let wait = sim.draw(|random| if random.chance(700) { random.millis(0, 3) } else { random.millis(3, 400) });
        sim.timeline.sleep(wait).await;
        let owner = sim.judge(|judge, _| judge.owner(run));
        let Some((place, node)) = owner.and_then(|owner| cluster.named(&owner)) else { continue };
        if sim.now() >= calm_at {
            return;
        }
        // Long enough to be taken for dead, and now and then to thaw right after that.
        let (kind, lasts) = sim.draw(|random| (random.below(100), LEASE / 2 + random.millis(0, 9_000)));
        let until = (sim.now() + lasts).min(calm_at);
        match kind {
            0..30 => crash(&cluster, place, &node, lasts / 4),
            30..85 => freeze(&cluster, &node, until),
            _ => cut(&cluster, &node, until),
        }
    }
}

fn crash(cluster: &Arc<Cluster>, place: usize, node: &Node, away: Duration) {
    cluster.sim.note(None, format!("{} crashes", node.gate.owner));
    cluster.sim.count(|counts| counts.crashes += 1);
    crossed(cluster, node);
    cluster.crash(place);
    tokio::spawn(restart(Arc::clone(cluster), place, away));
}

fn drain(cluster: &Arc<Cluster>, place: usize, node: Arc<Node>, away: Duration) {
    let (cluster, sim) = (Arc::clone(cluster), Arc::clone(&cluster.sim));
    sim.note(None, format!("{} drains", node.gate.owner));
    sim.count(|counts| counts.drains += 1);
    node.drain();
    tokio::spawn(async move {
        let ends = sim.now() + DRAIN;
        while !node.is_drained() && sim.now() < ends && !node.gate.is_dead() {
            sim.timeline.sleep(Duration::from_millis(50)).await;
        }
        if !node.gate.is_dead() {
            cluster.crash(place);
            restart(cluster, place, away).await;
        }
    });
}

fn freeze(cluster: &Cluster, node: &Node, until: Duration) {
    cluster.sim.note(None, format!("{} freezes until {:.3}", node.gate.owner, until.as_secs_f64()));
    cluster.sim.count(|counts| counts.freezes += 1);
    crossed(cluster, node);
    node.gate.freeze(until);
}

fn cut(cluster: &Cluster, node: &Node, until: Duration) {
    cluster.sim.note(None, format!("{} is cut off until {:.3}", node.gate.owner, until.as_secs_f64()));
    cluster.sim.count(|counts| counts.partitions += 1);
    node.gate.cut(until);
}

/// The database reaches nobody for a while.
fn outage(cluster: &Cluster, until: Duration) {
    cluster.sim.note(None, format!("the database is away until {:.3}", until.as_secs_f64()));
    cluster.sim.count(|counts| counts.outages += 1);
    cluster.all().iter().for_each(|node| node.gate.cut(until));
}

/// The kill switch of a node is on for a while.
fn stop(cluster: &Cluster, node: Arc<Node>, lasts: Duration) {
    let sim = Arc::clone(&cluster.sim);
    sim.note(None, format!("{} is stopped for {} ms", node.gate.owner, lasts.as_millis()));
    sim.count(|counts| counts.stops += 1);
    node.engine.parts().governor.stops().stop(l9::stop::Scope::All);
    tokio::spawn(async move {
        sim.timeline.sleep(lasts).await;
        node.engine.parts().governor.stops().unstop(&l9::stop::Scope::All);
    });
}

fn jump(cluster: &Cluster, node: &Node) {
    let millis = i64::try_from(cluster.sim.draw(|random| random.between(0, 2 * JUMP))).unwrap_or(0) - JUMP as i64;
    cluster.sim.note(None, format!("the wall clock of {} jumps by {millis} ms", node.gate.owner));
    cluster.sim.count(|counts| counts.clock_jumps += 1);
    node.clock.jump(millis);
}

fn crossed(cluster: &Cluster, node: &Node) {
    let busy = cluster.sim.judge(|judge, _| judge.is_busy(&node.gate.owner));
    cluster.sim.count(|counts| counts.crossed += u64::from(busy));
}

async fn restart(cluster: Arc<Cluster>, place: usize, after: Duration) {
    cluster.sim.timeline.sleep(after).await;
    cluster.boot(place).expect("a node boots");
}

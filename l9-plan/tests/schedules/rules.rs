//! What becomes of ticks that come too late, of ticks while a run lasts, and of those that
//! cannot be started.

use std::time::Duration;

use l9_core::ErrorKind;
use l9_core::time::Timestamp;
use l9_plan::schedule::{CatchUp, Definition, Outcome, Overlap};

use crate::world::{World, ada, at, cron, name};

const RULES: [CatchUp; 3] = [CatchUp::Skip, CatchUp::One, CatchUp::All];

/// What the rules say, of one who is always there and does all at once.
struct Model {
    definition: Definition,
    made: (Timestamp, l9_plan::schedule::SeriesId),
    decided: Timestamp,
    wanted: Vec<Timestamp>,
}

impl Model {
    fn look(&mut self, now: Timestamp) {
        let due = self.definition.due(self.made, self.decided, now).unwrap();
        self.decided = due.decided().unwrap_or(self.decided);
        self.wanted.extend(due.ticks);
    }
}

#[tokio::test]
async fn ticks_of_downtimes_and_pauses_have_the_runs_that_the_rule_says() {
    for (rule, processes) in RULES.into_iter().flat_map(|rule| [(rule, 2), (rule, 5)]) {
        let mut runs = 0;
        for seed in 0..8 {
            // Over the night in which New York has an hour twice.
            let mut now = at("2027-11-06T20:00:00Z");
            let mut world = World::new(processes, now, seed);
            let definition = Definition {
                catch_up: rule,
                catch_up_limit: 7,
                overlap: Overlap::Queue,
                jitter_ms: 400_000,
                ..cron("*/15 * * * *", "America/New_York")
            };
            let made = world.book().add(&ada(), &name(), definition.clone()).await.unwrap();
            let mut model = Model {
                definition,
                made: (made.created_at, made.series),
                decided: made.created_at,
                wanted: Vec::new(),
            };
            let mut paused = false;
            for _ in 0..120 {
                now = match world.dice.roll(12) {
                    0 => now.after(Duration::from_secs(world.dice.roll(5 * 3_600))),
                    1 => now.before(Duration::from_secs(world.dice.roll(600))),
                    _ => now.after(Duration::from_secs(world.dice.roll(60))),
                };
                world.set(now);
                if world.dice.roll(if paused { 4 } else { 25 }) == 0 {
                    paused = !paused;
                    let done = match paused {
                        true => world.book().pause(&ada(), &name()).await,
                        false => world.book().resume(&ada(), &name()).await,
                    };
                    assert_eq!(done.unwrap().state.paused.is_some(), paused);
                }
                if !paused {
                    model.look(now);
                }
                world.look().await;
                assert_eq!(world.ticks(), model.wanted, "{rule:?}, {processes} schedulers, seed {seed}, at {now}");
            }
            runs += model.wanted.len();
        }
        // How many there are depends on the jitter of the series, whose id is drawn anew each time.
        assert!(runs > 4, "{rule:?}: {runs} runs are too few to tell");
    }
}

#[tokio::test]
async fn a_downtime_has_one_run_for_all_though_those_who_make_up_for_it_die() {
    for (rule, runs) in RULES.into_iter().zip([0, 1, 24]) {
        let begin = at("2027-06-01T00:00:30Z");
        let mut world = World::new(5, begin, 7);
        let definition = Definition { catch_up: rule, overlap: Overlap::Queue, ..cron("0 * * * *", "UTC") };
        world.book().add(&ada(), &name(), definition).await.unwrap();
        let back = at("2027-06-02T00:30:00Z");
        world.set(back);
        (0..4).for_each(|process| world.kill(process));
        world.look().await;
        for later in 1..30 {
            // Past what is left to the one who decided.
            world.set(back.after(Duration::from_secs(11 * later)));
            world.kill(usize::try_from(later).unwrap() % 5);
            world.look().await;
        }
        assert_eq!(world.ticks().len(), runs, "{rule:?}: {:?}", world.ticks());
        let state = world.schedule().await.state;
        assert!(state.pending.is_empty() && state.recent[0].tick == at("2027-06-02T00:00:00Z"), "{state:?}");
        let outcome = if rule == CatchUp::Skip { Outcome::Missed } else { Outcome::Started };
        assert_eq!(state.recent[0].outcome, outcome);
    }
}

/// Three ticks at their times while the first run lasts; then it ends, and there is a fourth.
async fn three_ticks(overlap: Overlap) -> World {
    let mut world = World::new(2, at("2027-06-01T00:00:30Z"), 3);
    world.journal.lock().unwrap().lasting = true;
    let definition = Definition { overlap, ..cron("0 * * * *", "UTC") };
    world.book().add(&ada(), &name(), definition).await.unwrap();
    for hour in 1..4 {
        world.set(at(&format!("2027-06-01T0{hour}:00:00Z")));
        world.look().await;
        world.set(at(&format!("2027-06-01T0{hour}:00:20Z")));
        world.look().await;
    }
    world
}

fn hours(world: &World) -> Vec<String> {
    world.ticks().iter().map(|tick| tick.to_string()[11..16].to_owned()).collect()
}

fn first(world: &World) -> l9_core::id::RunId {
    world.journal.lock().unwrap().begun[0].1
}

#[tokio::test]
async fn a_tick_is_skipped_while_the_run_of_the_last_one_lasts() {
    let mut world = three_ticks(Overlap::Skip).await;
    assert_eq!(hours(&world), ["01:00"]);
    let recent = world.schedule().await.state.recent;
    assert_eq!(
        recent.iter().map(|tick| tick.outcome).collect::<Vec<_>>(),
        [Outcome::Skipped, Outcome::Skipped, Outcome::Started]
    );
    world.end(first(&world));
    world.set(at("2027-06-01T04:00:00Z"));
    world.look().await;
    assert_eq!(hours(&world), ["01:00", "04:00"]);
}

#[tokio::test]
async fn a_tick_waits_for_the_run_of_the_last_one_and_those_after_it_may_come_too_late() {
    let mut world = three_ticks(Overlap::Queue).await;
    assert_eq!(hours(&world), ["01:00"]);
    assert_eq!(world.schedule().await.state.pending, [at("2027-06-01T02:00:00Z")]);
    world.end(first(&world));
    world.set(at("2027-06-01T03:30:00Z"));
    world.look().await;
    assert_eq!(hours(&world), ["01:00", "02:00"]);
    let second = world.journal.lock().unwrap().begun[1].1;
    world.end(second);
    world.set(at("2027-06-01T03:30:01Z"));
    world.look().await;
    assert_eq!(hours(&world), ["01:00", "02:00", "03:00"], "the one that came too late, by the usual rule");
}

#[tokio::test]
async fn a_tick_replaces_the_run_of_the_last_one_once_that_has_ended() {
    let mut world = three_ticks(Overlap::Replace).await;
    assert_eq!(hours(&world), ["01:00"]);
    let replaced = first(&world);
    assert_eq!(world.journal.lock().unwrap().cancelled, [replaced], "asked once, and not over yet");
    world.end(replaced);
    world.set(at("2027-06-01T03:00:30Z"));
    world.look().await;
    assert_eq!(hours(&world), ["01:00", "02:00"]);
}

#[tokio::test]
async fn what_cannot_be_started_is_told_and_the_next_tick_is_tried() {
    let mut world = World::new(2, at("2027-06-01T00:00:30Z"), 3);
    world.book().add(&ada(), &name(), cron("0 * * * *", "UTC")).await.unwrap();
    world.journal.lock().unwrap().refusal = Some((ErrorKind::NotFound, "there is no agent a"));
    world.set(at("2027-06-01T01:00:00Z"));
    world.look().await;
    let recent = world.schedule().await.state.recent;
    assert_eq!(recent[0].outcome, Outcome::Failed);
    assert!(recent[0].error.as_ref().unwrap().contains("there is no agent a"), "{recent:?}");
    // What passes by itself is tried again for the same tick.
    world.journal.lock().unwrap().refusal = Some((ErrorKind::Unavailable, "the database does not answer"));
    world.set(at("2027-06-01T02:00:00Z"));
    world.look().await;
    assert_eq!(world.schedule().await.state.pending, [at("2027-06-01T02:00:00Z")]);
    world.journal.lock().unwrap().refusal = None;
    for later in [1, 12] {
        world.set(at("2027-06-01T02:00:00Z").after(Duration::from_secs(later)));
        world.look().await;
    }
    assert_eq!(hours(&world), ["02:00"]);
    world.set(at("2027-06-01T03:00:00Z"));
    world.look().await;
    assert_eq!(hours(&world), ["02:00", "03:00"]);
}

#[tokio::test]
async fn one_that_was_removed_starts_nothing_and_one_that_is_made_again_is_another() {
    let mut world = World::new(2, at("2027-06-01T00:00:30Z"), 3);
    let again = world.book().add(&ada(), &name(), cron("0 * * * *", "UTC")).await.unwrap().series;
    let taken = world.book().add(&ada(), &name(), cron("0 * * * *", "UTC")).await.unwrap_err();
    assert_eq!(taken.kind(), ErrorKind::Conflict);
    world.set(at("2027-06-01T01:00:00Z"));
    world.look().await;
    world.book().remove(&ada().tenant, &name()).await.unwrap();
    assert_eq!(world.book().remove(&ada().tenant, &name()).await.unwrap_err().kind(), ErrorKind::NotFound);
    world.set(at("2027-06-01T02:00:00Z"));
    world.look().await;
    assert_eq!(hours(&world), ["01:00"]);
    // The clock goes back, and the same hour comes again for another schedule of that name.
    world.set(at("2027-06-01T00:59:00Z"));
    assert_ne!(world.book().add(&ada(), &name(), cron("0 * * * *", "UTC")).await.unwrap().series, again);
    world.set(at("2027-06-01T01:00:00Z"));
    world.look().await;
    assert_eq!(hours(&world), ["01:00", "01:00"]);
}

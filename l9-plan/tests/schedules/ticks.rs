//! One run for each tick, under many schedulers whose clocks differ, jump and go back, and
//! which die between the start of a run and writing it down.

use std::time::Duration;

use l9_core::time::{Clock as _, Timestamp};
use l9_plan::schedule::{CatchUp, Definition, Overlap};

use crate::world::{World, ada, at, cron, name};

const MINUTE: Duration = Duration::from_secs(60);

/// A line, its zone, and the time before a night in which clocks are set.
type Night = (&'static str, &'static str, &'static str);

/// In both directions.
const NIGHTS: [Night; 6] = [
    ("*/10 * * * *", "Europe/Berlin", "2027-03-27T20:00:00Z"),
    ("30 2 * * *", "Europe/Berlin", "2027-03-27T20:00:00Z"),
    ("*/10 * * * *", "Europe/Berlin", "2027-10-30T20:00:00Z"),
    ("15,30 1,2 * * *", "Europe/Berlin", "2027-10-30T20:00:00Z"),
    ("*/20 0-4 * * *", "America/New_York", "2027-03-14T02:00:00Z"),
    ("45 1 * * *", "America/New_York", "2027-11-07T02:00:00Z"),
];

/// A day in jumps of up to hours forward and minutes back, each process with a clock of its own.
/// Gives the ticks that there should be, and those that have runs.
async fn day(
    processes: usize,
    seed: u64,
    (line, zone, begin): Night,
    dies: bool,
    keyed: bool,
) -> (Vec<Timestamp>, Vec<Timestamp>) {
    let begin = at(begin);
    let mut world = World::made(processes, begin, seed, keyed);
    let definition = Definition { catch_up: CatchUp::All, overlap: Overlap::Queue, ..cron(line, zone) };
    world.book().add(&ada(), &name(), definition).await.unwrap();
    let mut now = begin;
    let end = begin.after(24 * 60 * MINUTE);
    while now < end {
        now = match world.dice.roll(4) {
            0 => now.before(MINUTE * u32::try_from(world.dice.roll(9)).unwrap()).max(begin),
            1 => now.after(MINUTE * u32::try_from(world.dice.roll(300)).unwrap()),
            _ => now.after(Duration::from_secs(world.dice.roll(200))),
        };
        for process in &world.processes {
            process.clock.set(now.after(Duration::from_millis(world.dice.roll(5_000))));
        }
        if dies && world.dice.roll(3) == 0 {
            world.kill(usize::try_from(world.dice.roll(processes as u64)).unwrap());
        }
        world.look().await;
    }
    // What the dead have left is left to nobody any more.
    let last = world.processes.iter().map(|process| process.clock.now()).max().unwrap().after(Duration::from_secs(20));
    for later in [0, 11, 22] {
        world.set(last.after(Duration::from_secs(later)));
        world.look().await;
    }
    let schedule = world.schedule().await;
    assert!(schedule.state.pending.is_empty());
    let all = schedule.definition.preview((schedule.created_at, schedule.series), begin, 1_000).unwrap();
    let decided = last.after(Duration::from_secs(22));
    (all.into_iter().map(|(tick, _)| tick).filter(|tick| *tick <= decided).collect(), world.ticks())
}

#[tokio::test]
async fn each_tick_has_one_run_under_two_schedulers_and_under_five() {
    for processes in [2, 5] {
        for night in NIGHTS {
            for seed in 0..4 {
                let (wanted, ran) = day(processes, seed, night, false, true).await;
                assert!(!wanted.is_empty());
                assert_eq!(ran, wanted, "{processes} schedulers, {night:?}, seed {seed}");
            }
        }
    }
}

#[tokio::test]
async fn each_tick_has_one_run_though_schedulers_die_between_its_start_and_writing_it_down() {
    for processes in [1, 2, 5] {
        for night in NIGHTS {
            for seed in 0..4 {
                let (wanted, ran) = day(processes, seed, night, true, true).await;
                assert_eq!(ran, wanted, "{processes} schedulers, {night:?}, seed {seed}");
            }
        }
    }
}

/// What this world would see if runs had no keys: it can tell.
#[tokio::test]
async fn without_the_key_ticks_are_doubled() {
    let mut doubled = 0;
    for seed in 0..12 {
        let (wanted, ran) = day(2, seed, NIGHTS[0], true, false).await;
        doubled += ran.len() - wanted.len();
    }
    assert!(doubled > 0, "nobody died between a start and its being written down");
}

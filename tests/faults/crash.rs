//! E01, E02, E04, E05: killed at every event, after every effect, on the way back, and while it
//! recovers. E01 and E02 at all their places; of the pairs of E04 and E05 a sample, by strides that
//! the soak (`scripts/soak.sh`) does not have.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::book::{FAN, STEPS};
use super::drive::{Story, Told};
use crate::support::ferry::Ferry;

/// Tells all stories, two at a time, and gives back what does not hold of each.
pub fn sweep(
    stories: &[Story],
    judge: impl Fn(&Story, &Told) -> Option<String> + Sync,
) -> Vec<String> {
    let (next, wrong) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(story) = stories.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let told = story.tell();
                    let found = judge(story, &told).or_else(|| told.broken(story));
                    wrong.lock().unwrap().extend(found);
                }
            });
        }
    });
    wrong.into_inner().unwrap()
}

/// All invariants hold, the run came to this end, and nearly all of the points were passed: where
/// steps go side by side, how many commits there are differs by a few.
fn ends(stories: &[Story], status: &str) {
    let killed = AtomicUsize::new(0);
    let wrong = sweep(stories, |story, told| {
        killed.fetch_add(usize::from(told.kills > 0), Ordering::Relaxed);
        let found = told.evidence.status();
        (found.as_deref() != Some(status)).then(|| {
            let story = told.told(story, &told.evidence.broken());
            format!("ended {found:?}, not {status}: {story}")
        })
    });
    let (count, killed) = (stories.len(), killed.into_inner());
    assert!(
        wrong.is_empty(),
        "{} of {count} stories\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(killed * 10 >= count * 8, "{killed} of {count} were killed");
}

/// How often a point is passed when nothing breaks.
pub fn passings(point: &str, failing: Option<usize>) -> usize {
    use super::book::Book;
    use super::ledger::{EFFECT, PROBE, World};
    let book = Book::new(World::new(), failing);
    let ran = Ferry::new()
        .file("ledger", "")
        .file("effect", EFFECT)
        .file("probe", PROBE)
        .runbook(&book.text)
        .env("CANARY", "canary-of-a-count")
        .env("FERRY_FAILPOINT_TRACE", "trace")
        .run();
    assert!([0, 11].contains(&ran.code), "{}", ran.all());
    let trace = ran.text("trace");
    trace
        .lines()
        .filter(|line| line.split(' ').next() == Some(point))
        .count()
}

/// E01: every commit of the way forward.
#[test]
fn e01_killed_after_an_event() {
    let commits = passings("commit.after", None);
    let stories: Vec<Story> = (1..=commits)
        .map(|nth| Story::of(None, &[&format!("commit.after:{nth}=kill")]))
        .collect();
    ends(&stories, "succeeded");
}

/// E02: every effect, before its outcome is written. It is never simply done again.
#[test]
fn e02_killed_after_an_effect() {
    let stories: Vec<Story> = (1..=STEPS + 3)
        .map(|nth| Story::of(None, &[&format!("effect.after:{nth}=kill")]))
        .collect();
    ends(&stories, "succeeded");
}

/// E04: every step fails in turn, and ferry is killed at the plan of the way back, or before or after
/// an undo at its beginning, a third or two thirds back. The soak has all pairs. The journaled list
/// is gone on with; nothing is undone twice.
#[test]
fn e04_killed_on_the_way_back() {
    let places = [
        "commit.after:rollback.planned",
        "commit.after:rollback.started",
        "commit.after:rollback.finished",
        "commit.before:rollback.finished",
        "effect.after:s01.undo-1",
        "effect.after:ITSELF.undo-1",
    ];
    let mut stories = Vec::new();
    for failing in 1..=STEPS {
        let place = places[failing % places.len()];
        // side by side, fewer are done than stand before it in the text
        let back = failing / 2 * (failing % 3) / 3;
        let nth = match place {
            _ if place.ends_with("planned") || place.ends_with("undo-1") => 1,
            _ => 1 + back,
        };
        // the step that is repeated over items has an undo for each of them
        let itself = match failing {
            FAN => format!("s{failing:02}.undo-1[0]"),
            _ => format!("s{failing:02}.undo-1"),
        };
        let place = place.replace("ITSELF.undo-1", &itself);
        stories.push(Story::of(Some(failing), &[&format!("{place}:{nth}=kill")]));
    }
    ends(&stories, "rolled_back");
}

/// E05: killed, and killed again while it takes the run over, while it looks at what is in doubt,
/// and at the first events of its recovery; after every other effect, with one second kill each.
#[test]
fn e05_killed_while_it_recovers() {
    let seconds = [
        "claim.after:1=kill",
        "probe:1=kill",
        "commit.after:1=kill",
        "commit.before:2=kill",
        "commit.after:2=kill",
        "effect.after:1=kill",
    ];
    let mut stories = Vec::new();
    for (nth, second) in (1..=STEPS + 3).step_by(2).zip(seconds.iter().cycle()) {
        let first = format!("effect.after:{nth}=kill");
        stories.push(Story::of(None, &[&first, second]));
    }
    ends(&stories, "succeeded");
}

/// E05 on the way back.
#[test]
fn e05_killed_while_a_rollback_recovers() {
    let mut stories = Vec::new();
    for (at, second) in [
        "claim.after:1=kill",
        "commit.after:1=kill",
        "effect.after:1=kill",
    ]
    .iter()
    .cycle()
    .take(6)
    .enumerate()
    {
        let first = format!("commit.after:rollback.started:{}=kill", 1 + at * 3);
        stories.push(Story::of(Some(30), &[&first, second]));
    }
    ends(&stories, "rolled_back");
}

/// Without a kill all of it goes there, and there and back, so that what the others find is due to
/// the kills.
#[test]
fn the_forty_steps_go_there_and_back() {
    for (failing, status, effects) in [(None, "succeeded", 43), (Some(40), "rolled_back", 86)] {
        let story = Story::of(failing, &[]);
        let told = story.tell();
        assert_eq!(told.broken(&story), None);
        let found = told.evidence.status();
        assert_eq!(found.as_deref(), Some(status), "{}", told.told(&story, &[]));
        assert_eq!((told.kills, told.resumes), (0, 0));
        assert_eq!(told.evidence.ledger.len(), effects);
    }
}

/// E05: an undo is left in doubt, a person is asked, what does not hang on it goes on, and ferry is
/// killed twice more. What the undo stands on still waits for it.
#[test]
fn e05_killed_while_an_undo_is_asked_about() {
    let seconds = ["commit.after:4=kill", "probe:3=kill"];
    let thirds = [
        "commit.after:1=kill",
        "claim.after:1=kill",
        "commit.after:2=kill",
    ];
    let mut stories = Vec::new();
    for nth in [24, 25, 26, 27] {
        let first = format!("commit.after:rollback.finished:{nth}=kill");
        let (second, third) = (seconds[nth % 2], thirds[nth % 3]);
        stories.push(Story::of(Some(37), &[&first, second, third]));
    }
    ends(&stories, "rolled_back");
}

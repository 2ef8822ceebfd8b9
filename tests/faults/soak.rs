//! The long form of the sweep: `scripts/soak.sh --kills N`.
//!
//! Every commit and every effect of the 40 steps is a kill point, forward and on the way back; a
//! fifth of the stories is killed a second and a third time while it recovers. What is counted is
//! printed; anything that does not hold is a failure.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::book::STEPS;
use super::check::Rule;
use super::crash::passings;
use super::drive::Story;

/// What came of the stories so far.
#[derive(Default)]
struct Counts {
    stories: usize,
    points: usize,
    kills: usize,
    resumes: usize,
    lost: usize,
    doubled: usize,
    illegal: usize,
    told: Vec<String>,
}

impl Counts {
    fn line(&self, began: Instant) -> String {
        let Self {
            points,
            kills,
            resumes,
            lost,
            doubled,
            illegal,
            ..
        } = self;
        format!(
            "points {points}  kills {kills}  resumes {resumes}  lost {lost}  doubled {doubled}  illegal states {illegal}  time {:.0} s",
            began.elapsed().as_secs_f64()
        )
    }
}

/// Numbers that look random and are the same every time.
struct Dice(u64);

impl Dice {
    /// From 1 to `most`.
    fn upto(&mut self, most: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        1 + usize::try_from((self.0 >> 33) % most as u64).unwrap()
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.upto(of.len()) - 1]
    }
}

/// The stories, one kill point each, and more in every fifth: half of them forward, at every point in
/// turn; the others on the way back.
fn stories(count: usize, commits: usize) -> Vec<Story> {
    let mut dice = Dice(20_261_121);
    let mut forward = Vec::new();
    for nth in 1..=commits {
        forward.push(format!("commit.before:{nth}=kill"));
        forward.push(format!("commit.after:{nth}=kill"));
    }
    for nth in 1..=STEPS + 3 {
        forward.push(format!("effect.before:{nth}=kill"));
        forward.push(format!("effect.after:{nth}=kill"));
    }
    let mut forward = forward.into_iter().cycle();
    let seconds = [
        "claim.after",
        "probe",
        "commit.before",
        "commit.after",
        "effect.before",
        "effect.after",
    ];
    (0..count)
        .map(|at| {
            let mut story = Story::default();
            if at % 2 == 0 {
                story.failpoints.extend(forward.next());
            } else {
                let failing = dice.upto(STEPS);
                let place = dice.one(&[
                    "commit.before:rollback.started",
                    "commit.after:rollback.started",
                    "commit.before:rollback.finished",
                    "commit.after:rollback.finished",
                    "commit.after:rollback.planned",
                ]);
                let nth = if place.ends_with("planned") {
                    1
                } else {
                    dice.upto(failing)
                };
                story.failing = Some(failing);
                story.failpoints.push(format!("{place}:{nth}=kill"));
            }
            if at % 5 == 0 {
                for most in [3, 2] {
                    let second = dice.one(&seconds);
                    story
                        .failpoints
                        .push(format!("{second}:{}=kill", dice.upto(most)));
                }
            }
            story
        })
        .collect()
}

/// The release binary, which has no failpoints, killed at its `nth` sync by the tracer.
fn traced(binary: &str, nth: usize, failing: Option<usize>) -> Story {
    // its filter in the kernel would be faster, and does not inject
    let tracer = "strace -f -qq -o /dev/null -e trace=fdatasync,fsync";
    Story {
        failing,
        through: vec![format!(
            "shift; exec {tracer} -e inject=fdatasync,fsync:signal=KILL:when={nth} '{binary}' \"$@\""
        )],
        binary: Some(binary.to_owned()),
        ..Story::default()
    }
}

/// Why nothing can be traced here.
fn untraceable() -> Option<String> {
    let tried = Command::new("strace")
        .args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=fsync", "true"])
        .stdin(Stdio::null())
        .output();
    match tried {
        Err(error) => Some(format!("strace cannot be started: {error}")),
        Ok(output) if !output.status.success() => {
            let said = String::from_utf8_lossy(&output.stderr);
            Some(format!("strace cannot trace here: {}", said.trim()))
        }
        Ok(_) => None,
    }
}

/// Tells them two at a time until all are told or the time is over; says how far it is.
fn tell(stories: &[Story], until: Instant, began: Instant) -> Counts {
    let (next, counts) = (AtomicUsize::new(0), Mutex::new(Counts::default()));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while Instant::now() < until
                    && let Some(story) = stories.get(next.fetch_add(1, Ordering::Relaxed))
                {
                    let told = story.tell();
                    let broken = told.evidence.broken();
                    let mut counts = counts.lock().unwrap();
                    counts.stories += 1;
                    counts.points += usize::from(told.kills > 0);
                    counts.kills += told.kills;
                    counts.resumes += told.resumes;
                    let of = |rule: Rule| broken.iter().filter(|one| one.rule == rule).count();
                    counts.lost += of(Rule::Lost);
                    counts.doubled += of(Rule::Doubled);
                    counts.illegal += of(Rule::Illegal);
                    if !broken.is_empty() {
                        counts.told.push(told.told(story, &broken));
                    }
                    if counts.stories.is_multiple_of(50) {
                        say(&counts.line(began));
                    }
                }
            });
        }
    });
    counts.into_inner().unwrap()
}

#[expect(clippy::print_stdout, reason = "the figures are what this is for")]
fn say(line: &str) {
    println!("{line}");
    // seen as it comes, also through a pipe
    let _ = std::io::stdout().flush();
}

fn number(name: &str, usual: usize) -> usize {
    std::env::var(name).map_or(usual, |text| text.parse().unwrap())
}

#[test]
#[ignore = "minutes to hours: `scripts/soak.sh`"]
fn soak() {
    let began = Instant::now();
    let kills = number("FERRY_SOAK_KILLS", 1_000);
    let minutes = number("FERRY_SOAK_MINUTES", 60);
    let until = began + Duration::from_secs(60 * minutes as u64);
    let commits = passings("commit.after", None);
    say(&format!(
        "soak: {kills} kill points over {STEPS} steps and {commits} commits, {minutes} minutes at most"
    ));
    let counts = tell(&stories(kills, commits), until, began);
    say(&format!("failpoints: {}", counts.line(began)));
    let mut all = vec![(kills, counts)];

    match (std::env::var("FERRY_SOAK_PLAIN"), untraceable()) {
        (Err(_), _) => say("release binary: skipped, FERRY_SOAK_PLAIN names none"),
        (_, Some(why)) => say(&format!("release binary: skipped, {why}")),
        (Ok(binary), None) => {
            assert!(Path::new(&binary).is_file(), "`{binary}` is no file");
            let count = (kills / 10).clamp(1, 200);
            // a sync a commit and more: past the last one a run ends untouched
            let nth = |at: usize| 1 + at * commits / count;
            let stories: Vec<Story> = (0..count)
                .map(|at| traced(&binary, nth(at), (at % 2 == 1).then_some(STEPS)))
                .collect();
            let counts = tell(&stories, until, began);
            say(&format!("release binary: {}", counts.line(began)));
            all.push((count, counts));
        }
    }
    for (wanted, counts) in &all {
        counts.told.iter().for_each(|told| say(told));
        let sum = counts.lost + counts.doubled + counts.illegal;
        assert_eq!(sum, 0, "{}", counts.line(began));
        assert_eq!(
            counts.stories, *wanted,
            "the time was over before all points were"
        );
        // a point that is not passed kills nothing: few of them, or the points are not what they say
        assert!(
            counts.points * 10 >= counts.stories * 8,
            "{}",
            counts.line(began)
        );
    }
}

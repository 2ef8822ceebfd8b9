//! `ferry rehearse` over what is looked at again and again: one real look at guards and watches, what of
//! them only time can show, and whether a criterion would notice that nothing came back.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::support::ferry::{Ferry, Ran};
use crate::support::redis::Server;
use crate::support::still::{self, Redis};

const RUNBOOK: &str = r#"
runbook: r
inputs: { url: { env: URL } }
targets: { cache: { redis: "${{ inputs.url }}" } }
thresholds: { size: { keys: { healthy: ">= 5", critical: "< 2" } } }
guards:
  holds: { during: [one], redis.stats: {}, target: cache, thresholds: size, every: 5s, then: pause }
  broken: { during: [one, two], redis.stats: {}, target: cache, expect: result.keys > 1000, every: 5s, then: pause }
  blind: { during: [one], redis.stats: {}, target: cache, expect: has(result.role), every: 5s, then: notify }
  excused: { during: [one], redis.stats: {}, target: cache, expect: result.keys == 3, unless: phase == "one", every: 5s, then: pause }
  behind: { during: [two], redis.stats: {}, target: cache, expect: result.keys == 0, every: 5s, then: rollback }
  unreached: { during: [never], redis.stats: {}, target: cache, expect: result.keys == 0, every: 5s, then: rollback }
phases:
  one:
    steps:
      - id: watched
        redis.stats: {}
        target: cache
        watch: { every: 1m, for: 24h }
        expect: result.keys == 3
        warn: result.keys > 5
        bands:
          - { from: 5m, expect: result.keys >= 2 }
          - { from: 1h, expect: [result.keys >= 2, result.keys >= 50] }
        trend: { keys: rising }
      - id: late
        redis.stats: {}
        target: cache
        watch: { every: 1s, for: 1m, initial_delay: 5s }
        bands: [{ from: 1s, expect: result.keys == 7 }, { from: 10s, expect: result.keys == 8 }]
      - { id: compares, redis.stats: {}, target: cache, expect: result.keys <= 2 * baseline.result.keys }
      - { id: change, redis: SET a b, target: cache, undo: none, idempotent: true }
      - { id: after, redis.stats: {}, target: cache, expect: result.keys == 3, watch: { every: 1s, count: 3 } }
  two: { needs: [one], steps: [{ id: ping, redis: PING, target: cache }] }
  never: { needs: [one], when: inputs.url == "", steps: [{ id: pong, redis: PING, target: cache }] }
"#;

fn entries(ran: &Ran) -> BTreeMap<String, Value> {
    let lines = ran.stdout.lines();
    let lines = lines.map(|line| serde_json::from_str::<Value>(line).unwrap());
    let steps = lines.filter(|line| line["event"] == "step");
    steps
        .map(|line| (line["step"].as_str().unwrap().to_owned(), line))
        .collect()
}

fn texts(value: &Value) -> Vec<&str> {
    let list = value.as_array().into_iter().flatten();
    list.map(|one| one.as_str().unwrap()).collect()
}

#[test]
#[expect(clippy::too_many_lines, reason = "one rehearsal, looked at whole")]
fn a_guard_and_a_watch_are_looked_at_once_and_what_time_shows_is_not_judged() {
    let server = Server::start(&[]);
    for key in ["x", "y", "z"] {
        let _: () = server.ask(0, &["SET", key, "1"]);
    }
    let url = server.url(0);
    let (before, calls) = (Redis::of(&url, &[0]), still::calls(&url));
    let ran = Ferry::new()
        .env("URL", &url)
        .runbook(RUNBOOK)
        .command(&["rehearse", "--json", "runbook.yaml"])
        .run()
        .code(17);
    let found = entries(&ran);
    let said = |step: &str| {
        let entry = &found[step];
        let (word, problem) = (entry["word"].as_str().unwrap(), entry["problem"].as_str());
        (word.to_owned(), problem.map(str::to_owned))
    };
    let read = |problem: Option<&str>| ("read".to_owned(), problem.map(str::to_owned));
    assert_eq!(found["holds"]["phase"], "guards");
    assert_eq!(said("holds"), read(None));
    assert_eq!(
        texts(&found["holds"]["notes"]),
        [
            "a warning: expected `result.keys >= 5`, but `result.keys` is 3",
            "one look: a run looks every 5s, and then: pause",
        ]
    );
    let small = "expected `result.keys > 1000`, but `result.keys` is 3";
    assert_eq!(said("broken"), read(Some(small)));
    assert_eq!(said("blind"), read(None));
    let blind = "passes without data: `has(result.role)` would not notice that nothing came back";
    assert!(
        texts(&found["blind"]["notes"]).contains(&blind),
        "{}",
        found["blind"]
    );
    let excused = "excused now: `unless` holds: phase == \"one\"";
    assert!(
        texts(&found["excused"]["notes"]).contains(&excused),
        "{}",
        found["excused"]
    );
    assert_eq!(found["behind"]["word"], "not_verified");
    assert_eq!(
        found["behind"]["why"],
        "it stands behind `change`, which was not carried out"
    );
    assert_eq!(found["unreached"]["word"], "left_out");

    assert_eq!(said("watched"), read(None));
    assert_eq!(
        texts(&found["watched"]["notes"]),
        [
            "a warning: expected `result.keys > 5`, but `result.keys` is 3",
            "one look: a run looks every 1m for 1d",
            "what is expected from 5m on holds already",
            "what is expected from 1h on does not hold yet: expected `result.keys >= 50`, but `result.keys` is 3",
        ]
    );
    assert_eq!(
        texts(&found["watched"]["not_judged"]),
        [
            "from 5m: result.keys >= 2",
            "from 1h: result.keys >= 2",
            "from 1h: result.keys >= 50",
            "trend: keys rising",
        ]
    );
    // its first look falls into the first band
    let late = "expected `result.keys == 7`, but `result.keys` is 3";
    assert_eq!(said("late"), read(Some(late)));
    assert_eq!(said("compares"), read(None));
    let itself = "what is read now stands in for `baseline`: it is compared with itself";
    assert_eq!(texts(&found["compares"]["notes"]), [itself]);
    assert_eq!(found["after"]["word"], "not_verified");
    let called = still::called(&calls, &still::calls(&url));
    still::all_read(&url, &called);
    assert_eq!(Redis::of(&url, &[0]), before);
}

#[test]
fn a_guard_that_cannot_read_is_a_problem_now() {
    let port = crate::support::ports::free();
    let ran = Ferry::new()
        .env("URL", &format!("redis://127.0.0.1:{port}/0"))
        .runbook(RUNBOOK)
        .command(&["rehearse", "--json", "runbook.yaml"])
        .run()
        .code(17);
    let found = entries(&ran);
    let problem = found["holds"]["problem"].as_str().unwrap();
    assert!(problem.contains(&format!("127.0.0.1:{port}")), "{problem}");
}

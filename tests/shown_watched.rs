//! What is watched as people are shown it: lines, `ferry status`, reports, the plan, and a message.

use serde_json::Value;

use crate::support::chromium;
use crate::support::ferry::{Ferry, Ran};
use crate::support::wire::{Wire, answer};

/// A site that a step takes away for a second, keys that grow beyond what a guard allows, and a step
/// that watches.
fn watched(comms: &str) -> Ferry {
    let text = format!(
        r#"
        runbook: demo
        title: A demo that is watched
        window: {{ total: 10m, downtime: 200ms }}
        comms:
          channels: {{ ops: {{ webhook: "{comms}" }} }}
          on:
            - {{ event: guard, to: ops }}
        guards:
          site:
            title: The site is there
            during: [change, keep]
            file.stat: site
            expect: result.exists
            every: 100ms
            consecutive_failures: 1000
            then: rollback
            measures: downtime
          size:
            during: [change]
            file.stat: data
            expect: result.bytes < 5
            every: 100ms
            consecutive_failures: 1
            then: notify
        phases:
          change:
            steps:
              - id: swap
                shell: rm site; echo 123456 > data; sleep 1; touch site; sleep 0.4
                undo: [{{ shell: touch site }}]
                warn: result.stdout != ""
          keep:
            needs: [change]
            steps:
              - id: steady
                file.stat: data
                expect: result.bytes > 1
                warn: result.bytes < 3
                watch: {{ every: 200ms, for: 2s }}
        rollback:
          decide_within: 30m
        "#
    );
    Ferry::new()
        .file("site", "")
        .file("data", "1")
        .runbook(&text)
}

/// A text without its layout.
fn plain(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn ask(ran: &Ran, words: &[&str]) -> String {
    let asked = Ferry::again(&ran.dir).command(words).run().success();
    asked.stdout.clone()
}

#[test]
fn a_watched_run_is_told_everywhere() {
    let wire = Wire::answering(answer("200 OK", &[], "ok"));
    let ran = watched(&wire.url).run().success();
    let lines = plain(&(ran.stderr.clone() + &ran.stdout));
    for part in [
        "size does not hold: a look failed; the run goes on",
        "result.bytes < 5",
        "result.bytes is 7",
        "swap warning: ",
        "steady warning: ",
        // again at the end, with the downtime
        "watched size: the guard did not hold",
        "more than the 200ms that the runbook allows",
    ] {
        assert!(lines.contains(part), "no {part} in\n{lines}");
    }
    // it was judged, and is not told a second time when its phase is over
    assert_eq!(lines.matches("size does not hold").count(), 1, "{lines}");

    let status = plain(&ask(&ran, &["status"]));
    for part in [
        " watched guard",
        "guard size does not hold",
        "over the 200ms that are allowed",
    ] {
        assert!(status.contains(part), "no {part} in\n{status}");
    }
    let told: Value = serde_json::from_str(&ask(&ran, &["status", "--json"])).unwrap();
    let down = told["downtime"]["down_ms"].as_u64().unwrap();
    assert!((800..2_500).contains(&down), "{}", told["downtime"]);
    assert_eq!(told["budgets"]["downtime"]["kept"], false);
    assert_eq!(told["downtime"]["precision_ms"], 100);
    let verdicts: Vec<_> = told["checks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["verdict"])
        .collect();
    assert_eq!(verdicts, ["pass", "fail", "pass"]);
    let notices = told["notices"].as_array().unwrap().iter();
    let codes: Vec<_> = notices.map(|one| one["code"].as_str().unwrap()).collect();
    for code in ["downtime_over", "check_failed", "warning"] {
        assert!(codes.contains(&code), "{codes:?}");
    }

    let page = ran.run_dir().join("report.html");
    let opened = chromium::open(&page);
    assert!(opened.console.is_empty(), "{:?}", opened.console);
    for part in [
        "What was watched",
        "class=\"chart\"",
        "<polyline",
        "down for",
        "more than the 200ms that the runbook allows",
    ] {
        assert!(opened.dom.contains(part), "no {part}");
    }
    let junit = ask(&ran, &["report", "--format", "junit"]);
    let (_, suite) = junit.split_once("<testsuite name=\"watched\"").unwrap();
    assert!(
        suite.starts_with(" tests=\"3\" failures=\"1\" errors=\"0\""),
        "{suite}"
    );

    let [request] = &wire.requests()[..] else {
        panic!("one message: {:?}", wire.requests())
    };
    for part in [
        "\"event\":\"guard\"",
        "\"guard\":\"size\"",
        "guard `size` does not hold",
    ] {
        assert!(request.contains(part), "{request}");
    }
}

#[test]
fn a_plan_tells_what_is_watched_and_until_when_failures_go_back() {
    let ran = watched("http://127.0.0.1:9/x")
        .command(&["plan", "runbook.yaml"])
        .run()
        .success();
    let text = plain(&ran.stdout);
    for part in [
        " guards site reads",
        "every 100ms during change, keep",
        "when 1000 looks in a row fail: the run goes back",
        "measures downtime",
        "every 200ms for 2s",
        "failures go back by themselves until 30m after `change`, then hold and ask",
    ] {
        assert!(text.contains(part), "no {part} in\n{}", ran.stdout);
    }
    let told: Value =
        serde_json::from_str(&ask(&ran, &["plan", "runbook.yaml", "--json"])).unwrap();
    assert_eq!(told["guards"][0]["measures_downtime"], true);
    assert_eq!(told["decision"]["after"], "change");
    assert_eq!(told["phases"][1]["steps"][0]["watch"]["longest_s"], 2.0);
    // a step without an estimate takes as long as it watches
    assert_eq!(told["phases"][1]["estimate_s"], 2.0);
}

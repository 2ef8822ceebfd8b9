//! `log.scan` on real files: by time, by offset, rotated, long, broken.

use std::fs;
use std::io::Write;

use ferry::action::log::Scan;
use ferry::action::{Action, ActionError};
use ferry::event::{Cause, Outcome};
use serde_json::{Value, json};

use crate::support::context::{call, context};

/// 2024-11-21T12:00:00Z.
const NOON: f64 = 1_732_190_400.0;

struct Log(tempfile::TempDir);

impl Log {
    fn new(text: impl AsRef<[u8]>) -> Self {
        let log = Self(tempfile::tempdir().unwrap());
        log.put("app.log", text);
        log
    }

    fn put(&self, name: &str, text: impl AsRef<[u8]>) {
        fs::write(self.0.path().join(name), text).unwrap();
    }

    /// Scans `app.log` in a phase that began at `started`.
    async fn scan(&self, started: f64, mut params: Value) -> Result<Value, ActionError> {
        params["file"] = json!("app.log");
        params["zone"] = json!("UTC");
        let mut cx = context(self.0.path());
        cx.phase_started = started;
        let call = call("log.scan", params, self.0.path());
        let result = Scan.execute(&cx, &call).await;
        let shown = match &result {
            Ok(result) => Some(result.clone()),
            Err(error) => error.result.clone(),
        };
        let known: Vec<&str> = Scan.spec().results.iter().map(|(name, _)| *name).collect();
        for field in shown
            .iter()
            .flat_map(|shown| shown.as_object().unwrap().keys())
        {
            assert!(known.contains(&field.as_str()), "`{field}` is not listed");
        }
        result
    }
}

const TEXT: &str = "\
2024-11-21 11:59:58,100 ERROR cache error of before
  its trace
2024-11-21 12:00:00,000 INFO starting
deadline 2020-01-01 00:00:00 in the text of a trace
2024-11-21 12:00:01,500 INFO Application ready
2024-11-21 12:00:02,000 INFO cache hit
";

#[tokio::test]
async fn only_lines_since_the_phase_began_count() {
    let log = Log::new(TEXT);
    let params = json!({"deny": "(?i)cache.*error", "want": ["Application ready", "^deadline"]});
    let result = log.scan(NOON, params.clone()).await.unwrap();
    assert_eq!(result["lines"], 4);
    assert_eq!(result["since_by"], "time");
    assert_eq!(result["clean"], true);
    assert_eq!(
        result["want"],
        json!({"Application ready": 1, "^deadline": 1})
    );
    assert_eq!(result["next_offset"], TEXT.len());
    assert_eq!(result["rotated"], false);

    let error = log.scan(NOON - 5.0, params).await.unwrap_err();
    assert_eq!(
        (error.cause, error.outcome, error.message.as_str()),
        (
            Cause::Failed,
            Outcome::NotApplied,
            "`app.log`: 1 line matches what is denied (in 6 lines)"
        )
    );
    let evidence = error.result.unwrap();
    assert_eq!(
        evidence["matched_deny"],
        json!(["2024-11-21 11:59:58,100 ERROR cache error of before"])
    );
    assert_eq!(evidence["clean"], false);

    let error = log
        .scan(NOON + 1.6, json!({"want": "Application ready"}))
        .await;
    let error = error.unwrap_err();
    assert_eq!(
        error.message,
        "`app.log`: nothing matches `Application ready` (in 1 lines)"
    );
    assert_eq!(
        error.result.unwrap()["missing"],
        json!(["Application ready"])
    );
}

#[tokio::test]
async fn lines_without_time_belong_to_the_one_before() {
    let log = Log::new(TEXT);
    let deny = json!({"deny": "its trace"});
    assert_eq!(log.scan(NOON, deny.clone()).await.unwrap()["deny_count"], 0);
    assert!(log.scan(NOON - 5.0, deny).await.is_err());
    // what stands before the first time goes with it
    let log = Log::new(format!("panic: x\n{TEXT}"));
    let deny = json!({"deny": "panic"});
    assert!(log.scan(NOON - 5.0, deny.clone()).await.is_err());
    assert_eq!(log.scan(NOON, deny).await.unwrap()["lines"], 4);
}

#[tokio::test]
async fn without_times_the_whole_file_is_read_and_that_is_said() {
    let log = Log::new("ready\nERROR x\n");
    // a phase that began after the file was last written: nothing is new in it
    let later = log.scan(9e9, json!({"deny": "ERROR"})).await.unwrap();
    let gist = (&later["since_by"], &later["lines"]);
    assert_eq!(gist, (&json!("not_modified"), &json!(0)));
    let error = log.scan(0.0, json!({"deny": "ERROR"})).await.unwrap_err();
    let evidence = error.result.unwrap();
    assert_eq!(evidence["since_by"], "whole_file");
    assert_eq!(
        evidence["notes"],
        json!(["no line has a time that is understood: the whole file was read"])
    );
}

#[tokio::test]
async fn offsets_durations_and_the_start_are_understood() {
    let log = Log::new("ERROR old\nready\n");
    let at = |since: Value| json!({"deny": "ERROR", "since": since});
    let result = log.scan(0.0, at(json!(10))).await.unwrap();
    assert_eq!(
        (&result["lines"], &result["since_by"]),
        (&json!(1), &json!("offset"))
    );
    assert_eq!(log.scan(0.0, at(json!("10"))).await.unwrap()["lines"], 1);
    assert!(log.scan(0.0, at(json!("start"))).await.is_err());
    let now = jiff::Timestamp::now();
    let stamp = |ago: i64| now.as_second() - ago;
    let log = Log::new(format!("{} ERROR old\n{} ready\n", stamp(600), stamp(60)));
    assert_eq!(log.scan(0.0, at(json!("5m"))).await.unwrap()["lines"], 1);
    assert!(log.scan(0.0, at(json!("20m"))).await.is_err());
    for wrong in [json!(-1), json!("yesterday"), json!({})] {
        let error = log.scan(0.0, at(wrong)).await.unwrap_err();
        assert_eq!(error.cause, Cause::Invalid, "{error}");
    }
}

#[tokio::test]
async fn rotation_is_noticed_and_the_older_part_read() {
    let log = Log::new("new\n");
    log.put("app.log.1", "0123456789ERROR in the older part\n");
    let error = log.scan(0.0, json!({"deny": "ERROR", "since": 10})).await;
    let evidence = error.unwrap_err().result.unwrap();
    assert_eq!(
        (&evidence["rotated"], &evidence["lines"]),
        (&json!(true), &json!(2))
    );
    assert_eq!(evidence["matched_deny"], json!(["ERROR in the older part"]));

    let now = jiff::Timestamp::now().as_second();
    let began = f64::from(u32::try_from(now - 100).unwrap());
    let log = Log::new(format!("{} ready\n", now - 10));
    log.put(
        "app.log.1",
        format!("{} ERROR before\n{} ERROR since\n", now - 200, now - 50),
    );
    let error = log.scan(began, json!({"deny": "ERROR"})).await.unwrap_err();
    let evidence = error.result.unwrap();
    assert_eq!(
        (&evidence["rotated"], &evidence["deny_count"]),
        (&json!(true), &json!(1))
    );
    assert_eq!(evidence["lines"], 2);
}

#[tokio::test]
async fn long_and_broken_lines_are_judged_and_said() {
    let mut bytes = b"caf\xe9 ready\n".to_vec();
    bytes.extend_from_slice(&[b'x'; 200_000]);
    bytes.extend_from_slice(b"ERROR at the end\r\n");
    bytes.extend_from_slice(&[b'y'; 65_536]);
    bytes.extend_from_slice(b"\nlast without newline");
    let log = Log::new(bytes);
    let params = json!({"since": "start", "deny": "ERROR", "want": ["ready$", "newline$"]});
    let error = log.scan(0.0, params).await.unwrap_err();
    let evidence = error.result.unwrap();
    assert_eq!(evidence["lines"], 4);
    assert_eq!(evidence["deny_count"], 1);
    assert_eq!(evidence["long_lines"], 1);
    assert_eq!(evidence["invalid_utf8"], 1);
    assert_eq!(evidence["missing"], json!([]));
    let shown = evidence["matched_deny"][0].as_str().unwrap();
    assert!(shown.len() < 600 && shown.contains("bytes)"), "{shown}");
}

#[tokio::test]
async fn evidence_is_bounded_and_counted_whole() {
    let log = Log::new("");
    let mut file = fs::File::create(log.0.path().join("app.log")).unwrap();
    for n in 0..100_000 {
        writeln!(file, "ERROR {n}").unwrap();
    }
    let error = log
        .scan(0.0, json!({"deny": ["ERROR", "x"]}))
        .await
        .unwrap_err();
    let evidence = error.result.unwrap();
    assert_eq!(evidence["deny_count"], 100_000);
    assert_eq!(evidence["matched_deny"].as_array().unwrap().len(), 20);
    assert_eq!(evidence["matched_deny"][19], "ERROR 19");
    let three = log.scan(0.0, json!({"deny": "ERROR", "limit": 3})).await;
    let evidence = three.unwrap_err().result.unwrap();
    assert_eq!(evidence["matched_deny"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn a_wrong_call_is_invalid() {
    let log = Log::new("x\n");
    for params in [
        json!({}),
        json!({"deny": "("}),
        json!({"deny": "x", "limit": 201}),
        json!({"deny": "x", "zones": "UTC"}),
    ] {
        let error = log.scan(0.0, params).await.unwrap_err();
        assert_eq!(
            (error.cause, error.outcome),
            (Cause::Invalid, Outcome::NotApplied)
        );
    }
    fs::remove_file(log.0.path().join("app.log")).unwrap();
    let error = log.scan(0.0, json!({"deny": "x"})).await.unwrap_err();
    assert_eq!(
        error.message,
        "cannot read the log `app.log`: there is no such file"
    );
}

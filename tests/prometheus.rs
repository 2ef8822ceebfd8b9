//! `prometheus.query` against a real Prometheus with a real exporter: figures, and every way in which
//! there is none.

use std::time::{Duration, Instant};

use ferry::action::prometheus::Query;
use ferry::action::{Action, ActionError};
use ferry::event::{Cause, Outcome};
use ferry::runbook::TargetKind;
use serde_json::{Value, json};

use crate::support::context::{call, context, target};
use crate::support::ferry::Ferry;
use crate::support::ports;
use crate::support::prometheus::Rig;
use crate::support::wire::{Wire, answer};

async fn at(url: &str, params: Value) -> Result<Value, ActionError> {
    let dir = tempfile::tempdir().unwrap();
    let mut call = call("prometheus.query", params, dir.path());
    let mut target = target(TargetKind::Prometheus, url);
    target.options = json!({"headers": {"authorization": "Bearer s3cret"}});
    call.target = Some(target);
    let result = Query.execute(&context(dir.path()), &call).await?;
    let known: Vec<&str> = Query.spec().results.iter().map(|(name, _)| *name).collect();
    for field in result.as_object().unwrap().keys() {
        assert!(known.contains(&field.as_str()), "`{field}` is not listed");
    }
    Ok(result)
}

async fn ask(params: Value) -> Value {
    at(&Rig::shared().url(), params).await.unwrap()
}

#[track_caller]
fn no_figure(result: &Value) {
    for key in ["value", "min", "max", "mean", "p95"] {
        assert_eq!(result[key], Value::Null, "{key} of {result}");
    }
}

#[tokio::test]
async fn one_series_is_a_number_with_its_labels() {
    let rig = Rig::shared();
    let result = ask(json!("redis_up")).await;
    assert_eq!(
        (&result["value"], &result["series"]),
        (&json!(1.0), &json!(1))
    );
    let one = &result["samples"][0];
    assert_eq!(
        one["labels"]["instance"],
        format!("127.0.0.1:{}", rig.exporter)
    );
    assert_eq!(one["value"], 1.0);
    let now = jiff::Timestamp::now().as_duration().as_secs_f64();
    assert!((now - one["at"].as_f64().unwrap()).abs() < 5.0, "{one}");
    assert_eq!(
        (&result["hint"], &result["warnings"]),
        (&Value::Null, &json!([]))
    );

    let scalar = ask(json!("scalar(redis_up) + 1")).await;
    assert_eq!(
        (&scalar["value"], &scalar["series"]),
        (&json!(2.0), &json!(1))
    );
    // several series have figures together, and no one value
    let several = ask(json!("redis_up or vector(3)")).await;
    assert_eq!(
        (&several["series"], &several["value"]),
        (&json!(2), &Value::Null)
    );
    assert_eq!(
        (&several["min"], &several["max"], &several["mean"]),
        (&json!(1.0), &json!(3.0), &json!(2.0))
    );
    let value = format!("127.0.0.1:{}", rig.exporter);
    let one =
        ask(json!({"query": "redis_up{instance=$at} * $n", "args": {"at": value, "n": 7}})).await;
    assert_eq!(one["value"], 7.0);
    let none =
        ask(json!({"query": "redis_up{instance=$at}", "args": {"at": "x\"} or vector(1) #"}}))
            .await;
    assert_eq!(none["series"], 0);
}

#[tokio::test]
async fn what_is_no_number_never_becomes_one() {
    let wrong = ask(json!("redis_uptime_of_another_name")).await;
    no_figure(&wrong);
    assert_eq!(
        (&wrong["series"], &wrong["samples"]),
        (&json!(0), &json!([]))
    );
    assert_eq!(
        wrong["hint"],
        "no series fits: is the name of the metric right, and is its target scraped?"
    );
    for query in [
        "vector(0) / vector(0)",
        "vector(1) / vector(0)",
        "-1 / vector(0)",
        "scalar(up > 5)",
    ] {
        let result = ask(json!(query)).await;
        no_figure(&result);
        assert_eq!(
            (&result["series"], &result["samples"][0]["value"]),
            (&json!(1), &Value::Null)
        );
    }
    let half = ask(json!("redis_up or (vector(0) / vector(0))")).await;
    no_figure(&half);
    assert_eq!(half["samples"][0]["value"], 1.0);
}

#[tokio::test]
async fn an_old_sample_is_not_taken_for_now() {
    // what is asked for is at least a second old
    let until = Instant::now() + Duration::from_secs(20);
    while ask(json!("redis_up offset 1s")).await["series"] == 0 {
        assert!(Instant::now() < until);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let young = ask(json!({"query": "redis_up offset 1s", "at_most_age": "20s"})).await;
    assert_eq!((&young["value"], &young["stale"]), (&json!(1.0), &json!(0)));
    let old = ask(json!({"query": "redis_up offset 1s", "at_most_age": "900ms"})).await;
    no_figure(&old);
    assert_eq!((&old["series"], &old["stale"]), (&json!(1), &json!(1)));
    assert_eq!(
        old["hint"],
        "the last sample is older than `at_most_age`: is its target still scraped?"
    );
    for (params, why) in [
        (
            json!({"query": "sum(redis_up)", "at_most_age": "20s"}),
            "the age of samples is only known of one selector, such as `name{job=\"a\"}`",
        ),
        (
            json!({"query": "redis_up", "at_most_age": "20s", "range": "1m"}),
            "`at_most_age` is for a query for now, not with `range`",
        ),
    ] {
        let error = at(&Rig::shared().url(), params).await.unwrap_err();
        assert_eq!(error.message, format!("`prometheus.query`: {why}"));
    }
}

#[tokio::test]
async fn a_range_has_figures_only_where_it_is_covered() {
    let until = Instant::now() + Duration::from_secs(20);
    let params = json!({"query": "redis_up * 4", "range": "2s", "step": "200ms", "coverage": 0.9});
    let full = loop {
        let result = ask(params.clone()).await;
        if !result["value"].is_null() {
            break result;
        }
        assert!(Instant::now() < until, "{result}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    for key in ["value", "min", "max", "mean", "p95"] {
        assert_eq!(full[key], 4.0, "{key}");
    }
    assert_eq!((&full["series"], &full["step_s"]), (&json!(1), &json!(0.2)));
    let one = &full["samples"][0];
    assert!(
        one["points"].as_u64() >= Some(10) && one["coverage"].as_f64() >= Some(0.9),
        "{one}"
    );
    assert_eq!(one["last"], 4.0);

    // an hour of which there are seconds
    let sparse = ask(json!({"query": "redis_up", "range": "6h", "step": "1m"})).await;
    no_figure(&sparse);
    assert_eq!(sparse["series"], 1);
    assert!(
        sparse["samples"][0]["coverage"].as_f64() < Some(0.1),
        "{sparse}"
    );
    assert_eq!(sparse["samples"][0]["last"], Value::Null);
    let empty = ask(json!({"query": "nothing_of_that_name", "range": "1m"})).await;
    no_figure(&empty);
    assert!(empty["hint"].is_string());
}

#[tokio::test]
async fn errors_of_the_api_are_failures_in_its_words() {
    let rig = Rig::shared();
    let error = at(&rig.url(), json!("sum(redis_up")).await.unwrap_err();
    assert_eq!(
        (error.cause, error.outcome),
        (Cause::Invalid, Outcome::NotApplied)
    );
    let at_rig = format!("target `t` at 127.0.0.1:{}: ", rig.port);
    assert!(
        error
            .message
            .starts_with(&format!("{at_rig}Prometheus answered `bad_data`: ")),
        "{error:?}"
    );
    assert!(error.message.contains("parse error"), "{error:?}");
    let error = at(&rig.url(), json!("redis_up[1m]")).await.unwrap_err();
    assert_eq!(
        error.message,
        "`prometheus.query`: the query is for a range of samples"
    );
    let error = at(&rig.url(), json!(r#""text""#)).await.unwrap_err();
    assert_eq!(error.message, format!("{at_rig}the query gives a text"));
    let error = at(
        &rig.url(),
        json!("redis_up * on() (vector(1) or vector(2))"),
    )
    .await;
    assert!(error.is_ok());

    // something else that speaks HTTP
    let exporter = format!("http://127.0.0.1:{}", rig.exporter);
    let error = at(&exporter, json!("redis_up")).await.unwrap_err();
    assert!(
        error.message.ends_with("and not the API of Prometheus"),
        "{error:?}"
    );
    let closed = ports::free();
    let error = at(&format!("http://127.0.0.1:{closed}"), json!("up"))
        .await
        .unwrap_err();
    assert_eq!(error.cause, Cause::Unreachable);
    assert_eq!(
        error.message,
        format!("target `t` at 127.0.0.1:{closed}: connection refused")
    );
}

#[tokio::test]
async fn warnings_credentials_and_troubled_servers() {
    let body = r#"{"status":"success","warnings":["a shard is away","a shard is away"],"data":{"resultType":"vector","result":[{"metric":{"a":"b"},"value":[1,"2"]}]}}"#;
    let partial = Wire::answering(answer(
        "200 OK",
        &[("content-type", "application/json")],
        body,
    ));
    let result = at(&format!("{}/under/", partial.url), json!("up"))
        .await
        .unwrap();
    assert_eq!(
        (&result["warnings"], &result["value"]),
        (&json!(["a shard is away"]), &json!(2.0))
    );
    let sent = partial.requests().concat().to_lowercase();
    assert!(
        sent.starts_with("get /under/api/v1/query?query=up http/1.1\r\n"),
        "{sent}"
    );
    assert!(sent.contains("authorization: bearer s3cret"), "{sent}");

    let body = r#"{"status":"error","errorType":"unavailable","error":"starting up"}"#;
    let starting = Wire::answering(answer("503 Service Unavailable", &[], body));
    let error = at(&starting.url, json!("up")).await.unwrap_err();
    assert!(error.retryable, "{error:?}");
    assert!(
        error
            .message
            .ends_with("Prometheus answered `unavailable`: starting up"),
        "{error:?}"
    );
    let closed = Wire::answering(answer("401 Unauthorized", &[], "who are you"));
    let error = at(&closed.url, json!("up")).await.unwrap_err();
    assert_eq!((error.cause, error.retryable), (Cause::Denied, false));
    // a body that two readers could read differently is not taken
    let twice = Wire::answering(answer(
        "200 OK",
        &[],
        r#"{"status":"success","status":"success"}"#,
    ));
    let error = at(&twice.url, json!("up")).await.unwrap_err();
    assert!(
        error.message.ends_with("and not the API of Prometheus"),
        "{error:?}"
    );
}

#[test]
fn a_run_and_a_rehearsal_take_nothing_for_a_pass() {
    let runbook = format!(
        r#"
        runbook: demo
        targets: {{ prom: {{ prometheus: "{}" }} }}
        phases:
          p:
            steps:
              - {{ id: up, prometheus.query: redis_up, target: prom, expect: result.value == 1.0 }}
              - {{ id: gone, prometheus.query: "redis_errors_of_another_name", target: prom, expect: result.value < 10.0 }}
        "#,
        Rig::shared().url()
    );
    let ran = Ferry::new().runbook(&runbook).run();
    assert_ne!(ran.code, 0);
    assert_eq!(ran.result("up")["value"], 1.0);
    assert!(ran.failure().contains("inconclusive"), "{}", ran.failure());
    let rehearsed = Ferry::new()
        .runbook(&runbook)
        .command(&["rehearse", "runbook.yaml"])
        .run()
        .code(17);
    assert!(
        rehearsed.all().contains("really read"),
        "{}",
        rehearsed.all()
    );
}

#[tokio::test]
async fn a_target_that_is_away_has_no_value_any_more() {
    let mut rig = tokio::task::spawn_blocking(Rig::start).await.unwrap();
    let before = at(&rig.url(), json!("redis_up")).await.unwrap();
    assert_eq!(before["value"], 1.0);
    rig.silence();
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        let result = at(&rig.url(), json!("redis_up")).await.unwrap();
        if result["series"] == 0 {
            no_figure(&result);
            break;
        }
        assert!(Instant::now() < until, "{result}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let up = at(&rig.url(), json!("up")).await.unwrap();
    assert_eq!(up["value"], 0.0);
}

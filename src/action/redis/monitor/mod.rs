//! `redis.monitor`: the commands that a server gets, watched for a bounded time and a bounded number of
//! lines; fails when a wanted pattern is missing or a denied one is there, as `log.scan` does.
//!
//! MONITOR makes the server send every command once more: it may lose half of its speed meanwhile.
//! Values never go into the result: of a line only the first two words are shown.

mod tally;

use std::time::Duration;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::client::Link;
use super::raw::Raw;
use super::rights;
use super::trouble::{self, Effect};
use crate::action::log::Patterns;
use crate::action::pause::{Stopwatch, timeout};
use crate::action::{
    Action, ActionError, Call, Context, ReadContext, Rehearsed, Simulated, params,
};
use crate::event::Outcome;
use crate::runbook::catalog::always_reading;
use crate::runbook::units::{Span, human};
use crate::runbook::{Spec, TargetKind};
use tally::Tally;

/// The longest watch.
const LONGEST: Duration = Duration::from_secs(60);
/// Most lines.
const MOST: u64 = 1_000_000;
/// How long the last lines may take to arrive.
const GRACE: Duration = Duration::from_secs(2);

/// What to look for, and how long.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Params {
    /// How long to watch, up to 60s.
    #[serde(default = "five_seconds", rename = "for")]
    span: Span,
    /// After how many lines it ends, up to 1,000,000.
    #[serde(default = "ten_thousand")]
    lines: u64,
    /// Regular expressions that have to be matched, on the command as MONITOR writes it: `"GET" "key"`.
    #[serde(default)]
    want: Patterns,
    /// Regular expressions that no command may match.
    #[serde(default)]
    deny: Patterns,
    /// Whether commands in other databases than the target's count as well.
    #[serde(default)]
    all_dbs: bool,
}

fn five_seconds() -> Span {
    Span(Duration::from_secs(5))
}

fn ten_thousand() -> u64 {
    10_000
}

impl Params {
    fn fit(&self) -> Result<(), String> {
        if self.span.0.is_zero() || self.span.0 > LONGEST {
            return Err("`for` is up to 60s".into());
        }
        match self.lines {
            1..=MOST => Ok(()),
            _ => Err(format!("`lines` is 1 to {MOST}")),
        }
    }
}

/// The action.
pub(super) struct Monitor;

static SPEC: Spec = Spec {
    targets: &[TargetKind::Redis],
    class: always_reading,
    sense: |params| match serde_json::from_value::<Params>(params.clone()) {
        Ok(params) => params.fit(),
        Err(_) => Ok(()),
    },
    results: &[
        (
            "lines",
            "commands that were judged: those of the target's database, or of all with `all_dbs`",
        ),
        (
            "other_dbs",
            "commands that were not, being of other databases",
        ),
        (
            "by_command",
            "judged commands by name, such as by_command.GET",
        ),
        (
            "not_shown",
            "judged commands that are in none of the 100 largest entries of `by_command`",
        ),
        ("want", "per wanted pattern, how many commands matched"),
        ("missing", "wanted patterns that no command matched"),
        (
            "examples",
            "per wanted pattern that was matched, the first two words of one command",
        ),
        ("deny_count", "how many commands matched `deny`"),
        (
            "matched_deny",
            "the first two words of the first ten of them",
        ),
        (
            "clean",
            "whether nothing denied matched and nothing wanted is missing",
        ),
        (
            "ended_by",
            "`time`, or `lines`: there were more than `lines`",
        ),
        (
            "long_lines",
            "commands over 64 kB, of which the beginning was judged",
        ),
        ("watched_ms", "how long it watched, in milliseconds"),
    ],
    ..Spec::of::<Params>(
        "redis.monitor",
        "watch the commands that a server gets, for a bounded time; it slows the server by up to half",
    )
};

fn checked(call: &Call) -> Result<(Params, Tally), ActionError> {
    let params: Params = params(&SPEC, call)?;
    let wrong = |why: String| ActionError::invalid(format!("`redis.monitor`: {why}"));
    params.fit().map_err(wrong)?;
    let tally = Tally::new(&params.want, &params.deny).map_err(wrong)?;
    Ok((params, tally))
}

#[async_trait]
impl Action for Monitor {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn describe(&self, call: &Call) -> String {
        checked(call).map_or_else(
            |error| error.message,
            |(params, _)| format!("MONITOR for {}, which slows the server", params.span),
        )
    }

    async fn execute(&self, cx: &Context, call: &Call) -> Result<Value, ActionError> {
        let (params, tally) = checked(call)?;
        watch(Link::open(cx, call).await?, &params, tally).await
    }

    /// Before the phase, traffic tells nothing of what comes, and a production server is not slowed
    /// down for that.
    async fn rehearse(&self, cx: &ReadContext, call: &Call) -> Result<Rehearsed, ActionError> {
        let (params, _) = checked(call)?;
        let link = Link::open_reading(cx, call).await?;
        let patterns = params.want.0.len() + params.deny.0.len();
        let would = format!(
            "{} would be watched with MONITOR for {}, its commands searched for {patterns} patterns",
            link.peer(),
            params.span
        );
        let facts = json!({ "for_s": params.span.0.as_secs_f64(), "patterns": patterns });
        Ok(Simulated::exactly(would, facts).into())
    }
}

/// What made a watch end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ended {
    Time,
    Lines,
}

async fn watch(mut link: Link, params: &Params, mut tally: Tally) -> Result<Value, ActionError> {
    let peer = link.peer().to_owned();
    let mut raw = Raw::open(&link).await?;
    raw.begin(&link, &["MONITOR"], link.address.connect).await?;
    let began = Stopwatch::start();
    let db = (!params.all_dbs).then_some(link.address.db);
    let lost =
        |error: std::io::Error| trouble::lost(&peer, Effect::Reads, "MONITOR", &error.to_string());
    let mut ended = Ended::Time;
    loop {
        if tally.lines + tally.other_dbs >= params.lines {
            ended = Ended::Lines;
            break;
        }
        let left = params.span.0.saturating_sub(began.elapsed());
        // under steady traffic a line is always there, and no wait ever ends
        if left.is_zero() {
            break;
        }
        match timeout(left, raw.line()).await {
            Ok(line) => tally.line(&line.map_err(lost)?, db),
            Err(_) => break,
        }
    }
    let watched = began.elapsed();
    if ended == Ended::Time && hear_out(&mut link, &mut raw, &mut tally, params, db).await? {
        ended = Ended::Lines;
    }
    // closed at once: the server is busy for it as long as it is open
    drop(raw);
    verdict(&peer, &tally, ended, watched)
}

/// Reads on until a PING of ferry's own comes by, which shows that nothing is missing before it;
/// whether the lines ran out first.
async fn hear_out(
    link: &mut Link,
    raw: &mut Raw,
    tally: &mut Tally,
    params: &Params,
    db: Option<i64>,
) -> Result<bool, ActionError> {
    let token = format!("ferry:{}", uuid::Uuid::now_v7().simple());
    let ping = link.ask(Effect::Reads, &["PING", token.as_str()]).await;
    ping.map_err(|error| rights::named(error, link, "PING"))?;
    let peer = link.peer();
    let rest = async {
        loop {
            let line = raw.line().await.map_err(|error| {
                trouble::lost(peer, Effect::Reads, "MONITOR", &error.to_string())
            })?;
            if line
                .bytes
                .windows(token.len())
                .any(|part| part == token.as_bytes())
            {
                return Ok(false);
            }
            if tally.lines + tally.other_dbs >= params.lines {
                return Ok(true);
            }
            tally.line(&line, db);
        }
    };
    match timeout(GRACE, rest).await {
        Ok(heard) => heard,
        Err(_) => Err(ActionError::failed(
            Outcome::NotApplied,
            format!("{peer}: MONITOR did not show ferry's own PING: commands may be missing"),
        )
        .hint("the server sends more than is read in time, or something between answers for it")),
    }
}

fn verdict(
    peer: &str,
    tally: &Tally,
    ended: Ended,
    watched: Duration,
) -> Result<Value, ActionError> {
    let missing = tally.missing();
    let clean = tally.deny_count == 0 && missing.is_empty();
    let mut result = tally.result();
    if let Value::Object(fields) = &mut result {
        fields.insert("clean".into(), clean.into());
        let by = if ended == Ended::Time {
            "time"
        } else {
            "lines"
        };
        fields.insert("ended_by".into(), by.into());
        fields.insert("watched_ms".into(), json!(watched.as_secs_f64() * 1_000.0));
    }
    let (lines, span) = (tally.lines, human(watched));
    let fails = |why: &str| {
        let message = format!("{peer}: {why} (in {lines} commands, {span})");
        ActionError::failed(Outcome::NotApplied, message)
    };
    let mut why = Vec::new();
    if tally.deny_count > 0 {
        let s = if tally.deny_count == 1 {
            " matches"
        } else {
            "s match"
        };
        why.push(format!("{} command{s} what is denied", tally.deny_count));
    }
    if !missing.is_empty() {
        why.push(format!("nothing matches `{}`", missing.join("`, `")));
    }
    if !why.is_empty() {
        let mut error = fails(&why.join(", "));
        if ended == Ended::Lines {
            error = error.hint("it ended by `lines`, before its time: allow more lines");
        } else if lines == 0 {
            error = error.hint("no command came by at all: is this the database that is used?");
        }
        return Err(error.result(result));
    }
    // what came after the last line may have been denied
    if ended == Ended::Lines && tally.denies() {
        let message = format!(
            "{peer}: {lines} commands came within {span}, and what came after them is not known"
        );
        let error = ActionError::limit(Outcome::NotApplied, message);
        return Err(error
            .hint("allow more `lines`, or watch for less time")
            .result(result));
    }
    Ok(result)
}

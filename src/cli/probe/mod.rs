//! `ferry probe`: looks at a system by hand, with the probes that runbooks use.
//!
//! It holds the hands of a rehearsal and nothing else ([`crate::engine::rehearse::Looking`]), so that it
//! cannot change anything. What there is to look at is found in [`subject`], which look that is in
//! [`kinds`], both become a plan of one step in [`book`], and [`show`] shows what was seen.

mod book;
mod kinds;
mod show;
mod subject;

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::Instant;

use self::show::Shows;
use super::error::CommandError;
use super::exit::Exit;
use super::{load, state};
use crate::engine::rehearse::{Looked, Looking};
use crate::event::{Cause, Failure};
use crate::expr::{Expr, Verdict};
use crate::runbook::units::Span;

/// Between two looks, unless said.
const EVERY: &str = "2s";

/// How long ago the phase began that a look by hand is no part of: what a log is read from.
const BEFORE: Duration = Duration::from_secs(300);

/// Look at a system by hand, with the probes that runbooks use; nothing is changed
#[derive(clap::Args)]
#[command(
    after_help = "A password in an address on a command line is seen by others on this host: with \
                  `--runbook` the address comes from the runbook and its inputs.\n\n\
                  Example:\n  \
                  ferry probe redis://127.0.0.1:6379/1\n  \
                  ferry probe redis://127.0.0.1:6379 redis 'CONFIG GET maxmemory'\n  \
                  ferry probe cache --runbook switch.yaml --expect 'result.hit_rate > 0.8' --watch\n  \
                  ferry probe --list"
)]
pub(super) struct Args {
    /// An address (`redis://...`, `postgres://...`, `http://...`), a path, `-` for this machine, or the
    /// name of a target of `--runbook`
    #[arg(value_name = "TARGET", required_unless_present = "list")]
    target: Option<String>,
    /// The look, by the key of its action, such as `redis.stats`; without it, the usual one of the target
    #[arg(value_name = "KIND")]
    kind: Option<String>,
    /// What its text alone sets: a command, a query, a request
    #[arg(value_name = "TEXT")]
    text: Option<String>,
    /// List the looks, or those that fit the target
    #[arg(long)]
    list: bool,
    /// The runbook that has the target
    #[arg(long, value_name = "FILE")]
    runbook: Option<PathBuf>,
    /// A value for an input of the runbook; may be repeated
    #[arg(long = "input", short = 'i', value_name = "NAME=VALUE", value_parser = load::pair, requires = "runbook")]
    inputs: Vec<(String, String)>,
    /// The values that the runbook has for this environment
    #[arg(long, value_name = "NAME", requires = "runbook")]
    env: Option<String>,
    /// An option of the target, as it stands beside an address in a runbook; may be repeated
    #[arg(long = "option", value_name = "NAME=VALUE", value_parser = load::pair, conflicts_with = "runbook")]
    options: Vec<(String, String)>,
    /// A parameter of the look, as YAML; may be repeated
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = load::pair)]
    set: Vec<(String, String)>,
    /// Its parameters as one YAML mapping: `{ match: 'session:*' }`
    #[arg(long, value_name = "MAPPING")]
    params: Option<String>,
    /// What must hold, as in a runbook: `result.hit_rate > 0.8`; may be repeated
    #[arg(long = "expect", value_name = "EXPRESSION")]
    expect: Vec<String>,
    /// A number to follow over the looks: `result.used_memory`; may be repeated
    #[arg(long = "field", value_name = "EXPRESSION")]
    fields: Vec<String>,
    /// Look again and again, in place at a terminal, until Ctrl-C
    #[arg(
        long,
        value_name = "EVERY",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = EVERY,
        value_parser = every
    )]
    watch: Option<Duration>,
    /// Look so many times
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    count: Option<u32>,
    /// The longest that one look may take
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = every)]
    timeout: Duration,
    /// One JSON object a look
    #[arg(long)]
    json: bool,
}

/// A length of time that is none of nothing.
fn every(text: &str) -> Result<Duration, String> {
    match Span::parse(text)?.0 {
        time if time < Duration::from_millis(10) => Err("at least 10ms".into()),
        time => Ok(time),
    }
}

pub(super) fn probe(args: &Args) -> Result<Exit, CommandError> {
    if args.list {
        let found = args.target.as_ref().map(|_| subject::find(args));
        super::answer(&kinds::list(found.transpose()?.as_ref()))?;
        return Ok(Exit::Done);
    }
    let subject = subject::find(args)?;
    let kind = kinds::choose(args, &subject)?;
    let fields = args.fields.iter().map(|text| expression("--field", text));
    let fields = fields.collect::<Result<Vec<_>, _>>()?;
    for text in &args.expect {
        expression("--expect", text)?;
    }
    let shown = subject.shown();
    let made = book::make(args, subject, &kind)?;
    super::prepare()?;
    let looking = Looking::new(
        made.plan,
        made.secrets,
        &state::here()?,
        args.timeout,
        BEFORE,
    )?;
    if !looking.reads() {
        let message = format!("`{}` would change something like this", kind.key());
        return Err(CommandError::new(Exit::Usage, message)
            .hint("`ferry probe` only reads; what changes is for a runbook"));
    }
    let mut shows = Shows::new(args, &kind, looking.hidden(&shown));
    let runtime = super::runtime()?;
    let exit = runtime.block_on(go(args, &looking, &fields, &mut shows));
    // threads that still wait for a dead server must not hold the end up
    runtime.shutdown_background();
    exit
}

/// One expression of the command line.
fn expression(option: &str, text: &str) -> Result<Expr, CommandError> {
    Expr::compile(text)
        .map_err(|error| CommandError::new(Exit::Usage, format!("`{option} '{text}'`: {error}")))
}

async fn go(
    args: &Args,
    looking: &Looking,
    fields: &[Expr],
    shows: &mut Shows,
) -> Result<Exit, CommandError> {
    let repeats = args.watch.is_some() || args.count.is_some();
    let every = args.watch.unwrap_or(Duration::from_secs(2));
    let mut worst = Exit::Done;
    let mut looks = 0;
    let told = super::rehearse::told_to_stop();
    tokio::pin!(told);
    loop {
        let next = Instant::now() + every;
        let looked = tokio::select! {
            looked = looking.look(fields) => looked,
            stopped = &mut told => return Ok(over(repeats, stopped, worst)),
        };
        looks += 1;
        shows.show(&looked)?;
        let exit = exit_of(&looked);
        if worst == Exit::Done {
            worst = exit;
        }
        let more = match (args.watch, args.count) {
            (_, Some(count)) => looks < count,
            (watch, None) => watch.is_some(),
        };
        if !more {
            return Ok(worst);
        }
        tokio::select! {
            () = tokio::time::sleep_until(next) => {}
            stopped = &mut told => return Ok(over(repeats, stopped, worst)),
        }
    }
}

/// Ctrl-C is how looking again and again ends, with what the looks came to until then; it leaves a look
/// unsaid where that was the only one.
fn over(repeats: bool, stopped: Exit, worst: Exit) -> Exit {
    match (repeats, stopped) {
        (true, Exit::Interrupted) => worst,
        _ => stopped,
    }
}

/// What one look comes to. Only a look that was judged and passed, or that nothing was expected of, is
/// well.
fn exit_of(looked: &Looked) -> Exit {
    let verdicts = || looked.evidence.iter().map(|evidence| evidence.verdict);
    if verdicts().any(|verdict| verdict == Verdict::Fail) {
        return Exit::Unmet;
    }
    if verdicts().any(|verdict| verdict != Verdict::Pass) {
        return Exit::RehearsalIncomplete;
    }
    match &looked.failure {
        // it was asked about, and is as it should be
        Some(failure) if failure.cause == Cause::Failed && asks_how_it_ended(looked) => Exit::Done,
        Some(failure) => exit_of_failure(failure),
        None => Exit::Done,
    }
}

/// Whether what was expected is about how the look ended, and so takes the place of what its action
/// itself expects of that: a status, an exit code. Whatever else an action finds wrong stays wrong.
fn asks_how_it_ended(looked: &Looked) -> bool {
    let ends = |path: &[String]| {
        matches!(path, [root, field, ..] if root == "result"
            && matches!(field.as_str(), "exit_code" | "status"))
    };
    looked.evidence.iter().any(|evidence| {
        let expr = Expr::compile(&evidence.expression);
        expr.is_ok_and(|expr| expr.references().iter().any(|one| ends(&one.path)))
    })
}

fn exit_of_failure(failure: &Failure) -> Exit {
    match failure.cause {
        Cause::Unreachable | Cause::Timeout => Exit::Unavailable,
        Cause::Denied => Exit::NotPermitted,
        Cause::Invalid => Exit::Invalid,
        Cause::Internal => Exit::Internal,
        _ => Exit::RehearsalIncomplete,
    }
}

/// Where relative paths start.
fn base() -> &'static Path {
    Path::new(".")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::event::Outcome;
    use crate::expr::Evidence;

    fn looked(expression: &str) -> Looked {
        let evidence = Evidence {
            expression: expression.into(),
            verdict: Verdict::Pass,
            values: Vec::new(),
            reason: None,
        };
        Looked {
            result: Some(json!({ "status": 503, "lines": 3 })),
            failure: Some(Failure {
                cause: Cause::Failed,
                outcome: Outcome::NotApplied,
                message: "it said no".into(),
                hint: None,
            }),
            evidence: vec![evidence],
            values: Vec::new(),
            took_ms: 1.0,
        }
    }

    #[test]
    fn only_what_is_asked_about_how_it_ended_makes_a_failure_well() {
        assert!(exit_of(&looked("result.status == 503")) == Exit::Done);
        assert!(exit_of(&looked("result.lines > 0")) == Exit::RehearsalIncomplete);
    }

    #[test]
    fn an_interrupt_ends_many_looks_with_what_they_came_to() {
        assert!(over(true, Exit::Interrupted, Exit::Unmet) == Exit::Unmet);
        assert!(over(true, Exit::Interrupted, Exit::Done) == Exit::Done);
        assert!(over(false, Exit::Interrupted, Exit::Done) == Exit::Interrupted);
    }
}

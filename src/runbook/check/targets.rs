//! Addresses that can be judged before anything runs: those without a value from elsewhere.

use super::super::address::{ONE_DATABASE, Way, several};
use super::super::catalog::TargetKind;
use super::super::diagnostic::{Diagnostic, Problems};
use super::super::model::{Runbook, TargetDef};

pub(super) fn check(runbook: &Runbook, problems: &mut Problems) {
    for target in &runbook.targets {
        if target.kind == TargetKind::Redis && target.url.value.is_constant() {
            redis(target, problems);
        }
    }
}

fn redis(target: &TargetDef, problems: &mut Problems) {
    let Some(found) = several(target.url.value.text()) else {
        return;
    };
    let mut wrong = |why: &str| {
        let message = format!("the address of target `{}`: {why}", *target.name);
        let found = Diagnostic::error("F014", target.url.span, message);
        problems.push(found.help(
            "write redis+sentinel://host:26379,host:26379/MASTERNAME, or redis+cluster://host:7000,host:7000",
        ));
    };
    let several = match found {
        Ok(several) => several,
        Err(why) => return wrong(&why),
    };
    let options = target.options.as_written();
    let db = options.get("db").and_then(|db| match db {
        serde_json::Value::String(text) => text.parse().ok(),
        other => other.as_i64(),
    });
    if several.way == Way::Cluster && db.is_some_and(|db| db != 0) {
        wrong(ONE_DATABASE);
    }
}

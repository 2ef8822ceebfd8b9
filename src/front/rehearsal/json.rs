//! A rehearsal as line-delimited JSON: one object for each step of each walk, then one for the whole.

use serde_json::{Value, json};

use crate::event::rehearsal::{Rehearsal, Tally, Word};

/// All lines; `code` is the exit code that belongs to it.
pub fn lines(found: &Rehearsal, code: u8) -> String {
    let mut text = String::new();
    let mut say = |value: Value| {
        text.push_str(&value.to_string());
        text.push('\n');
    };
    say(json!({
        "event": "rehearsal", "runbook": found.name, "title": found.title,
        "digest": found.digest, "walks": found.walks.len(), "not_walked": found.not_walked,
    }));
    for (n, walk) in found.walks.iter().enumerate() {
        say(json!({ "event": "walk", "walk": n + 1, "choices": walk.choices }));
        for entry in &walk.entries {
            let mut line = json!({ "event": "step", "walk": n + 1 });
            // an entry is plain data: it always has a form
            if let (Value::Object(line), Ok(Value::Object(entry))) =
                (&mut line, serde_json::to_value(entry))
            {
                line.extend(entry);
            }
            say(line);
        }
    }
    let (phases, all) = found.tallies();
    for (name, tally) in &phases {
        let mut line = counted(tally);
        line["event"] = "phase".into();
        line["phase"] = name.as_str().into();
        say(line);
    }
    let steps = found.steps();
    let unverified = steps.iter().filter(|step| step.word == Word::NotVerified);
    let unverified: Vec<_> = unverified
        .map(|step| json!({ "phase": step.phase, "step": step.step, "why": step.why }))
        .collect();
    let unreached = steps.iter().filter(|step| step.word == Word::LeftOut);
    let unreached: Vec<&str> = unreached.map(|step| step.step.as_str()).collect();
    let problems = steps.iter().flat_map(|step| {
        let of = |problem| json!({ "phase": step.phase, "step": step.step, "problem": problem });
        step.problems.iter().map(of)
    });
    let problems: Vec<Value> = problems.collect();
    let mut end = counted(&all);
    end["event"] = "end".into();
    end["code"] = code.into();
    end["fidelity_percent"] = all.fidelity().into();
    end["problem_list"] = problems.into();
    end["unverified"] = unverified.into();
    end["unreached"] = unreached.into();
    say(end);
    text
}

fn counted(tally: &Tally) -> Value {
    json!({
        "steps": tally.steps, "read": tally.read, "simulated_exactly": tally.exact,
        "simulated": tally.shown, "not_verified": tally.not_verified, "problems": tally.problems,
    })
}

//! Gates: steps that wait for people. Who may decide, what counts, and what follows (reliability
//! contract 2.13). A decision that does not count changes nothing, and is refused with its reason.

use serde_json::json;
use sha2::{Digest, Sha256};

use super::effect::{Decision, Effect};
use super::parts::{GateState, StepStatus};
use super::state::RunState;
use crate::event::{Cause, Confirmation, Failure, Outcome, Question, Report, StepEvent, Vote};
use crate::plan::{StepKey, hex};
use crate::runbook::gate::{Approve, Gate, Manual, definition};
use crate::runbook::units::human;

impl RunState {
    /// Opens the gate that a step is; from here on it waits for people.
    pub(super) fn open_gate(&self, key: StepKey, gate: Gate, now: i64) -> Decision {
        let (question, why) = match gate {
            Gate::Manual => (Question::Manual, "it is done by hand".to_owned()),
            Gate::Approve => match definition::<Approve>(self.plan.step(key.step)) {
                Ok(approve) => (Question::Approval, self.asks_whom(&approve)),
                Err(why) => (Question::Approval, why),
            },
        };
        let decision = Decision::event(StepEvent::Asked {
            step: self.plan.name(key),
            question,
            why,
            evidence: Vec::new(),
            brief: None,
            nonce: self.nonce(key, now),
        });
        match self.plan.step(key.step).timeout {
            Some(timeout) => decision.with(Effect::Wake {
                key,
                at: after(now, timeout),
            }),
            None => decision,
        }
    }

    /// A number that belongs to one opening of one gate of one run of one plan: an answer to another
    /// one is none.
    fn nonce(&self, key: StepKey, now: i64) -> String {
        let mut hasher = Sha256::new();
        let attempt = self.step(key).attempt;
        for part in [
            &self.id,
            &self.plan.digest,
            &self.plan.name(key),
            &attempt.to_string(),
            &now.to_string(),
        ] {
            hasher.update(part.as_bytes());
            hasher.update([0]);
        }
        hex(&hasher.finalize())[..12].to_owned()
    }

    /// The gate that is open at a step.
    fn gate_at(&self, name: &str, wanted: Gate) -> Result<(StepKey, &GateState), String> {
        let key = self.plan.key(name);
        let open = key.and_then(|key| Some((key, self.gates.get(&key)?)));
        let Some((key, gate)) = open else {
            return Err(self.not_asked(name));
        };
        match (Gate::of(self.plan.step(key.step)), wanted) {
            (Some(is), wanted) if is == wanted => Ok((key, gate)),
            (_, Gate::Approve) => Err(format!(
                "`{name}` is done by hand, and not voted on: `ferry confirm`"
            )),
            (_, Gate::Manual) => Err(format!("`{name}` is voted on: `ferry approve`")),
        }
    }

    /// What follows from a vote; else why it does not count.
    pub(super) fn voted(
        &self,
        by: &str,
        name: &str,
        vote: &Vote,
        agrees: bool,
        now: i64,
    ) -> Result<Decision, String> {
        let (key, gate) = self.gate_at(name, Gate::Approve)?;
        let approve = definition::<Approve>(self.plan.step(key.step))?;
        self.counts(by, vote, gate, &approve, agrees, now)?;
        let attempt = self.step(key).attempt;
        if !agrees {
            let comment = vote.comment.as_ref();
            let comment = comment.map_or_else(String::new, |text| format!(": {text}"));
            let failure = refusal(Cause::Denied, format!("{} rejected it{comment}", vote.who));
            return Ok(self.attempt_failed(key, attempt, &failure, &Report::default(), now));
        }
        if gate.votes.iter().any(|(_, said)| said.who == vote.who) {
            return Err(format!("`{}` has agreed already", vote.who));
        }
        let votes: Vec<(&str, &Vote)> = gate
            .votes
            .iter()
            .map(|(by, vote)| (by.as_str(), vote))
            .chain([(by, vote)])
            .collect();
        if votes.len() < approve.min {
            return Ok(Decision::none());
        }
        let who: Vec<&str> = votes.iter().map(|(_, vote)| vote.who.as_str()).collect();
        let each = votes.iter().map(|(login, vote)| {
            json!({ "who": vote.who, "login": login, "comment": vote.comment, "key": vote.key })
        });
        let report = Report {
            took_ms: since(gate.opened, now),
            did: format!("approved by {}", who.join(", ")),
            result: json!({
                "by": who,
                "votes": each.collect::<Vec<_>>(),
                "waited_ms": millis(gate.opened, now),
            }),
            ..Report::default()
        };
        Ok(self.reported(key, attempt, &report, None, now))
    }

    /// What follows from a confirmation; else why it is none.
    pub(super) fn confirmed(
        &self,
        by: &str,
        name: &str,
        said: &Confirmation,
        now: i64,
    ) -> Result<Decision, String> {
        let (key, gate) = self.gate_at(name, Gate::Manual)?;
        let manual = definition::<Manual>(self.plan.step(key.step))?;
        self.still_forward()?;
        if said.who.trim().is_empty() {
            return Err("it says not who confirms it".into());
        }
        if said.nonce != gate.nonce {
            return Err("it answers another question than the one that is open now".into());
        }
        self.in_time(gate, now)?;
        self.may(&said.who, &manual.by)?;
        let note = said
            .note
            .as_ref()
            .is_some_and(|note| !note.trim().is_empty());
        let evidence = said.file.is_some() || note;
        manual.accepts(&said.ticked, &said.values, evidence)?;
        let report = Report {
            took_ms: since(gate.opened, now),
            did: format!("confirmed by {}", said.who),
            result: json!({
                "by": said.who,
                "login": by,
                "values": said.values,
                "ticked": said.ticked,
                "note": said.note,
                "file": said.file,
                "waited_ms": millis(gate.opened, now),
            }),
            ..Report::default()
        };
        Ok(self.reported(key, self.step(key).attempt, &report, None, now))
    }

    /// The time of a gate has come: silence is no consent.
    pub(super) fn gate_due(&self, key: StepKey, now: i64) -> Decision {
        let Some(gate) = self.gates.get(&key) else {
            return Decision::none();
        };
        match gate.until {
            Some(until) if now >= until => {}
            // the clock was set back meanwhile: it is looked at again
            Some(at) => return Decision::none().with(Effect::Wake { key, at }),
            None => return Decision::none(),
        }
        let waited = std::time::Duration::from_millis(since(gate.opened, now));
        let message = format!("nobody decided within {}", human(waited));
        let mut failure = refusal(Cause::Timeout, message);
        if self.plan.step(key.step).changes() {
            // done by hand, half of it perhaps
            failure.outcome = Outcome::Unknown;
        }
        self.attempt_failed(
            key,
            self.step(key).attempt,
            &failure,
            &Report::default(),
            now,
        )
    }

    /// When the time to decide about a step is over, in milliseconds since the Unix epoch.
    pub fn gate_until(&self, name: &str) -> Option<i64> {
        self.gates.get(&self.plan.key(name)?)?.until
    }

    /// A gate of which the time is over.
    pub(super) fn late_gate(&self, now: i64) -> Option<StepKey> {
        let late = |gate: &GateState| gate.until.is_some_and(|until| now >= until);
        let mut late: Vec<StepKey> = self
            .gates
            .iter()
            .filter(|(_, gate)| late(gate))
            .map(|(key, _)| *key)
            .collect();
        late.sort_unstable();
        late.first().copied()
    }

    /// Whether a run that can start nothing else waits for people alone.
    pub(super) fn only_gates(&self) -> bool {
        !self.gates.is_empty() && self.in_flight == 0 && self.waiting == 0 && !self.taking()
    }
}

impl RunState {
    /// A step waits for people. Called by `apply`.
    pub(super) fn at_gate(&mut self, key: StepKey, nonce: &str, at: i64) {
        self.leave_pending(key, at);
        self.leave_wait(key);
        let timeout = self.plan.step(key.step).timeout;
        let state = self.state_mut(key);
        let before = state.status;
        if before != StepStatus::Checking {
            state.attempt += 1;
        }
        state.status = StepStatus::AtGate;
        state.started = true;
        if before.in_flight() {
            self.in_flight -= 1;
        }
        if self.plan.step(key.step).point_of_no_return {
            // a person may do it from here on
            self.cross(key);
        }
        let gate = GateState {
            opened: at,
            until: timeout.map(|timeout| after(at, timeout)),
            nonce: nonce.to_owned(),
            votes: Vec::new(),
        };
        self.gates.insert(key, gate);
    }

    /// A vote counts. Called by `apply`.
    pub(super) fn vote(&mut self, name: &str, by: &str, vote: &Vote) {
        let key = self.plan.key(name);
        if let Some(gate) = key.and_then(|key| self.gates.get_mut(&key)) {
            gate.votes.push((by.to_owned(), vote.clone()));
        }
    }

    /// Nothing is asked about a step any more. Called by `apply`.
    pub(super) fn unask(&mut self, key: StepKey) {
        self.questions.retain(|(asked, _)| *asked != key);
        self.gates.remove(&key);
    }
}

fn refusal(cause: Cause, message: String) -> Failure {
    Failure {
        cause,
        outcome: Outcome::NotApplied,
        message,
        hint: None,
    }
}

fn after(at: i64, timeout: std::time::Duration) -> i64 {
    let ms = i64::try_from(timeout.as_millis()).unwrap_or(i64::MAX / 2);
    at.saturating_add(ms)
}

fn since(then: i64, now: i64) -> u64 {
    u64::try_from(now - then).unwrap_or(0)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a wait of 300,000 years is exact to a second"
)]
fn millis(then: i64, now: i64) -> f64 {
    since(then, now) as f64
}

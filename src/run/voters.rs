//! Who may decide about a gate, and when a decision counts (reliability contract 2.13).

use std::collections::HashSet;

use super::parts::GateState;
use super::state::RunState;
use crate::event::Vote;
use crate::plan::StepKey;
use crate::runbook::gate::{Approve, Names, NotBy};

impl RunState {
    pub(super) fn asks_whom(&self, approve: &Approve) -> String {
        let whom: Vec<String> = approve
            .by
            .0
            .iter()
            .map(|name| self.with_name(name))
            .collect();
        let mut text = match (approve.min, whom.len()) {
            (1, 1) => format!("by {}", whom[0]),
            (min, _) => format!("by {min} of {}", whom.join(", ")),
        };
        if approve.not_by == Some(NotBy::Operator) {
            text.push_str(", and not by who carries the run out");
        }
        text
    }

    /// `lead (ana)`, or the name itself.
    fn with_name(&self, role: &str) -> String {
        match self.people.iter().find(|person| person.role == role) {
            Some(person) => match &person.who {
                Some(who) => format!("{role} ({who})"),
                None => format!("{role} (nobody is named)"),
            },
            None => role.to_owned(),
        }
    }

    /// Whether a vote counts: for this plan, this question, in time, by somebody who may.
    pub(super) fn counts(
        &self,
        by: &str,
        vote: &Vote,
        gate: &GateState,
        approve: &Approve,
        agrees: bool,
        now: i64,
    ) -> Result<(), String> {
        let short = |digest: &str| digest.chars().take(12).collect::<String>();
        self.still_forward()?;
        if vote.who.trim().is_empty() || vote.who.trim() != vote.who {
            return Err("it says not who decides".into());
        }
        if vote.digest != self.plan.digest {
            return Err(format!(
                "it is for the plan {}, and this run carries out {}",
                short(&vote.digest),
                short(&self.plan.digest)
            ));
        }
        if vote.nonce != gate.nonce {
            return Err("it answers another question than the one that is open now".into());
        }
        self.in_time(gate, now)?;
        if vote.signature.is_some() && vote.key.is_none() {
            return Err("its signature does not hold for a key that may sign for them".into());
        }
        if approve.signed && vote.key.is_none() {
            return Err("it needs an SSH signature: `ferry approve ... --key FILE`".into());
        }
        self.may(&vote.who, &approve.by)?;
        let operator =
            self.operators.contains(&vote.who) || vote.key.is_none() && self.operators.contains(by);
        if agrees && approve.not_by == Some(NotBy::Operator) && operator {
            return Err(format!(
                "who carries the run out may not approve it, and the login `{by}` does: another login, \
                 or a signature by a key of `{}`",
                vote.who
            ));
        }
        Ok(())
    }

    /// A decision dies when the run begins to go back.
    pub(super) fn still_forward(&self) -> Result<(), String> {
        match &self.failure {
            Some(failure) => Err(format!("the run failed meanwhile: {}", failure.summary())),
            None => Ok(()),
        }
    }

    /// Whether a manual step may still be left out.
    pub(super) fn gate_in_time(&self, key: StepKey, now: i64) -> Result<(), String> {
        match self.gates.get(&key) {
            Some(gate) => self.in_time(gate, now),
            None => Ok(()),
        }
    }

    pub(super) fn in_time(&self, gate: &GateState, now: i64) -> Result<(), String> {
        match gate.until {
            Some(until) if now >= until => Err("it is too late: the time to decide is over".into()),
            _ => Ok(()),
        }
    }

    /// Whether somebody is among those who may decide.
    pub(super) fn may(&self, who: &str, by: &Names) -> Result<(), String> {
        if by.0.is_empty() {
            return Ok(());
        }
        let mut may: HashSet<&str> = HashSet::new();
        for name in &by.0 {
            match self.people.iter().find(|person| person.role == *name) {
                Some(person) => may.extend(person.who.as_deref()),
                None => {
                    may.insert(name);
                }
            }
        }
        if may.contains(who) {
            return Ok(());
        }
        let whom: Vec<String> = by.0.iter().map(|name| self.with_name(name)).collect();
        Err(format!(
            "`{who}` may not decide: it is for {}",
            whom.join(", ")
        ))
    }
}

//! What a person at the terminal is asked: the words of a question, its choices, and what a typed word
//! means. Pure: reading keys and sending orders is elsewhere.
//!
//! Main type: [`Sheet`], everything that one question needs, made from the view at the time.

mod facts;
mod layout;

use self::layout::{flow, pair, pairs};
use super::escape::shown;
use super::look::Tone;
use super::text::{width, wrap};
use crate::event::{Answer, Brief, Order, Question};
use crate::runbook::model::Trouble;
use crate::view::{Asked, RunView};

/// One question, ready to be shown.
#[derive(Clone, Debug)]
pub struct Sheet {
    /// The step, with its item.
    pub step: String,
    /// Its phase.
    pub phase: String,
    /// What is asked.
    pub question: Question,
    /// When it was asked, in milliseconds since the Unix epoch; with the step it names the question.
    pub at: i64,
    /// The number of the question.
    pub nonce: String,
    /// The digest of the plan.
    pub digest: String,
    /// What they are shown in full.
    pub brief: Brief,
    /// The run's code, for the point of no return.
    pub code: String,
    /// Whether the runbook says what to look at when this step fails.
    pub helps: bool,
    /// What the runbook says about failures of this step: what is seen, and what may help.
    pub troubles: Vec<(String, Vec<String>)>,
    head: Vec<(Tone, String)>,
    facts: Vec<(String, String)>,
    details: Vec<(String, String)>,
}

/// What a typed word means.
#[derive(Clone, Debug, PartialEq)]
pub enum Choice {
    /// This order, as it is.
    Order(Order),
    /// This order, with a reason.
    Reasoned(Order),
    /// Tick the list, type what is asked, and confirm.
    Confirm,
    /// Vote for it, or against it.
    Vote(bool),
    /// Jump to a step that is still to be named.
    Jump,
    /// Show everything.
    Details,
    /// Show what each choice does.
    Help,
    /// Leave the run standing still.
    Leave,
}

impl Sheet {
    /// The sheet for a question of a run.
    pub fn of(view: &RunView, asked: &Asked, troubles: &[Trouble]) -> Self {
        let id = asked.step.split('[').next().unwrap_or(&asked.step);
        let mine = |trouble: &&Trouble| trouble.steps.iter().any(|step| **step == id);
        let failed = asked.question == Question::Failure;
        let mine: Vec<&Trouble> = troubles.iter().filter(|_| failed).filter(mine).collect();
        let brief = asked.brief.as_deref().cloned().unwrap_or_default();
        let phase = view.phase_of(&asked.step);
        let mut sheet = Self {
            step: asked.step.clone(),
            phase: phase.map(|phase| phase.name.clone()).unwrap_or_default(),
            question: asked.question,
            at: asked.at,
            nonce: asked.nonce.clone(),
            digest: view.header.digest.clone(),
            code: crate::plan::short_code(&view.id, &view.header.digest),
            helps: mine.iter().any(|trouble| !trouble.diagnose.is_empty()),
            troubles: mine
                .iter()
                .map(|trouble| (trouble.symptom.value.clone(), trouble.solutions.clone()))
                .collect(),
            head: Vec::new(),
            facts: Vec::new(),
            details: Vec::new(),
            brief,
        };
        sheet.head(view, asked);
        sheet.facts(view, asked);
        sheet
    }

    fn head(&mut self, view: &RunView, asked: &Asked) {
        let title = view
            .step(&asked.step)
            .and_then(|step| step.outline.title.clone());
        let step = match title {
            Some(title) => format!("`{}` {title}", self.step),
            None => format!("`{}`", self.step),
        };
        let (tone, text) = match asked.question {
            Question::Start => (Tone::Neutral, format!("next: {step}")),
            Question::Failure => (Tone::Bad, format!("{step} failed")),
            Question::Manual => (Tone::Odd, format!("by hand: {step}")),
            Question::Approval => (Tone::Odd, format!("to be approved: {step}")),
            Question::Held => (
                Tone::Bad,
                format!("held by guard `{}`: {}", self.step, asked.why),
            ),
            Question::InDoubt => (
                Tone::Odd,
                format!(
                    "did `{}` take effect? nobody knows: {}",
                    self.step, asked.why
                ),
            ),
            Question::PointOfNoReturn => (
                Tone::Odd,
                format!("`{}` is the point of no return: {}", self.step, asked.why),
            ),
        };
        self.head.push((tone, text));
        if !self.brief.text.is_empty() {
            let text = self.brief.text.lines().map(str::to_owned);
            self.head.extend(text.map(|line| (Tone::Neutral, line)));
        }
    }

    /// The question: what it is about, what is known, what may be said. No line is wider than
    /// `columns`, as long as that is wide enough for a word.
    pub fn lines(&self, columns: usize, colour: bool) -> Vec<String> {
        let mut lines = vec![String::new()];
        for (tone, text) in &self.head {
            let wrapped = wrap(&shown(text), columns.saturating_sub(2).max(8));
            lines.extend(
                wrapped
                    .iter()
                    .map(|line| format!("  {}", tone.paint(line, colour))),
            );
        }
        lines.extend(pairs(&self.facts, columns, colour));
        for (symptom, solutions) in &self.troubles {
            lines.extend(pair("symptom", symptom, columns, 4, 8, colour));
            for solution in solutions {
                lines.extend(pair("try", solution, columns, 4, 8, colour));
            }
        }
        lines.push(String::new());
        match self.is_strict() {
            true => lines.extend(self.menu(columns, colour)),
            false => {
                let short: Vec<String> = self
                    .choices()
                    .into_iter()
                    .map(|(key, words)| {
                        let word = words.split([':', '(']).next().unwrap_or(&words);
                        format!("{key} {}", word.trim_end())
                    })
                    .chain(["? help".to_owned()])
                    .collect();
                lines.extend(flow(&short, columns));
            }
        }
        lines
    }

    /// Whether a wrong answer could not be made good: then nothing is said in short.
    pub fn is_strict(&self) -> bool {
        matches!(self.question, Question::InDoubt | Question::PointOfNoReturn)
    }

    /// Every choice, with what it does.
    pub fn menu(&self, columns: usize, colour: bool) -> Vec<String> {
        let choices = self.choices().into_iter();
        choices
            .flat_map(|(key, words)| pair(&key, &words, columns, 4, 10, colour))
            .collect()
    }

    /// Everything there is to show.
    pub fn details(&self, columns: usize, colour: bool) -> Vec<String> {
        match self.details.is_empty() {
            true => vec!["  there is nothing more to show".to_owned()],
            false => pairs(&self.details, columns, colour),
        }
    }

    /// What may be said: the letter or word, and what it does.
    pub fn choices(&self) -> Vec<(String, String)> {
        let mut all: Vec<(&str, &str)> = match self.question {
            Question::Start => vec![
                ("c", "continue: start it"),
                ("s", "skip (with a reason, a waiver)"),
                ("j", "jump (to a later step, with a reason)"),
                ("q", "quiet: stop asking in this phase"),
            ],
            Question::Failure => vec![
                (
                    "t",
                    "try again (it may ask first whether something is left of it)",
                ),
                (
                    "s",
                    "skip: leave it failed and go on (with a reason, a waiver)",
                ),
                ("j", "jump (to a later step, with a reason)"),
            ],
            Question::Manual => vec![
                ("c", "confirm that it is done"),
                ("s", "skip (with a reason, a waiver)"),
            ],
            Question::Approval => vec![("a", "approve"), ("x", "reject: the run goes back")],
            Question::Held => vec![(
                "c",
                "continue, and look at the guard afresh (with a reason, a waiver)",
            )],
            Question::InDoubt => vec![
                ("done", "it took effect, and counts as done"),
                ("not-done", "it did not: do it"),
                ("retry", "it may have, and may be done again"),
                ("rollback", "go back, its undo included"),
                ("abort", "stop here"),
            ],
            Question::PointOfNoReturn => vec![
                (&self.code, "cross it (this run's code)"),
                ("rollback", "go back"),
                ("abort", "stop here"),
            ],
        };
        if self.question == Question::Failure && self.helps {
            all.push(("g", "look: run the diagnoses of the runbook"));
        }
        if !matches!(self.question, Question::InDoubt | Question::PointOfNoReturn) {
            all.push(("r", "roll back (with a reason)"));
            all.push(("x", "abort: stop here and leave everything as it is"));
            if self.question == Question::Approval {
                all.pop();
            }
        }
        all.push(("d", "details"));
        all.push(("p", "pause: leave the run parked"));
        all.iter()
            .map(|(key, words)| ((*key).to_owned(), (*words).to_owned()))
            .collect()
    }

    /// What a typed word means; `None`: nothing. Silence is never consent.
    pub fn choice(&self, typed: &str) -> Option<Choice> {
        let typed = typed.trim().to_lowercase();
        let step = self.step.clone();
        let answer = |answer: Answer| Order::Answer {
            step: step.clone(),
            answer,
            code: None,
        };
        match typed.as_str() {
            "d" | "details" => return Some(Choice::Details),
            "?" | "h" | "help" => return Some(Choice::Help),
            "p" | "pause" | "leave" => return Some(Choice::Leave),
            _ => {}
        }
        let word = |wanted: &[Answer]| {
            let found = wanted.iter().find(|answer| answer.word() == typed);
            found.map(|found| Choice::Reasoned(answer(*found)))
        };
        match self.question {
            Question::InDoubt => word(Question::InDoubt.answers()),
            Question::PointOfNoReturn if typed.to_uppercase() == self.code => {
                Some(Choice::Reasoned(Order::Answer {
                    step,
                    answer: Answer::Proceed,
                    code: Some(self.code.clone()),
                }))
            }
            Question::PointOfNoReturn => word(&[Answer::Rollback, Answer::Abort]),
            Question::Approval => match typed.as_str() {
                "a" | "approve" => Some(Choice::Vote(true)),
                "x" | "reject" => Some(Choice::Vote(false)),
                "r" | "rollback" => Some(Choice::Reasoned(answer(Answer::Rollback))),
                _ => None,
            },
            Question::Held => match typed.as_str() {
                "c" | "continue" => Some(Choice::Reasoned(Order::Resume)),
                "r" | "rollback" => Some(Choice::Reasoned(Order::Rollback)),
                "x" | "abort" => Some(Choice::Reasoned(Order::Abort)),
                _ => None,
            },
            Question::Start | Question::Failure | Question::Manual => {
                self.guided_choice(&typed, &answer)
            }
        }
    }

    fn guided_choice(&self, typed: &str, answer: &dyn Fn(Answer) -> Order) -> Option<Choice> {
        Some(match (typed, self.question) {
            ("c" | "continue", Question::Start) => Choice::Order(answer(Answer::Proceed)),
            ("c" | "confirm" | "continue", Question::Manual) => Choice::Confirm,
            ("t" | "retry" | "try", Question::Failure) => Choice::Order(answer(Answer::Retry)),
            ("s" | "skip", _) => Choice::Reasoned(answer(Answer::Skip)),
            ("j" | "jump", Question::Start | Question::Failure) => Choice::Jump,
            ("q" | "quiet", Question::Start) => Choice::Order(Order::Guide {
                phase: Some(self.phase.clone()),
                on: false,
            }),
            ("g" | "look", Question::Failure) if self.helps => Choice::Order(Order::Diagnose {
                step: self.step.clone(),
            }),
            ("r" | "rollback", _) => Choice::Reasoned(answer(Answer::Rollback)),
            ("x" | "abort", _) => Choice::Reasoned(answer(Answer::Abort)),
            _ => return None,
        })
    }

    /// What stands before the place where one types.
    pub fn cursor(&self) -> String {
        let keys: Vec<String> = self.choices().into_iter().map(|(key, _)| key).collect();
        let keys = keys.join("/");
        match width(&keys) {
            0..=16 => format!("  {keys}? "),
            _ => "  > ".into(),
        }
    }
}

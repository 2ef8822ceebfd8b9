//! What is said about doubts, questions and orders.

use super::super::escape::shown;
use super::super::look::Tone;
use super::words::hint;
use super::{Line, Teller};
use crate::event::{Answer, OperatorEvent, Order, Question, Resolution, RollbackEvent, StepEvent};

impl Teller {
    pub(super) fn doubt(&self, event: &StepEvent, at: i64, lines: &mut Vec<Line>) {
        let Some(step) = event.step() else { return };
        let place = self.named(step);
        let mut say = |tone: Tone, word: &str, rest: String| {
            lines.push(self.at(at, &place, tone, word, rest).stays());
        };
        match event {
            StepEvent::InDoubt { failure, .. } => {
                say(
                    Tone::Odd,
                    "in doubt:",
                    format!(" {}", shown(&failure.message)),
                );
                lines.extend(hint(failure));
            }
            StepEvent::Examining { .. } => {
                say(
                    Tone::Neutral,
                    "looking",
                    " whether it took effect".to_owned(),
                );
            }
            // whoever guides the run has it before their eyes
            StepEvent::Asked {
                question: Question::Start,
                ..
            } => {}
            StepEvent::Approved { reason, .. } if reason.is_empty() => {}
            StepEvent::Asked { question, why, .. } => {
                let asked = question.words();
                say(Tone::Odd, "asks:", format!(" {asked} ({})", shown(why)));
            }
            StepEvent::Resolved { how, to, .. } => {
                let tone = resolved_tone(*to);
                let rest = format!(" {}, says {}", to.words(), shown(&how.words()));
                say(tone, "settled:", rest);
            }
            StepEvent::Approved { by, reason, .. } => {
                let rest = format!(" by {}: {}", shown(by), shown(reason));
                say(Tone::Neutral, "approved:", rest);
            }
            StepEvent::Reopened { .. } => {
                say(
                    Tone::Neutral,
                    "due again",
                    ", because the run goes on".to_owned(),
                );
            }
            StepEvent::Accepted { by, reason, .. } => {
                let rest = format!(" its failure, by {}: {}", shown(by), shown(reason));
                say(Tone::Odd, "accepted:", rest);
            }
            StepEvent::Diagnosed { looks, .. } => {
                for look in looks {
                    let tone = if look.ok { Tone::Neutral } else { Tone::Odd };
                    say(tone, "looked:", format!(" {}", shown(&look.what)));
                }
            }
            _ => {}
        }
        if let StepEvent::Diagnosed { looks, .. } = event {
            for line in looks.iter().flat_map(|look| look.seen.lines()) {
                lines.push(Line::detail("seen", line));
            }
        }
    }

    pub(super) fn item_doubt(&self, event: &RollbackEvent, at: i64, lines: &mut Vec<Line>) {
        let Some(item) = event.item() else { return };
        let place = self.item(item);
        let mut say = |tone: Tone, word: &str, rest: String| {
            lines.push(self.at(at, &place, tone, word, rest).stays());
        };
        match event {
            RollbackEvent::InDoubt { failure, .. } => {
                say(
                    Tone::Odd,
                    "in doubt:",
                    format!(" {}", shown(&failure.message)),
                );
            }
            RollbackEvent::Examining { .. } => {
                say(
                    Tone::Neutral,
                    "looking",
                    " whether it took effect".to_owned(),
                );
            }
            RollbackEvent::Asked { why, .. } => {
                say(
                    Tone::Odd,
                    "asks:",
                    format!(" did it take effect? ({})", shown(why)),
                );
            }
            RollbackEvent::Resolved { how, to, .. } => {
                let rest = format!(" {}, says {}", to.words(), shown(&how.words()));
                say(resolved_tone(*to), "settled:", rest);
            }
            RollbackEvent::Waived { by, reason, .. } => {
                let rest = format!(" by {}: {}", shown(by), shown(reason));
                say(Tone::Odd, "waived", rest);
            }
            RollbackEvent::Reopened { .. } => {
                say(Tone::Neutral, "due again", String::new());
            }
            _ => {}
        }
    }

    pub(super) fn operator(&self, event: &OperatorEvent, at: i64, lines: &mut Vec<Line>) {
        let (tone, word, rest) = match event {
            // what follows from it says it all
            OperatorEvent::Ordered {
                order:
                    Order::Answer {
                        answer: Answer::Proceed,
                        ..
                    },
                reason: None,
                ..
            } => return,
            OperatorEvent::Ordered { by, order, reason } => {
                let why = reason
                    .as_ref()
                    .map_or_else(String::new, |why| format!(": {}", shown(why)));
                (
                    Tone::Neutral,
                    "order:",
                    format!(" {} by {}{why}", shown(&order_words(order)), shown(by)),
                )
            }
            OperatorEvent::Refused { by, order, why } => {
                let order = order_words(order);
                let rest = format!(" {} by {}: {}", shown(&order), shown(by), shown(why));
                (Tone::Odd, "refused:", rest)
            }
        };
        lines.push(self.at(at, "", tone, word, rest).stays());
    }
}

fn resolved_tone(to: Resolution) -> Tone {
    match to {
        Resolution::Done => Tone::Good,
        Resolution::NotDone | Resolution::Again => Tone::Odd,
        Resolution::Failed => Tone::Bad,
    }
}

/// An order as one would type it.
pub(in super::super) fn order_words(order: &Order) -> String {
    match order {
        Order::Cancel { no_rollback: true } => "cancel without going back".into(),
        Order::Answer { step, answer, .. } => format!("answer `{}` for `{step}`", answer.word()),
        Order::Waive { step } => format!("waive `{step}`"),
        Order::Approve { step, vote } => format!("approve `{step}` as {}", vote.who),
        Order::Reject { step, vote } => format!("reject `{step}` as {}", vote.who),
        Order::Confirm { step, confirmation } => {
            format!("confirm `{step}` as {}", confirmation.who)
        }
        Order::Jump { to } => format!("jump to `{to}`"),
        Order::Guide { phase, on } => {
            let what = if *on {
                "ask before each step"
            } else {
                "ask no more"
            };
            match phase {
                Some(phase) => format!("{what} of phase `{phase}`"),
                None => what.into(),
            }
        }
        Order::Diagnose { step } => format!("diagnose `{step}`"),
        Order::Note { note } => {
            format!("note ({}) by {}: {}", note.kind.word(), note.who, note.text)
        }
        Order::Sign { signature } => {
            format!("sign as {} ({})", signature.role, signature.who)
        }
        Order::CloseOut { close_out } => format!(
            "close out `{}` as {} ({})",
            close_out.criterion, close_out.verdict, close_out.who
        ),
        other => other.name().into(),
    }
}

//! Lines about what is watched.

use super::{Line, Teller, Tone, shown};
use crate::event::{CheckEvent, Judgement, Then};
use crate::expr::Verdict;
use crate::front::text::numbered;

impl Teller {
    pub(super) fn check(&self, event: &CheckEvent, at: i64, lines: &mut Vec<Line>) {
        match event {
            CheckEvent::Judged { check, judgement } => {
                let (tone, word) = word(judgement);
                let rest = format!(" {}{}", shown(&judgement.why), follows(judgement.then));
                lines.push(self.at(at, check, tone, word, rest).stays());
            }
            CheckEvent::GoesOn { check, missed } if *missed > 0 => {
                let looks = numbered(usize::try_from(*missed).unwrap_or(usize::MAX), "look");
                let rest = format!(" {looks} were due meanwhile, and nobody looked");
                lines.push(
                    self.at(at, check, Tone::Odd, "watched again:", rest)
                        .stays(),
                );
            }
            CheckEvent::Ended { check, judgement } if judgement.verdict != Verdict::Pass => {
                let (tone, word) = word(judgement);
                let rest = format!(" {}", shown(&judgement.why));
                lines.push(self.at(at, check, tone, word, rest).stays());
            }
            _ => {}
        }
    }
}

fn word(judgement: &Judgement) -> (Tone, &'static str) {
    match judgement.verdict {
        Verdict::Pass => (Tone::Good, "holds:"),
        Verdict::Fail => (Tone::Bad, "does not hold:"),
        Verdict::Inconclusive | Verdict::Error => (Tone::Odd, "undecided:"),
    }
}

fn follows(then: Option<Then>) -> &'static str {
    match then {
        None | Some(Then::Notify) => "",
        Some(Then::Pause) => "; nothing new starts until somebody says how it goes on",
        Some(Then::Rollback) => "; the run goes back",
    }
}

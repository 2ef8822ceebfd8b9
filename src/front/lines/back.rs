//! What is said about going back.

use super::super::escape::shown;
use super::super::look::Tone;
use super::super::text::{ms, numbered};
use super::words::{did, failed_rest, failure_details};
use super::{Line, Teller};
use crate::event::RollbackEvent;

impl Teller {
    pub(super) fn rollback(&self, event: &RollbackEvent, at: i64, lines: &mut Vec<Line>) {
        match event {
            RollbackEvent::Planned {
                cause,
                items,
                not_undone,
            } => {
                let rest = format!(
                    " {} to do, because of {}",
                    numbered(items.len(), "item"),
                    shown(&cause.summary())
                );
                lines.push(self.at(at, "rollback", Tone::Odd, "starts:", rest).stays());
                for one in not_undone {
                    let text = format!("{}: {}", one.step, one.why);
                    lines.push(Line::detail("not undone", &text));
                }
            }
            RollbackEvent::Started { item, attempt } => {
                let rest = match attempt {
                    0 | 1 => format!(" {}", self.action(*item)),
                    _ => format!(" {}, attempt {attempt}", self.action(*item)),
                };
                lines.push(self.at(at, &self.item(*item), Tone::Neutral, "starts:", rest));
            }
            RollbackEvent::Finished { item, report } => {
                let rest = format!(" in {}{}", ms(report.took_ms), did(report));
                lines.push(
                    self.at(at, &self.item(*item), Tone::Good, "ok", rest)
                        .stays(),
                );
            }
            RollbackEvent::Failed {
                item,
                attempt,
                failure,
                report,
                retry_at,
            } => {
                let (tone, word) = match retry_at {
                    Some(_) => (Tone::Odd, "attempt failed"),
                    None => (Tone::Bad, "failed"),
                };
                let rest = failed_rest(*attempt, failure, report, *retry_at, at);
                lines.push(self.at(at, &self.item(*item), tone, word, rest).stays());
                lines.extend(failure_details(failure, report));
            }
            RollbackEvent::Skipped { item, reason, held } => {
                let (tone, word) = match held {
                    true => (Tone::Bad, "held back:"),
                    false => (Tone::Odd, "skipped:"),
                };
                let rest = format!(" {}", shown(reason));
                lines.push(self.at(at, &self.item(*item), tone, word, rest).stays());
            }
            doubt => self.item_doubt(doubt, at, lines),
        }
    }

    pub(super) fn item(&self, at: usize) -> String {
        let items = self.view.rollback.as_ref().map(|rollback| &rollback.items);
        match items.and_then(|items| items.get(at)) {
            Some(item) => format!("rollback/{}", item.item.id),
            None => format!("rollback/{at}"),
        }
    }

    fn action(&self, at: usize) -> String {
        let items = self.view.rollback.as_ref().map(|rollback| &rollback.items);
        let item = items.and_then(|items| items.get(at));
        item.map_or_else(String::new, |item| shown(&item.item.action).into_owned())
    }
}

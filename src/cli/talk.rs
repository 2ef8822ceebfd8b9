//! One conversation at the terminal: a question, what is typed, and what it means.
//!
//! Main type: [`Talk`]. What was typed before a question stood there is dropped; an empty line or the end
//! of input is never consent. A conversation ends at once when its question is taken back.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::termios::{FlushArg, tcflush};
use serde_json::Value;

use super::evidence;
use crate::engine::mail::{Letter, Said};
use crate::event::{Confirmation, Order, Vote};
use crate::front::escape::shown;
use crate::front::prompt::{Choice, Sheet};
use crate::runbook::gate::Ask;

/// How often a wrong answer is asked again before the run is left parked.
const TRIES: u32 = 5;

/// The same where nothing irreversible is asked.
const MORE_TRIES: u32 = 50;

/// How often a withdrawn question is noticed, in milliseconds.
const LOOK: u16 = 100;

/// The longest line that is read, in bytes.
const LONGEST_LINE: usize = 64 << 10;

/// What came of a conversation.
pub(super) enum Answer {
    /// This is said to the run.
    Said(Box<Said>),
    /// The question is not asked any more.
    Withdrawn,
}

/// Why there is no line.
enum Silence {
    /// The end of input.
    End,
    /// The question is not asked any more.
    Withdrawn,
}

/// The terminal to talk at.
pub(super) struct Talk {
    pub(super) colour: bool,
    pub(super) withdrawn: Arc<AtomicBool>,
    /// Nothing is asked any more.
    pub(super) over: Arc<AtomicBool>,
    /// Where evidence is kept.
    pub(super) run_dir: PathBuf,
}

impl Talk {
    /// Asks until there is an answer.
    pub(super) fn ask(&self, sheet: &Sheet) -> Answer {
        match self.answer(sheet) {
            Ok(said) => Answer::Said(Box::new(said)),
            Err(Silence::End) => Answer::Said(Box::new(Said::Leave)),
            Err(Silence::Withdrawn) => Answer::Withdrawn,
        }
    }

    fn answer(&self, sheet: &Sheet) -> Result<Said, Silence> {
        self.say(&sheet.lines(columns(), self.colour));
        let strict = sheet.is_strict();
        if strict {
            self.say(&["    an empty line leaves the run parked".to_owned()]);
        }
        for _ in 0..if strict { TRIES } else { MORE_TRIES } {
            let typed = self.line(&sheet.cursor())?;
            if typed.is_empty() {
                if strict {
                    return Ok(Said::Leave);
                }
                continue;
            }
            match sheet.choice(&typed) {
                None => self.say(&[format!("  `{}` is no answer here", shown(&typed))]),
                Some(Choice::Help) => self.say(&sheet.menu(columns(), self.colour)),
                Some(Choice::Details) => self.say(&sheet.details(columns(), self.colour)),
                Some(choice) => {
                    if let Some(said) = self.chosen(sheet, choice)? {
                        return Ok(said);
                    }
                }
            }
        }
        Ok(Said::Leave)
    }

    /// What a choice comes to; `None`: it was not gone through with.
    fn chosen(&self, sheet: &Sheet, choice: Choice) -> Result<Option<Said>, Silence> {
        let order = |order: Order, reason: Option<String>| Said::Order(Letter { order, reason });
        Ok(match choice {
            Choice::Leave => Some(Said::Leave),
            Choice::Details | Choice::Help => None,
            Choice::Order(what) => Some(order(what, None)),
            Choice::Reasoned(what) => self.reason()?.map(|reason| order(what, Some(reason))),
            Choice::Jump => self
                .jump()?
                .map(|(to, reason)| order(Order::Jump { to }, Some(reason))),
            Choice::Confirm => self.confirm(sheet)?.map(|confirmation| {
                let step = sheet.step.clone();
                let confirmation = Box::new(confirmation);
                order(Order::Confirm { step, confirmation }, None)
            }),
            Choice::Vote(agrees) => self.vote(sheet)?.map(|vote| {
                let step = sheet.step.clone();
                match agrees {
                    true => order(Order::Approve { step, vote }, None),
                    false => order(Order::Reject { step, vote }, None),
                }
            }),
        })
    }

    fn reason(&self) -> Result<Option<String>, Silence> {
        let reason = self.line("  why? ")?;
        if reason.is_empty() {
            self.say(&["  without a reason nothing is recorded".to_owned()]);
            return Ok(None);
        }
        Ok(Some(reason))
    }

    fn jump(&self) -> Result<Option<(String, String)>, Silence> {
        let to = self.line("  to which step? ")?;
        if to.is_empty() {
            return Ok(None);
        }
        Ok(self.reason()?.map(|reason| (to, reason)))
    }

    /// Ticks, typed values and evidence, one after another; anything that is not answered ends it.
    fn confirm(&self, sheet: &Sheet) -> Result<Option<Confirmation>, Silence> {
        let brief = &sheet.brief;
        let mut said = Confirmation {
            who: super::state::me().who,
            nonce: sheet.nonce.clone(),
            ..Confirmation::default()
        };
        for entry in &brief.checklist {
            let typed = self.line(&format!("  [ ] {}: done (y)? ", shown(entry)))?;
            if !matches!(typed.to_lowercase().as_str(), "y" | "yes" | "x") {
                self.say(&["  not ticked: nothing is confirmed".to_owned()]);
                return Ok(None);
            }
            said.ticked.push(entry.clone());
        }
        let mut values = BTreeMap::new();
        for outline in &brief.asks {
            let Some(value) = self.value(&Ask::from(outline))? else {
                return Ok(None);
            };
            values.insert(outline.name.clone(), value);
        }
        said.values = values;
        if brief.evidence && !self.evidence(sheet, &mut said)? {
            return Ok(None);
        }
        let bare = brief.checklist.is_empty() && brief.asks.is_empty() && !brief.evidence;
        if bare && self.line("  is it done (y)? ")?.to_lowercase() != "y" {
            return Ok(None);
        }
        if !brief.by.is_empty() {
            match self.name(&brief.by)? {
                Some(who) => said.who = who,
                None => return Ok(None),
            }
        }
        Ok(Some(said))
    }

    fn value(&self, ask: &Ask) -> Result<Option<Value>, Silence> {
        let choices = match ask.choices.is_empty() {
            true => String::new(),
            false => format!(" ({})", ask.choices.join("/")),
        };
        for _ in 0..TRIES {
            let typed = self.line(&format!("  {}{}? ", shown(ask.words()), shown(&choices)))?;
            if typed.is_empty() {
                return Ok(None);
            }
            match ask.read(&typed) {
                Ok(value) => return Ok(Some(value)),
                Err(why) => self.say(&[format!("  {}", shown(&why))]),
            }
        }
        Ok(None)
    }

    fn evidence(&self, sheet: &Sheet, said: &mut Confirmation) -> Result<bool, Silence> {
        for _ in 0..TRIES {
            let typed = self.line("  evidence (a note, or `file: PATH`)? ")?;
            if typed.is_empty() {
                return Ok(false);
            }
            let Some(path) = typed.strip_prefix("file:") else {
                said.note = Some(typed);
                return Ok(true);
            };
            match evidence::keep(&self.run_dir, &sheet.step, path.trim().as_ref()) {
                Ok(file) => {
                    said.file = Some(file);
                    return Ok(true);
                }
                Err(why) => self.say(&[format!("  {}", shown(&why))]),
            }
        }
        Ok(false)
    }

    fn vote(&self, sheet: &Sheet) -> Result<Option<Vote>, Silence> {
        let Some(who) = self.name(&sheet.brief.by)? else {
            return Ok(None);
        };
        let comment = self.line("  a comment (or nothing)? ")?;
        Ok(Some(Vote {
            who,
            comment: (!comment.is_empty()).then_some(comment),
            digest: sheet.digest.clone(),
            nonce: sheet.nonce.clone(),
            signature: None,
            key: None,
        }))
    }

    /// Who says it: typed, because the one at the keys need not be the one who decides.
    fn name(&self, by: &[String]) -> Result<Option<String>, Silence> {
        let who = self.line(&format!("  your name (for {})? ", shown(&by.join(", "))))?;
        Ok((!who.is_empty()).then_some(who))
    }

    fn say(&self, lines: &[String]) {
        let mut stderr = std::io::stderr().lock();
        for line in lines {
            let _ = writeln!(stderr, "{line}");
        }
    }

    /// One line, without its end.
    fn line(&self, prompt: &str) -> Result<String, Silence> {
        let stdin = std::io::stdin();
        if stdin.is_terminal() {
            // an answer is to this question, not to what stood there before
            let _ = tcflush(&stdin, FlushArg::TCIFLUSH);
        }
        {
            let mut stderr = std::io::stderr().lock();
            let _ = write!(stderr, "{prompt}");
            let _ = stderr.flush();
        }
        // read as it comes: half a line must not keep anybody from being heard
        let mut line = Vec::new();
        while !line.contains(&b'\n') {
            if self.withdrawn.load(Ordering::Relaxed) {
                return Err(Silence::Withdrawn);
            }
            let mut fds = [PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
            match poll(&mut fds, PollTimeout::from(LOOK)) {
                Ok(0) | Err(Errno::EINTR) => continue,
                Ok(_) => {}
                Err(_) => return Err(Silence::End),
            }
            let mut bytes = [0; 1024];
            match nix::unistd::read(&stdin, &mut bytes) {
                Ok(0) => return Err(Silence::End),
                Ok(read) => line.extend_from_slice(&bytes[..read]),
                Err(Errno::EINTR | Errno::EAGAIN) => {}
                Err(_) => return Err(Silence::End),
            }
            if line.len() > LONGEST_LINE {
                return Err(Silence::End);
            }
        }
        Ok(String::from_utf8_lossy(&line).trim().to_owned())
    }
}

/// Columns that may be used.
fn columns() -> usize {
    let size = terminal_size::terminal_size_of(std::io::stderr());
    size.map_or(80, |(width, _)| usize::from(width.0))
        .saturating_sub(1)
        .max(12)
}

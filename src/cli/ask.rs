//! The question after a Ctrl-C. What was typed before a question stood there is dropped; an empty line
//! or the end of input is never consent. A signal at a question leaves the run parked.

use std::io::{BufRead, IsTerminal, Write};

use nix::sys::termios::{FlushArg, tcflush};

use crate::engine::mail::Letter;
use crate::engine::signals::{Signals, Told};
use crate::event::{Order, Parking};

/// How often a wrong answer is asked again.
const TRIES: u32 = 5;

/// Why there is no answer.
pub(super) enum Silence {
    /// Nobody wants to say one now.
    Left,
    /// A signal came instead.
    Signal(Parking),
}

/// One line, without its end.
async fn line(prompt: String) -> Result<String, Silence> {
    // those of the engine are no longer heard, and still caught: without these nothing would be heeded
    let mut signals = Signals::listen().map_err(|_| Silence::Left)?;
    let read = read(prompt);
    tokio::pin!(read);
    loop {
        tokio::select! {
            line = &mut read => return line.ok_or(Silence::Left),
            told = signals.next() => if let Told::Park(reason) = told {
                super::say("");
                return Err(Silence::Signal(reason));
            },
        }
    }
}

/// `None` at the end of input.
async fn read(prompt: String) -> Option<String> {
    let read = tokio::task::spawn_blocking(move || {
        let stdin = std::io::stdin();
        if stdin.is_terminal() {
            // an answer is to this question, not to what stood there before
            let _ = tcflush(&stdin, FlushArg::TCIFLUSH);
        }
        let mut stderr = std::io::stderr().lock();
        let _ = write!(stderr, "{prompt}");
        let _ = stderr.flush();
        drop(stderr);
        let mut line = String::new();
        match stdin.lock().read_line(&mut line) {
            Ok(0) | Err(_) => None,
            Ok(_) => Some(line.trim().to_owned()),
        }
    });
    read.await.ok().flatten()
}

/// After a Ctrl-C: go on, go back, or leave it parked.
pub(super) async fn after_interrupt() -> Result<Letter, Silence> {
    super::say("");
    super::say("  the run is parked: what was done stays done, and nothing new starts");
    super::say("    c  continue");
    super::say("    r  cancel it and roll back");
    super::say("    l  leave it parked (also an empty line)");
    for _ in 0..TRIES {
        let said = line("  c, r or l? ".into()).await?;
        let order = match said.as_str() {
            "c" | "continue" => Order::Resume,
            "r" | "rollback" => Order::Cancel { no_rollback: false },
            "" | "l" | "leave" => return Err(Silence::Left),
            _ => continue,
        };
        return Ok(Letter {
            order,
            reason: Some("answered at the terminal after Ctrl-C".into()),
        });
    }
    Err(Silence::Left)
}

//! A real terminal around ferry: a pseudo-terminal that is its controlling one, so that Ctrl-C, typed
//! lines, the end of input and a terminal that is closed come to it as they come from a person.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;
use nix::pty::{grantpt, posix_openpt, ptsname_r, unlockpt};
use tempfile::TempDir;

/// How long anything may take.
const LONGEST: Duration = Duration::from_secs(20);

/// Ferry at a terminal; killed when it is let go of.
pub struct Terminal {
    child: Child,
    keyboard: Option<File>,
    seen: Arc<Mutex<String>>,
    closed: Arc<AtomicBool>,
    reader: Option<JoinHandle<()>>,
    /// Up to where [`Terminal::asked`] has read.
    read: usize,
}

impl Terminal {
    /// Starts `ferry` with these words in a directory.
    pub fn start(dir: &Arc<TempDir>, words: &[&str]) -> Self {
        Self::shaped(dir, words, (24, 80), "xterm")
    }

    /// The same at a terminal of so many rows and columns, and of this kind.
    pub fn shaped(
        dir: &Arc<TempDir>,
        words: &[&str],
        (rows, columns): (u16, u16),
        term: &str,
    ) -> Self {
        // no child may have this end open: closing it here has to close the terminal
        let flags = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
        let master = posix_openpt(flags).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname_r(&master).unwrap();
        let keyboard = File::options()
            .read(true)
            .write(true)
            .custom_flags(OFlag::O_NOCTTY.bits())
            .open(name)
            .unwrap();
        let mut screen = File::from(OwnedFd::from(master));
        let end = |file: &File| Stdio::from(file.try_clone().unwrap());
        // makes it the leader of a session whose terminal is its standard input
        let child = Command::new("setsid")
            .args(["--ctty", "sh", "-c"])
            .arg(format!("stty rows {rows} cols {columns}; exec \"$@\""))
            .args(["sh", env!("CARGO_BIN_EXE_ferry")])
            .args(words)
            .current_dir(dir.path())
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("HOME", dir.path())
            .env("TERM", term)
            .stdin(end(&keyboard))
            .stdout(end(&keyboard))
            .stderr(end(&keyboard))
            .spawn()
            .unwrap();
        drop(keyboard);
        let keyboard = screen.try_clone().unwrap();
        let (seen, closed) = (Arc::default(), Arc::new(AtomicBool::new(false)));
        let (to, over) = (Arc::<Mutex<String>>::clone(&seen), Arc::clone(&closed));
        let reader = std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while !over.load(Ordering::Relaxed) {
                match screen.read(&mut bytes) {
                    Ok(0) => return,
                    Ok(n) => to
                        .lock()
                        .unwrap()
                        .push_str(&String::from_utf8_lossy(&bytes[..n])),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {
                        std::thread::sleep(Duration::from_millis(5));
                    }
                    // nobody has the terminal open any more
                    Err(_) => return,
                }
            }
        });
        Self {
            child,
            keyboard: Some(keyboard),
            seen,
            closed,
            reader: Some(reader),
            read: 0,
        }
    }

    /// Waits until this is shown after all that was waited for before; what came up to it.
    pub fn asked(&mut self, text: &str) -> String {
        let until = Instant::now() + LONGEST;
        loop {
            let seen = self.seen();
            let new = &seen[self.read..];
            if let Some(at) = new.find(text) {
                let found = plain(&new[..at + text.len()]);
                self.read += at + text.len();
                return found;
            }
            assert!(Instant::now() < until, "`{text}` never came:\n{seen}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until this is asked, and types an answer to it, with its end of line.
    pub fn answers(&mut self, question: &str, answer: &str) -> String {
        let found = self.asked(question);
        // what is typed while a question comes up is dropped
        std::thread::sleep(Duration::from_millis(60));
        self.types(&format!("{answer}\r"));
        found
    }

    /// Presses keys.
    pub fn types(&mut self, keys: &str) {
        let keyboard = self.keyboard.as_mut().unwrap();
        keyboard.write_all(keys.as_bytes()).unwrap();
    }

    /// All that was shown so far.
    pub fn seen(&self) -> String {
        self.seen.lock().unwrap().clone()
    }

    /// Waits until this was shown.
    pub fn until(&self, text: &str) {
        let until = Instant::now() + LONGEST;
        while !self.seen().contains(text) {
            assert!(
                Instant::now() < until,
                "`{text}` never came:\n{}",
                self.seen()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Closes the window.
    pub fn close(&mut self) {
        self.closed.store(true, Ordering::Relaxed);
        self.reader.take().unwrap().join().unwrap();
        self.keyboard = None;
    }

    /// Waits for its end; the exit code.
    pub fn wait(&mut self) -> i32 {
        let until = Instant::now() + LONGEST;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code().unwrap_or(-1);
            }
            assert!(Instant::now() < until, "it does not end:\n{}", self.seen());
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Without colours.
pub fn plain(text: &str) -> String {
    let colours = regex::Regex::new("\x1b\\[[0-9;]*m").unwrap();
    colours.replace_all(text, "").into_owned()
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.closed.store(true, Ordering::Relaxed);
        // over already is as good as killed
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

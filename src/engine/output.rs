//! The output of one attempt: masked, kept in the run directory within limits, and shown live.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};

use sha2::{Digest, Sha256};

use super::bus::Lines;
use super::job::Job;
use crate::action::{Output, Stream};
use crate::event::OutputKept;
use crate::plan::hex;
use crate::secret::{MaskStream, Masker, mask_places};

/// Bytes kept from the beginning, and as many from the end (limits of the reliability contract).
const KEPT: usize = 1 << 20;

/// Bytes of a line that are shown while the step runs; the file has all of it.
const SHOWN: usize = 4_096;

/// Receives what an action prints.
pub(super) struct StepOutput {
    step: Arc<str>,
    /// Where it goes, relative to the run directory.
    name: String,
    path: PathBuf,
    lines: Lines,
    inner: Mutex<Inner>,
    masker: Masker,
}

#[derive(Default)]
struct Inner {
    streams: [Option<MaskStream>; 2],
    file: Option<File>,
    failed: Option<std::io::Error>,
    seen: u64,
    head: u64,
    tail: Vec<u8>,
    hash: Sha256,
    line: Vec<u8>,
}

impl StepOutput {
    pub(super) fn new(
        step: &str,
        run_dir: &std::path::Path,
        name: String,
        masker: Masker,
        lines: Lines,
    ) -> Arc<Self> {
        Arc::new(Self {
            step: step.into(),
            path: run_dir.join(&name),
            name,
            lines,
            inner: Mutex::default(),
            masker,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // a panic in another chunk leaves counters that are still true
        self.inner
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Writes what is held back, makes the file durable, and says what was kept.
    ///
    /// # Errors
    /// When the file could not be written: the outcome must not name what is not there.
    pub(super) fn close(&self) -> std::io::Result<Option<OutputKept>> {
        let mut inner = self.lock();
        for stream in 0..2 {
            if let Some(stream) = inner.streams[stream].take() {
                let mut out = Vec::new();
                stream.finish(&mut out);
                inner.take(&out, self);
            }
        }
        if let Some(error) = inner.failed.take() {
            return Err(error);
        }
        let Some(mut file) = inner.file.take() else {
            return Ok(None);
        };
        let over = inner.tail.len().saturating_sub(KEPT);
        inner.tail.drain(..over);
        let left_out = inner.seen - inner.head - inner.tail.len() as u64;
        if left_out > 0 {
            writeln!(file, "\n... {left_out} bytes left out ...")?;
        }
        file.write_all(&inner.tail)?;
        file.sync_data()?;
        Ok(Some(OutputKept {
            file: self.name.clone(),
            bytes: inner.seen,
            kept: inner.head + inner.tail.len() as u64,
            sha256: hex(&std::mem::take(&mut inner.hash).finalize()),
        }))
    }

    fn open(&self) -> std::io::Result<File> {
        if let Some(parent) = self.path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        File::create(&self.path)
    }

    fn show(&self, inner: &mut Inner, bytes: &[u8]) {
        if !self.lines.wanted() {
            return;
        }
        // only the last whole line of a chunk is shown: nobody reads faster
        let Some(end) = bytes.iter().rposition(|byte| *byte == b'\n') else {
            let room = (SHOWN + 1).saturating_sub(inner.line.len());
            inner.line.extend(bytes.iter().take(room));
            return;
        };
        let start = bytes[..end]
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |newline| newline + 1);
        let mut line = if start == 0 {
            std::mem::take(&mut inner.line)
        } else {
            Vec::new()
        };
        let room = (SHOWN + 1).saturating_sub(line.len());
        line.extend(bytes[start..end].iter().take(room));
        inner.line = bytes[end + 1..].iter().take(SHOWN + 1).copied().collect();
        let text = shown(&line);
        if !text.is_empty() {
            self.lines.send(&self.step, text);
        }
    }
}

/// A line as people see it. One that is longer is cut between words, so that no address loses the
/// end by which its password is known as one, and the cut is seen.
fn shown(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(&line[..line.len().min(SHOWN)]);
    if line.len() <= SHOWN {
        return mask_places(text.trim_end()).into_owned();
    }
    let words = text.rfind(char::is_whitespace).unwrap_or(0);
    format!("{} \u{2026}", mask_places(text[..words].trim_end()))
}

impl Inner {
    fn take(&mut self, bytes: &[u8], output: &StepOutput) {
        if bytes.is_empty() || self.failed.is_some() {
            return;
        }
        if let Err(error) = self.keep(bytes, output) {
            self.failed = Some(error);
        }
        output.show(self, bytes);
    }

    fn keep(&mut self, bytes: &[u8], output: &StepOutput) -> std::io::Result<()> {
        self.seen += bytes.len() as u64;
        self.hash.update(bytes);
        let file = match &mut self.file {
            Some(file) => file,
            None => self.file.insert(output.open()?),
        };
        let room = usize::try_from((KEPT as u64).saturating_sub(self.head)).unwrap_or(0);
        let (head, rest) = bytes.split_at(room.min(bytes.len()));
        file.write_all(head)?;
        self.head += head.len() as u64;
        if rest.is_empty() {
            return Ok(());
        }
        self.tail
            .extend_from_slice(&rest[rest.len().saturating_sub(KEPT)..]);
        // trimmed now and then, so that the copying is paid once for each megabyte
        if self.tail.len() > 2 * KEPT {
            let over = self.tail.len() - KEPT;
            self.tail.drain(..over);
        }
        Ok(())
    }
}

impl Output for StepOutput {
    fn chunk(&self, stream: Stream, bytes: &[u8]) {
        let mut inner = self.lock();
        let at = usize::from(stream == Stream::Stderr);
        let mut out = Vec::with_capacity(bytes.len());
        inner.streams[at]
            .get_or_insert_with(|| self.masker.stream())
            .push(bytes, &mut out);
        inner.take(&out, self);
    }

    fn progress(&self, line: &str) {
        self.lines
            .send(&self.step, self.masker.text(line).into_owned());
    }
}

impl Job {
    pub(super) fn output(&self) -> Arc<StepOutput> {
        self.output_named("")
    }

    /// The output of what only looks, beside that of the action: the journal names the latter by hash.
    pub(super) fn probe_output(&self) -> Arc<StepOutput> {
        self.output_named(".probe")
    }

    fn output_named(&self, what: &str) -> Arc<StepOutput> {
        let name = format!(
            "output/{}.{}{}{what}.log",
            self.name, self.direction, self.attempt
        );
        StepOutput::new(
            &self.name,
            &self.shared.run_dir,
            name,
            self.shared.masker.clone(),
            self.shared.lines.clone(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_line_is_cut_between_words_and_says_so() {
        assert_eq!(shown(b"short \n"), "short");
        let address = b"redis://user:hunter22";
        let mut line = vec![b'x'; SHOWN - address.len() - 1];
        line.push(b' ');
        line.extend_from_slice(address);
        assert_eq!(line.len(), SHOWN);
        line.extend_from_slice(b"@host");
        let text = shown(&line);
        assert!(text.ends_with("x \u{2026}") && !text.contains("hunter22"));
        assert_eq!(shown(&vec![b'x'; SHOWN + 1]), " \u{2026}");
    }
}

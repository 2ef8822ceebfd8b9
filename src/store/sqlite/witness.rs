//! The witness of a journal's head: a file beside the database that says how far the journal
//! reached. SQLite alone does not tell that history was lost; the witness does.
//!
//! Main types: [`Witness`], which writes, and [`Found`], what reading came to. Two slots are written
//! in turns, each with a checksum, so that a write that was cut leaves the other. It must never be
//! ahead of what is durable in the journal.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::Head;
use super::place::{file_name, io_error, name_of};
use crate::store::StoreError;

/// The directory of the witnesses.
const DIR: &str = "heads";

/// First bytes of a slot.
const MAGIC: &[u8; 8] = b"ferryhd1";

/// Mark, counter, seq, link.
const CONTENT: usize = 8 + 8 + 8 + 32;

/// Content and checksum.
const SLOT: usize = CONTENT + 32;

/// Slots lie in blocks of their own, so that a torn write cannot hurt both.
const STRIDE: usize = 4096;

/// What a slot says.
#[derive(Clone, Copy)]
struct Slot {
    /// Rises with every write; the newer slot has the higher one.
    counter: u64,
    head: Head,
}

/// What reading a witness came to.
pub(super) enum Found {
    /// There is no file.
    Nothing,
    /// Neither slot can be believed.
    Damaged,
    /// The newest slot that can be believed.
    Seen {
        head: Head,
        /// The other slot cannot be believed: a write was cut, or the file was damaged.
        half: bool,
    },
}

/// Where the witness of a run is.
pub(super) fn path(dir: &Path, run: &str) -> PathBuf {
    dir.join(DIR).join(file_name(run))
}

/// Reads the witness of a run. Safe beside a process that writes it.
pub(super) fn read(dir: &Path, run: &str) -> io::Result<Found> {
    let path = path(dir, run);
    for _ in 0..3 {
        match look(&path, run)? {
            // A slot that is read while it is written looks damaged, both of them hardly ever do.
            (Found::Damaged, _) => std::thread::yield_now(),
            (found, _) => return Ok(found),
        }
    }
    Ok(Found::Damaged)
}

/// The last event that the witness of a run saw, if it saw any and can be believed.
pub(super) fn seen(dir: &Path, run: &str) -> Result<Option<u64>, StoreError> {
    match read(dir, run).map_err(|error| io_error(&path(dir, run), &error))? {
        Found::Seen { head, .. } => Ok((head.seq > 0).then_some(head.seq)),
        Found::Nothing | Found::Damaged => Ok(None),
    }
}

fn look(path: &Path, run: &str) -> io::Result<(Found, u64)> {
    let file = match fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((Found::Nothing, 0)),
        Err(error) => return Err(error),
    };
    let slots = [slot(&file, run, 0)?, slot(&file, run, 1)?];
    let newest = slots.iter().flatten().max_by_key(|slot| slot.counter);
    let Some(newest) = newest else {
        return Ok((Found::Damaged, 0));
    };
    let found = Found::Seen {
        head: newest.head,
        half: slots.iter().any(Option::is_none),
    };
    Ok((found, newest.counter))
}

/// A slot that can be believed.
fn slot(file: &fs::File, run: &str, number: u64) -> io::Result<Option<Slot>> {
    let mut bytes = [0; SLOT];
    match file.read_exact_at(&mut bytes, number * STRIDE as u64) {
        Ok(()) => Ok(decode(&bytes, run)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

fn decode(bytes: &[u8; SLOT], run: &str) -> Option<Slot> {
    let (content, sum) = bytes.split_at(CONTENT);
    if checksum(content, run) != *sum || !content.starts_with(MAGIC) {
        return None;
    }
    let number = |at: usize| {
        Some(u64::from_be_bytes(
            content.get(at..at + 8)?.try_into().ok()?,
        ))
    };
    Some(Slot {
        counter: number(8)?,
        head: Head {
            seq: number(16)?,
            link: content[24..].try_into().ok()?,
        },
    })
}

fn encode(slot: &Slot, run: &str) -> [u8; SLOT] {
    let mut bytes = [0; SLOT];
    bytes[..8].copy_from_slice(MAGIC);
    bytes[8..16].copy_from_slice(&slot.counter.to_be_bytes());
    bytes[16..24].copy_from_slice(&slot.head.seq.to_be_bytes());
    bytes[24..CONTENT].copy_from_slice(&slot.head.link);
    let sum = checksum(&bytes[..CONTENT], run);
    bytes[CONTENT..].copy_from_slice(&sum);
    bytes
}

/// Covers the run's id too: the witness of one run is none of another.
fn checksum(content: &[u8], run: &str) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(run.as_bytes());
    hash.update([0]);
    hash.update(content);
    hash.finalize().into()
}

/// A witness that can be written.
pub(super) struct Witness {
    file: fs::File,
    run: String,
    counter: u64,
}

impl Witness {
    /// Puts a new witness in the place of whatever is there; name and content are durable when this
    /// returns. Who still writes the one before writes into nothing.
    pub(super) fn create(dir: &Path, run: &str, head: Head) -> io::Result<Self> {
        let heads = dir.join(DIR);
        match fs::DirBuilder::new().mode(0o700).create(&heads) {
            Ok(()) => fs::File::open(dir)?.sync_all()?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
        let path = path(dir, run);
        let mut new = path.clone().into_os_string();
        new.push(format!(".{}.new", std::process::id()));
        let new = PathBuf::from(new);
        let mut options = fs::OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let file = options.open(&new)?;
        let mut bytes = vec![0; 2 * STRIDE];
        for counter in [0, 1] {
            let at = STRIDE * usize::from(counter == 1);
            bytes[at..at + SLOT].copy_from_slice(&encode(&Slot { counter, head }, run));
        }
        let written = file
            .write_all_at(&bytes, 0)
            .and_then(|()| file.sync_all())
            .and_then(|()| fs::rename(&new, &path))
            .and_then(|()| fs::File::open(&heads)?.sync_all());
        if let Err(error) = written {
            let _ = fs::remove_file(&new);
            return Err(error);
        }
        Ok(Self {
            file,
            run: run.to_owned(),
            counter: 1,
        })
    }

    /// Opens a witness that is there; what it says as well. `None` if it cannot be believed.
    pub(super) fn open(dir: &Path, run: &str) -> io::Result<Option<(Self, Head)>> {
        let path = path(dir, run);
        let (Found::Seen { head, .. }, counter) = look(&path, run)? else {
            return Ok(None);
        };
        let file = fs::OpenOptions::new().write(true).open(&path)?;
        let run = run.to_owned();
        Ok(Some((Self { file, run, counter }, head)))
    }

    /// Says that the journal reached `head`; durable when this returns. After an error this handle
    /// must not be used again: what a later sync on it says could not be believed.
    pub(super) fn write(&mut self, head: Head) -> io::Result<()> {
        let counter = self.counter + 1;
        let bytes = encode(&Slot { counter, head }, &self.run);
        let at = counter % 2 * STRIDE as u64;
        self.file.write_all_at(&bytes, at)?;
        self.file.sync_data()?;
        self.counter = counter;
        Ok(())
    }
}

/// The runs that have a witness, in order; files with other names are left out.
pub(super) fn names(dir: &Path) -> io::Result<Vec<String>> {
    let mut names: Vec<_> = entries(dir)?.collect();
    names.sort();
    Ok(names)
}

/// One of the runs that have a witness.
pub(super) fn any(dir: &Path) -> io::Result<Option<String>> {
    Ok(entries(dir)?.next())
}

fn entries(dir: &Path) -> io::Result<impl Iterator<Item = String>> {
    let entries = match fs::read_dir(dir.join(DIR)) {
        Ok(entries) => Some(entries),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    let names = entries.into_iter().flatten().flatten();
    Ok(names.filter_map(|entry| entry.file_name().to_str().and_then(name_of)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(seq: u64) -> Head {
        let byte = u8::try_from(seq % 256).unwrap();
        Head {
            seq,
            link: [byte; 32],
        }
    }

    fn seen(dir: &Path, run: &str) -> Option<(u64, bool)> {
        match read(dir, run).unwrap() {
            Found::Seen { head: found, half } => {
                assert_eq!(found.link, head(found.seq).link);
                Some((found.seq, half))
            }
            Found::Nothing | Found::Damaged => None,
        }
    }

    /// Flips a bit of a slot.
    fn flip(path: &Path, slot: usize) {
        let mut bytes = fs::read(path).unwrap();
        bytes[slot * STRIDE + 20] ^= 4;
        fs::write(path, bytes).unwrap();
    }

    #[test]
    fn the_newer_slot_counts_and_a_damaged_one_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        assert!(matches!(read(dir, "r").unwrap(), Found::Nothing));
        let mut witness = Witness::create(dir, "r", head(0)).unwrap();
        assert_eq!(seen(dir, "r"), Some((0, false)));
        for seq in 2..6 {
            witness.write(head(seq)).unwrap();
            assert_eq!(seen(dir, "r"), Some((seq, false)));
        }
        drop(witness);
        // counters 0 and 1 at the creation, so the fourth write has counter 5 and the second slot
        flip(&path(dir, "r"), 1);
        assert_eq!(seen(dir, "r"), Some((4, true)));
        // a later write takes the place of the damaged slot
        let (mut witness, at) = Witness::open(dir, "r").unwrap().unwrap();
        assert_eq!(at.seq, 4);
        witness.write(head(9)).unwrap();
        assert_eq!(seen(dir, "r"), Some((9, false)));
        flip(&path(dir, "r"), 0);
        flip(&path(dir, "r"), 1);
        assert!(matches!(read(dir, "r").unwrap(), Found::Damaged));
        assert!(Witness::open(dir, "r").unwrap().is_none());
        fs::write(path(dir, "r"), "").unwrap();
        assert!(matches!(read(dir, "r").unwrap(), Found::Damaged));
    }

    #[test]
    fn the_witness_of_one_run_is_none_of_another() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        Witness::create(dir, "a", head(3)).unwrap();
        fs::rename(path(dir, "a"), path(dir, "b")).unwrap();
        assert!(matches!(read(dir, "b").unwrap(), Found::Damaged));
        assert_eq!(names(dir).unwrap(), ["b"]);
    }

    #[test]
    fn who_writes_a_witness_that_was_replaced_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        let mut old = Witness::create(dir, "r", head(3)).unwrap();
        Witness::create(dir, "r", head(7)).unwrap();
        old.write(head(4)).unwrap();
        old.write(head(5)).unwrap();
        assert_eq!(seen(dir, "r"), Some((7, false)));
    }
}

//! One regular file: where it is ([`Place`]), what it is ([`Found`]), and putting new content there
//! in one step ([`Place::put`]). Symlinks, directories and devices are refused here, once.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::Live;
use crate::action::ActionError;
use crate::event::{Cause, Outcome};

/// Where a regular file is, or could be.
#[derive(Clone, Debug)]
pub struct Place {
    /// Absolute; its directory holds no symlink.
    pub path: PathBuf,
    /// As the author wrote it.
    pub shown: String,
}

/// A regular file as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub sha256: String,
    pub bytes: u64,
    pub owner: Owner,
}

/// Mode and owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Permission bits.
    pub mode: u32,
    /// User and group; `None`: whoever creates it.
    pub ids: Option<(u32, u32)>,
}

impl Owner {
    /// As results show it.
    pub fn shown(self) -> String {
        format!("{:04o}", self.mode)
    }
}

impl Found {
    /// The fields of a result.
    pub fn fields(&self) -> Value {
        json!({ "sha256": self.sha256, "bytes": self.bytes, "mode": self.owner.shown() })
    }
}

/// An IO error, when nothing was changed.
pub fn io_error(shown: &str, doing: &str, error: &io::Error) -> ActionError {
    let cause = match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Cause::Invalid,
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Cause::Denied,
        _ => Cause::Failed,
    };
    let why = match error.kind() {
        io::ErrorKind::NotFound => "there is no such file".to_owned(),
        io::ErrorKind::NotADirectory => "a part of its path is not a directory".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        io::ErrorKind::ReadOnlyFilesystem => "the file system is read-only".to_owned(),
        io::ErrorKind::StorageFull => "no space left".to_owned(),
        _ => error.to_string(),
    };
    ActionError::new(
        cause,
        Outcome::NotApplied,
        format!("cannot {doing} `{shown}`: {why}"),
    )
}

fn refused(shown: &str, why: &str) -> ActionError {
    ActionError::invalid(format!("`{shown}` {why}"))
}

/// `base` without symlinks.
pub fn root(base: &Path) -> Result<PathBuf, ActionError> {
    let shown = base.to_string_lossy();
    let root = fs::canonicalize(base).map_err(|error| io_error(&shown, "enter", &error))?;
    if !root.is_dir() {
        return Err(refused(&shown, "is not a directory"));
    }
    Ok(root)
}

impl Place {
    /// Where `given` is to be written: a relative path stays under `base`, an absolute one means
    /// itself.
    pub fn to_write(base: &Path, given: &str) -> Result<Self, ActionError> {
        let joined = join(base, given)?;
        let (Some(parent), Some(name)) = (joined.parent(), joined.file_name()) else {
            return Err(refused(given, "does not name a file"));
        };
        if given.ends_with('/') {
            return Err(refused(given, "names a directory, not a file"));
        }
        let parent = fs::canonicalize(parent)
            .map_err(|error| io_error(given, "reach the directory of", &error))?;
        stays(base, given, &parent)?;
        let place = Self {
            path: parent.join(name),
            shown: given.to_owned(),
        };
        match fs::symlink_metadata(&place.path) {
            Ok(metadata) => place.is_regular(&metadata)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(io_error(given, "look at", &error)),
        }
        Ok(place)
    }

    /// Where `given` is read from: a symlink is followed as long as it stays under `base`, or when
    /// the path is absolute.
    pub fn to_read(base: &Path, given: &str) -> Result<Self, ActionError> {
        let joined = join(base, given)?;
        let path = fs::canonicalize(joined).map_err(|error| io_error(given, "read", &error))?;
        stays(base, given, &path)?;
        Ok(Self {
            path,
            shown: given.to_owned(),
        })
    }

    fn is_regular(&self, metadata: &fs::Metadata) -> Result<(), ActionError> {
        let kind = metadata.file_type();
        if kind.is_symlink() {
            return Err(refused(&self.shown, "is a symlink, which is not replaced")
                .hint("name the file that it points to"));
        }
        if kind.is_dir() {
            return Err(refused(&self.shown, "is a directory"));
        }
        if !kind.is_file() {
            return Err(refused(&self.shown, "is not a regular file"));
        }
        Ok(())
    }

    /// Opens it; `None` when it is not there.
    pub fn open(&self) -> Result<Option<File>, ActionError> {
        // without `O_NONBLOCK` a FIFO would hold us here
        let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
        let opened = OpenOptions::new()
            .read(true)
            .custom_flags(flags.bits())
            .open(&self.path);
        let file = match opened {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(io_error(&self.shown, "read", &error)),
        };
        let metadata = file
            .metadata()
            .map_err(|error| io_error(&self.shown, "read", &error))?;
        self.is_regular(&metadata)?;
        Ok(Some(file))
    }

    /// What is there, read to its end; `None` when nothing is.
    pub fn look(&self, live: &Live) -> Result<Option<Found>, ActionError> {
        let Some(mut file) = self.open()? else {
            return Ok(None);
        };
        let found = self.read_through(&mut file, live, |_| Ok(()))?;
        Ok(Some(found))
    }

    /// Reads `file`, which is this one, to its end, handing every piece on.
    ///
    /// # Errors
    /// Also when it was written to meanwhile, for then what was read never was its content.
    pub fn read_through(
        &self,
        file: &mut File,
        live: &Live,
        mut piece: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<Found, ActionError> {
        let failed = |error: io::Error| io_error(&self.shown, "read", &error);
        let before = file.metadata().map_err(failed)?;
        let mut hash = Sha256::new();
        let mut bytes = 0;
        let mut buffer = vec![0; 128 << 10];
        loop {
            live.check()?;
            let n = file.read(&mut buffer).map_err(failed)?;
            if n == 0 {
                break;
            }
            hash.update(&buffer[..n]);
            piece(&buffer[..n]).map_err(|error| io_error(&self.shown, "copy", &error))?;
            bytes += n as u64;
        }
        let after = file.metadata().map_err(failed)?;
        let stamp = |m: &fs::Metadata| (m.mtime(), m.mtime_nsec(), m.len());
        if stamp(&before) != stamp(&after) || bytes != after.len() {
            let message = format!("`{}` was written to while it was read", self.shown);
            return Err(ActionError::failed(Outcome::NotApplied, message).retryable(true));
        }
        Ok(Found {
            sha256: format!("{:x}", hash.finalize()),
            bytes,
            owner: Owner {
                mode: after.mode() & 0o7777,
                ids: Some((after.uid(), after.gid())),
            },
        })
    }

    /// Puts new content here in one step: all of it or nothing. `fill` writes it, `sealed` is called
    /// with what will be there once it is safely on disk and before it takes the place.
    pub fn put(
        &self,
        live: &Live,
        owner: Owner,
        fill: impl FnOnce(&mut dyn Write) -> Result<(), ActionError>,
        sealed: impl FnOnce(&Found) -> Result<(), ActionError>,
    ) -> Result<Found, ActionError> {
        let failed = |error: io::Error| io_error(&self.shown, "write", &error);
        let parent = self.path.parent().expect("a place has a directory");
        let directory = File::open(parent).map_err(failed)?;
        let (temporary, file) = Temporary::create(&self.path).map_err(failed)?;
        let mut sink = Sink {
            file,
            hash: Sha256::new(),
            bytes: 0,
        };
        fill(&mut sink)?;
        if let Some((user, group)) = owner.ids {
            let metadata = sink.file.metadata().map_err(failed)?;
            if (metadata.uid(), metadata.gid()) != (user, group) {
                fchown(&sink.file, Some(user), Some(group))
                    .map_err(|error| io_error(&self.shown, "keep the owner of", &error))?;
            }
        }
        // after the owner, whose change takes set-id bits away
        sink.file
            .set_permissions(fs::Permissions::from_mode(owner.mode))
            .map_err(failed)?;
        sink.file.sync_all().map_err(failed)?;
        let found = Found {
            sha256: format!("{:x}", sink.hash.finalize()),
            bytes: sink.bytes,
            owner,
        };
        sealed(&found)?;
        live.check()?;
        temporary.take_place(&self.path).map_err(failed)?;
        directory.sync_all().map_err(|error| {
            let mut error = io_error(&self.shown, "make sure of", &error);
            error.outcome = Outcome::Unknown;
            error
        })?;
        Ok(found)
    }

    /// Puts these bytes here.
    pub fn put_bytes(
        &self,
        live: &Live,
        owner: Owner,
        bytes: &[u8],
        sealed: impl FnOnce(&Found) -> Result<(), ActionError>,
    ) -> Result<Found, ActionError> {
        let fill = |sink: &mut dyn Write| {
            sink.write_all(bytes)
                .map_err(|error| io_error(&self.shown, "write", &error))
        };
        self.put(live, owner, fill, sealed)
    }

    /// Puts a copy of `from` here; what was read and what was written are the same by construction.
    pub fn put_copy(
        &self,
        live: &Live,
        owner: Owner,
        from: &Self,
        sealed: impl FnOnce(&Found) -> Result<(), ActionError>,
    ) -> Result<Found, ActionError> {
        let fill = |sink: &mut dyn Write| {
            let mut file = from.open()?.ok_or_else(|| missing(&from.shown))?;
            from.read_through(&mut file, live, |piece| sink.write_all(piece))
                .map(|_| ())
        };
        self.put(live, owner, fill, sealed)
    }

    /// Removes it and makes sure of that.
    pub fn remove(&self) -> Result<(), ActionError> {
        let failed = |error: io::Error| io_error(&self.shown, "remove", &error);
        let parent = self.path.parent().expect("a place has a directory");
        let directory = File::open(parent).map_err(failed)?;
        fs::remove_file(&self.path).map_err(failed)?;
        directory.sync_all().map_err(|error| {
            let mut error = failed(error);
            error.outcome = Outcome::Unknown;
            error
        })
    }
}

/// The error for a file that has to be there.
pub fn missing(shown: &str) -> ActionError {
    io_error(shown, "read", &io::ErrorKind::NotFound.into())
}

fn join(base: &Path, given: &str) -> Result<PathBuf, ActionError> {
    if given.is_empty() || given.contains('\0') {
        return Err(refused(&given.escape_debug().to_string(), "is not a path"));
    }
    Ok(base.join(given))
}

fn stays(base: &Path, given: &str, path: &Path) -> Result<(), ActionError> {
    if Path::new(given).is_absolute() || path.starts_with(root(base)?) {
        return Ok(());
    }
    let message = format!("`{given}` leads out of `{}`", base.display());
    Err(ActionError::invalid(message).hint("if that is meant, write the absolute path"))
}

struct Sink {
    file: File,
    hash: Sha256,
    bytes: u64,
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.file.write(bytes)?;
        self.hash.update(&bytes[..n]);
        self.bytes += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// A temporary file that is gone unless it took its place.
struct Temporary {
    path: PathBuf,
    taken: bool,
}

impl Temporary {
    fn create(place: &Path) -> io::Result<(Self, File)> {
        let name = format!(".ferry-{}.tmp", uuid::Uuid::now_v7().simple());
        let path = place.with_file_name(name);
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)?;
        Ok((Self { path, taken: false }, file))
    }

    fn take_place(mut self, place: &Path) -> io::Result<()> {
        fs::rename(&self.path, place)?;
        self.taken = true;
        Ok(())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.taken {
            // nothing more can be done about one that stays
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Makes a directory of ferry's own, for its owner only.
pub fn make_dir(path: &Path) -> Result<(), ActionError> {
    let made = std::os::unix::fs::DirBuilderExt::mode(&mut fs::DirBuilder::new(), 0o700)
        .recursive(true)
        .create(path);
    made.map_err(|error| io_error(&path.to_string_lossy(), "make the directory", &error))
}

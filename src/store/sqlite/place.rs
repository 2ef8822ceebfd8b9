//! The directory of a store: created for its owner alone, refused where a journal is not safe.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::witness;
use crate::store::StoreError;
use crate::store::chain::hex;

/// The database's name in the directory.
const FILE: &str = "ferry.db";

/// Name of the file that keeps space for the last events.
const BALLAST: &str = "ballast";

/// Its size in bytes.
const BALLAST_SIZE: u64 = 1 << 20;

/// File systems allow 255 bytes; what is put before and behind a name needs some.
const LONGEST_NAME: usize = 200;

/// Creates what is missing and checks the directory; the database's path, and whether it is new.
pub(super) fn prepare(dir: &Path) -> Result<(PathBuf, bool), StoreError> {
    let failed = |error: &io::Error| io_error(dir, error);
    if !fs::exists(dir).map_err(|e| failed(&e))? {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true).mode(0o700);
        builder.create(dir).map_err(|e| failed(&e))?;
    }
    let file = dir.join(FILE);
    let remains = refuse_remains(dir, &file);
    if !fs::exists(&file).map_err(|e| failed(&e))? {
        remains?;
        tighten(dir)?;
    }
    check(dir)?;
    // SQLite only says that it cannot open the file.
    nix::unistd::access(dir, nix::unistd::AccessFlags::W_OK).map_err(|e| failed(&e.into()))?;
    let mut options = fs::OpenOptions::new();
    // Only a file that nobody has yet is opened here: closing any descriptor of a database that
    // this process has open would drop its locks.
    match options.write(true).create_new(true).mode(0o600).open(&file) {
        Ok(_) => Ok((file, true)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok((file, false)),
        Err(error) => Err(io_error(&file, &error)),
    }
}

/// A database that is gone while the witnesses of its journals are there was not yet to be created.
/// To be asked before the database is looked at: tables are made before witnesses, so that one
/// which is empty after that did not become so by another process that just creates it.
pub(super) fn refuse_remains(dir: &Path, file: &Path) -> Result<(), StoreError> {
    match witness::any(dir).map_err(|error| io_error(dir, &error))? {
        None => Ok(()),
        Some(run) => Err(StoreError::Damaged {
            path: file.to_owned(),
            what: format!("it is empty or gone, but there are witnesses of journals (run `{run}`)"),
        }),
    }
}

/// A directory that was there before the store, such as a fresh clone's, is closed to others; one
/// that anybody may write to is left for [`check`] to refuse, because something may lie in it already.
fn tighten(dir: &Path) -> Result<(), StoreError> {
    let data = fs::metadata(dir).map_err(|e| io_error(dir, &e))?;
    let ours = data.uid() == nix::unistd::geteuid().as_raw();
    if ours && data.mode() & 0o002 == 0 && data.mode() & 0o077 != 0 {
        fs::set_permissions(dir, fs::Permissions::from_mode(0o700))
            .map_err(|e| io_error(dir, &e))?;
    }
    Ok(())
}

/// Finds the database of a store that is there already.
pub(super) fn existing(dir: &Path) -> Result<PathBuf, StoreError> {
    let file = dir.join(FILE);
    match fs::metadata(&file) {
        Ok(data) if data.len() > 0 => {
            check(dir)?;
            Ok(file)
        }
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            Err(io_error(&file, &error))
        }
        _ => Err(StoreError::NoStore {
            path: dir.to_owned(),
        }),
    }
}

/// Makes the new database's name durable; only a file's content is synced by SQLite.
pub(super) fn sync(dir: &Path) -> Result<(), StoreError> {
    let synced = fs::File::open(dir).and_then(|dir| dir.sync_all());
    synced.map_err(|error| io_error(dir, &error))
}

fn check(dir: &Path) -> Result<(), StoreError> {
    let mode = fs::metadata(dir).map_err(|e| io_error(dir, &e))?.mode();
    if mode & 0o007 != 0 {
        return Err(StoreError::Refused {
            path: dir.to_owned(),
            what: format!("everybody can get at it (mode {:03o})", mode & 0o777),
            hint: format!("chmod 700 {}", dir.display()),
        });
    }
    if let Some(name) = network(dir)? {
        return Err(StoreError::Refused {
            path: dir.to_owned(),
            what: format!("it lies on a network file system ({name}), which loses SQLite's locks"),
            hint: "put the state directory on a local disk".into(),
        });
    }
    Ok(())
}

#[cfg(target_os = "linux")]
fn network(dir: &Path) -> Result<Option<&'static str>, StoreError> {
    let stat = nix::sys::statfs::statfs(dir).map_err(|e| io_error(dir, &e.into()))?;
    // The type's width differs between C libraries; the magic number has 32 bits.
    Ok(network_name(
        i128::from(stat.filesystem_type().0) & 0xffff_ffff,
    ))
}

#[cfg(not(target_os = "linux"))]
fn network(_: &Path) -> Result<Option<&'static str>, StoreError> {
    Ok(None)
}

/// Names of file systems without locks and shared memory that can be relied on.
fn network_name(magic: i128) -> Option<&'static str> {
    Some(match magic {
        0x6969 => "NFS",
        0x517b => "SMB",
        0xff53_4d42 => "CIFS",
        0xfe53_4d42 => "SMB2",
        0x0102_1997 => "9p",
        0x6573_5546 => "FUSE",
        0x00c3_6400 => "Ceph",
        0x5346_414f => "AFS",
        0x7375_7245 => "Coda",
        0x0116_1970 => "GFS2",
        0x7461_636f => "OCFS2",
        0x0bd0_0bd0 => "Lustre",
        0x786f_4256 => "vboxsf",
        _ => return None,
    })
}

/// What reading or writing in the directory came to.
pub(super) fn io_error(path: &Path, error: &io::Error) -> StoreError {
    let path = path.to_owned();
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreError::Full { path },
        _ => StoreError::Io {
            path,
            what: error.to_string(),
        },
    }
}

/// A name that a user or a runbook gave, as the name of a file: nothing in it leads elsewhere.
pub(super) fn file_name(name: &str) -> String {
    use std::fmt::Write as _;
    let mut made = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => made.push(char::from(byte)),
            _ => drop(write!(made, "%{byte:02X}")),
        }
    }
    if made.len() <= LONGEST_NAME {
        return made;
    }
    format!("={}", hex(&Sha256::digest(name).into()))
}

/// The way back of [`file_name`]; `None` for what it did not make, or made of a name that is too long.
pub(super) fn name_of(file: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(file.len());
    let mut rest = file.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'%' => {
                let digits = [rest.next()?, rest.next()?];
                let digits = std::str::from_utf8(&digits).ok()?;
                bytes.push(u8::from_str_radix(digits, 16).ok()?);
            }
            _ => bytes.push(byte),
        }
    }
    let name = String::from_utf8(bytes).ok()?;
    (file_name(&name) == file).then_some(name)
}

/// Puts space aside for the last events on a full disk, if there is some to spare. Without it a full
/// disk is told all the same.
pub(super) fn put_ballast(dir: &Path) {
    let path = dir.join(BALLAST);
    if fs::exists(&path).unwrap_or(true) || free(dir).is_ok_and(|free| free < 16 * BALLAST_SIZE) {
        return;
    }
    let mut options = fs::OpenOptions::new();
    let options = options.write(true).create_new(true).mode(0o600);
    let put = options.open(&path).and_then(|file| allocate(&file));
    if put.is_err() {
        let _ = fs::remove_file(&path);
    }
}

/// Really allocated: a hole would free nothing.
fn allocate(file: &fs::File) -> io::Result<()> {
    let size = usize::try_from(BALLAST_SIZE).expect("a MiB");
    #[cfg(target_os = "linux")]
    if nix::fcntl::posix_fallocate(file, 0, i64::from(1 << 20)).is_ok() {
        return Ok(());
    }
    io::Write::write_all(&mut &*file, &vec![0xfe; size])
}

/// Frees the space that was put aside; whether there was some.
pub(super) fn drop_ballast(dir: &Path) -> bool {
    fs::remove_file(dir.join(BALLAST)).is_ok()
}

/// Whether space is put aside.
pub(super) fn has_ballast(dir: &Path) -> bool {
    fs::metadata(dir.join(BALLAST)).is_ok_and(|data| data.blocks() * 512 >= BALLAST_SIZE)
}

/// Bytes that this user can still write.
pub(super) fn free(dir: &Path) -> Result<u64, StoreError> {
    let stat = nix::sys::statvfs::statvfs(dir).map_err(|e| io_error(dir, &e.into()))?;
    Ok(stat.blocks_available() * stat.fragment_size())
}

/// Name of the file system, or its magic number.
#[cfg(target_os = "linux")]
pub(super) fn file_system(dir: &Path) -> Result<String, StoreError> {
    let stat = nix::sys::statfs::statfs(dir).map_err(|e| io_error(dir, &e.into()))?;
    let magic = i128::from(stat.filesystem_type().0) & 0xffff_ffff;
    let known = match magic {
        0xef53 => Some("ext4"),
        0x5846_5342 => Some("xfs"),
        0x9123_683e => Some("btrfs"),
        0x0102_1994 => Some("tmpfs"),
        0x2fc1_2fc1 => Some("zfs"),
        0x794c_7630 => Some("overlay"),
        0xf2f5_2010 => Some("f2fs"),
        other => network_name(other),
    };
    Ok(known.map_or_else(|| format!("{magic:#x}"), str::to_owned))
}

#[cfg(not(target_os = "linux"))]
pub(super) fn file_system(_: &Path) -> Result<String, StoreError> {
    Ok("unknown".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_in_their_directory_and_come_back() {
        for (name, file) in [
            ("cache-20260101-ab2c", "cache-20260101-ab2c"),
            ("../x", "%2E%2E%2Fx"),
            ("redis:a/b", "redis%3Aa%2Fb"),
            ("", ""),
            ("\u{e9}%", "%C3%A9%25"),
        ] {
            assert_eq!(file_name(name), file);
            assert_eq!(name_of(file).as_deref(), Some(name));
        }
        let long = "x/".repeat(200);
        assert_eq!(file_name(&long).len(), 65);
        assert_ne!(file_name(&long), file_name(&"x/".repeat(201)));
        for file in [&*file_name(&long), "a.1.new", "%zz", "%2"] {
            assert_eq!(name_of(file), None);
        }
    }

    #[test]
    fn network_file_systems_are_known_by_their_magic_numbers() {
        assert_eq!(network_name(0x6969), Some("NFS"));
        assert_eq!(network_name(0xff53_4d42), Some("CIFS"));
        assert_eq!(network_name(0xef53), None, "ext4");
        assert_eq!(network_name(0x0102_1994), None, "tmpfs");
    }
}

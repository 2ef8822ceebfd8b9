//! The directory of a store: created for its owner alone, refused where a journal is not safe.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::store::StoreError;

/// The database's name in the directory.
const FILE: &str = "ferry.db";

/// Creates what is missing and checks the directory; the database's path, and whether it is new.
pub(super) fn prepare(dir: &Path) -> Result<(PathBuf, bool), StoreError> {
    let failed = |error: &io::Error| io_error(dir, error);
    if !fs::exists(dir).map_err(|e| failed(&e))? {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true).mode(0o700);
        builder.create(dir).map_err(|e| failed(&e))?;
    }
    let file = dir.join(FILE);
    if !fs::exists(&file).map_err(|e| failed(&e))? {
        tighten(dir)?;
    }
    check(dir)?;
    let mut options = fs::OpenOptions::new();
    // Only a file that nobody has yet is opened here: closing any descriptor of a database that
    // this process has open would drop its locks.
    match options.write(true).create_new(true).mode(0o600).open(&file) {
        Ok(_) => Ok((file, true)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok((file, false)),
        Err(error) => Err(io_error(&file, &error)),
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

fn io_error(path: &Path, error: &io::Error) -> StoreError {
    StoreError::Io {
        path: path.to_owned(),
        what: error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_file_systems_are_known_by_their_magic_numbers() {
        assert_eq!(network_name(0x6969), Some("NFS"));
        assert_eq!(network_name(0xff53_4d42), Some("CIFS"));
        assert_eq!(network_name(0xef53), None, "ext4");
        assert_eq!(network_name(0x0102_1994), None, "tmpfs");
    }
}

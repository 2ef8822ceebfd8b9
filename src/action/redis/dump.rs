//! The backup file: one header, the keys of one database, a count and a checksum.
//!
//! Layout, numbers little-endian: the line `ferry redis dump 1`, a `u32` length and that much JSON
//! ([`Header`]); per key a byte 1, `u32` length and key, `i64` remaining milliseconds (-1: no end),
//! `u32` length and the server's DUMP payload; then a byte 0, the `u64` count of keys, and the
//! SHA-256 of everything before it. [`Reader`] trusts nothing until the end was checked.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::fs::{File, OpenOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};

use super::reply::hex;

const MAGIC: &[u8] = b"ferry redis dump 1\n";
const KEY: u8 = 1;
const END: u8 = 0;
/// Redis holds no longer key or value.
const PART_MAX: u32 = 1 << 30;

/// What the file says of itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Header {
    /// The server process that was read.
    pub run_id: String,
    /// Its version: an older server may not take the values.
    pub redis_version: String,
    /// The database that was read.
    pub db: i64,
    /// Only keys that fit, when given.
    #[serde(default, rename = "match", skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
}

/// One key.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub key: Vec<u8>,
    /// Milliseconds that were left to live when it was read; -1: no end.
    pub ttl_ms: i64,
    /// As DUMP gave it.
    pub payload: Vec<u8>,
}

/// What a whole file holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Summary {
    pub keys: u64,
    pub bytes: u64,
    /// Of the whole file, as `sha256sum` tells it.
    pub sha256: String,
}

/// Writes a file under a temporary name; [`Writer::finish`] gives it its own. Dropped before that,
/// it leaves nothing.
pub(super) struct Writer {
    file: File,
    temporary: PathBuf,
    path: PathBuf,
    hash: Sha256,
    buffer: Vec<u8>,
    bytes: u64,
    keys: u64,
    finished: bool,
}

impl Drop for Writer {
    fn drop(&mut self) {
        if !self.finished {
            // nothing more can be done about a file that cannot be removed
            let _ = std::fs::remove_file(&self.temporary);
        }
    }
}

impl Writer {
    /// Starts the file that will be `path`.
    pub async fn create(path: &Path, header: &Header) -> std::io::Result<Self> {
        let name = path
            .file_name()
            .ok_or_else(|| std::io::Error::other("the path names no file"))?;
        let mut temporary = std::ffi::OsString::from(".");
        temporary.push(name);
        temporary.push(format!(".{}.part", uuid::Uuid::now_v7()));
        let temporary = path.with_file_name(temporary);
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&temporary)
            .await?;
        let mut writer = Self {
            file,
            temporary,
            path: path.to_owned(),
            hash: Sha256::new(),
            buffer: MAGIC.to_vec(),
            bytes: 0,
            keys: 0,
            finished: false,
        };
        let json = serde_json::to_vec(header).map_err(std::io::Error::other)?;
        writer.part(&json)?;
        writer.flush().await?;
        Ok(writer)
    }

    /// Adds one key to what [`Writer::flush`] writes next.
    pub fn add(&mut self, record: &Record) -> std::io::Result<()> {
        self.buffer.push(KEY);
        self.part(&record.key)?;
        self.buffer.extend_from_slice(&record.ttl_ms.to_le_bytes());
        self.part(&record.payload)?;
        self.keys += 1;
        Ok(())
    }

    /// Writes what was added.
    pub async fn flush(&mut self) -> std::io::Result<()> {
        self.hash.update(&self.buffer);
        self.bytes += self.buffer.len() as u64;
        self.file.write_all(&self.buffer).await?;
        self.buffer.clear();
        Ok(())
    }

    /// Ends the file, makes it durable and gives it its name.
    pub async fn finish(mut self) -> std::io::Result<Summary> {
        self.buffer.push(END);
        self.buffer.extend_from_slice(&self.keys.to_le_bytes());
        self.flush().await?;
        let checksum = self.hash.clone().finalize();
        self.buffer.extend_from_slice(&checksum);
        self.flush().await?;
        self.file.flush().await?;
        self.file.sync_all().await?;
        tokio::fs::rename(&self.temporary, &self.path).await?;
        self.finished = true;
        let dir = self.path.parent().filter(|dir| !dir.as_os_str().is_empty());
        File::open(dir.unwrap_or(Path::new(".")))
            .await?
            .sync_all()
            .await?;
        Ok(Summary {
            keys: self.keys,
            bytes: self.bytes,
            sha256: hex(&self.hash.clone().finalize()),
        })
    }

    fn part(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        let length = u32::try_from(bytes.len())
            .ok()
            .filter(|length| *length <= PART_MAX)
            .ok_or_else(|| std::io::Error::other("a key or value is larger than 1 GB"))?;
        self.buffer.extend_from_slice(&length.to_le_bytes());
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }
}

/// Reads a file from front to end.
pub(super) struct Reader {
    file: BufReader<File>,
    hash: Sha256,
    bytes: u64,
    keys: u64,
    /// What the file says of itself.
    pub header: Header,
}

impl Reader {
    /// Opens a file and reads its header.
    ///
    /// # Errors
    /// In words: cannot be read, is not such a file, is cut.
    pub async fn open(path: &Path) -> Result<Self, String> {
        let file = File::open(path)
            .await
            .map_err(|error| format!("cannot be read: {error}"))?;
        let mut reader = Self {
            file: BufReader::with_capacity(256 << 10, file),
            hash: Sha256::new(),
            bytes: 0,
            keys: 0,
            header: Header {
                run_id: String::new(),
                redis_version: String::new(),
                db: 0,
                pattern: None,
            },
        };
        let magic = reader.take(MAGIC.len() as u64).await;
        if magic.as_deref() != Ok(MAGIC) {
            return Err("is not a backup of `redis.backup` that this version can read".into());
        }
        let json = reader.part().await?;
        reader.header =
            serde_json::from_slice(&json).map_err(|_| "is damaged: its header is not readable")?;
        Ok(reader)
    }

    /// The next key; `None` after the last one, when count and checksum fit.
    pub async fn next(&mut self) -> Result<Option<Record>, String> {
        let tag = self.take(1).await?;
        match tag.first() {
            Some(&KEY) => {}
            Some(&END) => return self.end().await.map(|()| None),
            _ => return Err("is damaged: a record begins with an unknown byte".into()),
        }
        let key = self.part().await?;
        let ttl = self.take(8).await?;
        let ttl_ms = i64::from_le_bytes(ttl.try_into().map_err(|_| "is damaged")?);
        let payload = self.part().await?;
        self.keys += 1;
        Ok(Some(Record {
            key,
            ttl_ms,
            payload,
        }))
    }

    async fn end(&mut self) -> Result<(), String> {
        let count = self.take(8).await?;
        let count = u64::from_le_bytes(count.try_into().map_err(|_| "is damaged")?);
        let found = self.hash.clone().finalize();
        let wanted = self.take(32).await?;
        if wanted[..] != found[..] {
            return Err("is damaged: its checksum does not fit".into());
        }
        if count != self.keys {
            return Err(format!(
                "is damaged: it announces {count} keys and holds {}",
                self.keys
            ));
        }
        let mut more = [0];
        match self.file.read(&mut more).await {
            Ok(0) => Ok(()),
            Ok(_) => Err("is damaged: there is something after its end".into()),
            Err(error) => Err(format!("cannot be read: {error}")),
        }
    }

    async fn part(&mut self) -> Result<Vec<u8>, String> {
        let length = self.take(4).await?;
        let length = u32::from_le_bytes(length.try_into().map_err(|_| "is damaged")?);
        if length > PART_MAX {
            return Err("is damaged: a length is out of range".into());
        }
        self.take(u64::from(length)).await
    }

    async fn take(&mut self, length: u64) -> Result<Vec<u8>, String> {
        // grows with what is really there, whatever a damaged length says
        let mut bytes = Vec::new();
        (&mut self.file)
            .take(length)
            .read_to_end(&mut bytes)
            .await
            .map_err(|error| format!("cannot be read: {error}"))?;
        if (bytes.len() as u64) < length {
            return Err("is damaged: it ends too early".into());
        }
        self.hash.update(&bytes);
        self.bytes += length;
        Ok(bytes)
    }

    fn summary(self) -> Summary {
        Summary {
            keys: self.keys,
            bytes: self.bytes,
            sha256: hex(&self.hash.finalize()),
        }
    }
}

/// Reads a file to its end and checks all of it.
///
/// # Errors
/// In words, to follow the file's name.
pub(super) async fn verify(path: &Path) -> Result<(Header, Summary), String> {
    let mut reader = Reader::open(path).await?;
    while reader.next().await?.is_some() {}
    Ok((reader.header.clone(), reader.summary()))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn sample(path: &Path) -> Summary {
        let header = Header {
            run_id: "r".into(),
            redis_version: "7.0.15".into(),
            db: 3,
            pattern: None,
        };
        let mut writer = Writer::create(path, &header).await.unwrap();
        for n in 0..3_u8 {
            writer
                .add(&Record {
                    key: vec![n, 0xff],
                    ttl_ms: -1,
                    payload: vec![n; 9],
                })
                .unwrap();
        }
        writer.finish().await.unwrap()
    }

    #[tokio::test]
    async fn what_is_written_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("d");
        let written = sample(&path).await;
        let (header, read) = verify(&path).await.unwrap();
        assert_eq!((header.db, read.keys), (3, 3));
        assert_eq!(written, read);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        let whole = Sha256::digest(std::fs::read(&path).unwrap());
        assert_eq!(written.sha256, hex(&whole));
    }

    #[tokio::test]
    async fn every_damaged_byte_and_every_cut_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("d");
        sample(&path).await;
        let good = std::fs::read(&path).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            std::fs::write(&path, &bad).unwrap();
            assert!(verify(&path).await.is_err(), "byte {at}");
            std::fs::write(&path, &good[..at]).unwrap();
            assert!(verify(&path).await.is_err(), "cut at {at}");
        }
        std::fs::write(&path, [good.as_slice(), b"x"].concat()).unwrap();
        assert!(verify(&path).await.is_err());
    }

    #[tokio::test]
    async fn what_is_given_up_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let header = Header {
            run_id: String::new(),
            redis_version: String::new(),
            db: 0,
            pattern: None,
        };
        let writer = Writer::create(&dir.path().join("d"), &header)
            .await
            .unwrap();
        drop(writer);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}

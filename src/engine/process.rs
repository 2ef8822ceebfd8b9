//! The process that carries runs out: what it is to be before the first step, for itself and for what
//! it starts. [`prepare`] is the one function; it changes the whole process and is called once, before
//! there are threads.

use std::fs;
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd, RawFd};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SigSet, SigmaskHow, pthread_sigmask};
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, recvmsg,
    sendmsg, socketpair,
};
use nix::sys::stat::{Mode, umask};

/// Prepares this process for carrying out runs:
///
/// - files are made for their owner only, by ferry and by steps, unless a mode is given;
/// - no signal is blocked, whatever the parent did;
/// - no core dump, and no other process of the user may look into this one, because it holds secrets;
/// - what loses its parent below this process becomes its child, to be found and ended;
/// - descriptors that were inherited beside 0, 1 and 2 stay open, and do not reach any step.
///
/// # Errors
/// When the system refuses one of these.
pub fn prepare() -> io::Result<()> {
    umask(Mode::from_bits_truncate(0o077));
    pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)?;
    let (_, hard) = getrlimit(Resource::RLIMIT_CORE)?;
    setrlimit(Resource::RLIMIT_CORE, 0, hard)?;
    keep_to_itself()?;
    for fd in inherited() {
        // one that cannot be moved stays where it is: closing it could let go of a caller's lock
        let _ = shelter(fd);
    }
    Ok(())
}

#[cfg(target_os = "linux")]
fn keep_to_itself() -> io::Result<()> {
    nix::sys::prctl::set_dumpable(false)?;
    nix::sys::prctl::set_child_subreaper(true)?;
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn keep_to_itself() -> io::Result<()> {
    Ok(())
}

/// Descriptors above 2 that a child would get: what Rust opens is closed by `exec`, so these came
/// from the parent. A step lock of a ferry around this one is meant to be inherited.
fn inherited() -> Vec<RawFd> {
    let Ok(entries) = fs::read_dir("/proc/self/fd") else {
        return Vec::new();
    };
    let outer = std::env::var_os("FERRY_RUN_DIR")
        .map(|run_dir| crate::action::tree::directory(run_dir.as_ref()));
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<RawFd>().ok())
        .filter(|fd| *fd > 2 && passes_exec(*fd))
        .filter(|fd| {
            let place = fs::read_link(format!("/proc/self/fd/{fd}"));
            !matches!((place, &outer), (Ok(place), Some(outer)) if place.starts_with(outer))
        })
        .collect()
}

fn passes_exec(fd: RawFd) -> bool {
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{fd}")).unwrap_or_default();
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
    let flags = flags.and_then(|flags| i32::from_str_radix(flags.trim(), 8).ok());
    flags.is_some_and(|flags| flags & nix::fcntl::OFlag::O_CLOEXEC.bits() == 0)
}

/// Keeps what is open open under another number that does not pass through `exec`, and gives the old
/// number up. It is sent to this very process, because a number alone can be changed by no safe call.
fn shelter(fd: RawFd) -> io::Result<()> {
    let (here, there) = socketpair(
        AddressFamily::Unix,
        SockType::Stream,
        None,
        SockFlag::SOCK_CLOEXEC,
    )?;
    sendmsg::<()>(
        here.as_raw_fd(),
        &[IoSlice::new(b"f")],
        &[ControlMessage::ScmRights(&[fd])],
        MsgFlags::empty(),
        None,
    )?;
    let mut byte = [0];
    let mut room = nix::cmsg_space!(RawFd);
    let mut data = [IoSliceMut::new(&mut byte)];
    let message = recvmsg::<()>(
        there.as_raw_fd(),
        &mut data,
        Some(&mut room),
        MsgFlags::MSG_CMSG_CLOEXEC,
    )?;
    let came = message
        .cmsgs()?
        .any(|one| matches!(one, ControlMessageOwned::ScmRights(fds) if !fds.is_empty()));
    if came {
        nix::unistd::close(fd)?;
    }
    Ok(())
}

//! Handing open descriptors to another process over a socket, with one byte: unix(7), `SCM_RIGHTS`.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

/// The most that are handed over at once.
const MOST: usize = 8;

/// Hands these over.
///
/// # Errors
/// Nobody is there to take them.
pub fn send(socket: impl AsFd, descriptors: &[OwnedFd]) -> io::Result<()> {
    let descriptors: Vec<BorrowedFd<'_>> = descriptors.iter().map(AsFd::as_fd).collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
    let mut message = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !message.push(SendAncillaryMessage::ScmRights(&descriptors)) {
        return Err(io::Error::other("there are too many descriptors"));
    }
    let sent = sendmsg(
        socket,
        &[IoSlice::new(b"d")],
        &mut message,
        SendFlags::empty(),
    )?;
    if sent == 1 {
        return Ok(());
    }
    Err(io::ErrorKind::WriteZero.into())
}

/// What is taken must not reach a job. Where the kernel can't see to that at once, nothing is ever handed over.
#[cfg(target_os = "linux")]
const CLOSED_AT_EXEC: RecvFlags = RecvFlags::CMSG_CLOEXEC;
#[cfg(not(target_os = "linux"))]
const CLOSED_AT_EXEC: RecvFlags = RecvFlags::empty();

/// Takes what [`send`] has handed over, and nothing that comes after it.
///
/// # Errors
/// The other side is gone.
pub fn receive(socket: impl AsFd) -> io::Result<Vec<OwnedFd>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
    let mut message = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    let received = recvmsg(
        socket,
        &mut [IoSliceMut::new(&mut byte)],
        &mut message,
        CLOSED_AT_EXEC,
    )?;
    if received.bytes != 1 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let mut all = Vec::new();
    for part in message.drain() {
        if let RecvAncillaryMessage::ScmRights(descriptors) = part {
            all.extend(descriptors);
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{Read, Seek, Write};
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn what_is_handed_over_is_open_on_the_other_side_and_what_follows_is_left_there() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"text").unwrap();
        send(&theirs, &[file.try_clone().unwrap().into()]).unwrap();
        send(&theirs, &[]).unwrap();
        theirs.write_all(b"more").unwrap();
        let mut received = receive(&ours).unwrap();
        let mut other = File::from(received.pop().unwrap());
        other.rewind().unwrap();
        let mut text = String::new();
        other.read_to_string(&mut text).unwrap();
        assert_eq!(text, "text");
        assert!(receive(&ours).unwrap().is_empty());
        drop(theirs);
        text.clear();
        (&ours).read_to_string(&mut text).unwrap();
        assert_eq!(text, "more");
        assert!(receive(&ours).is_err());
    }
}

use mio::net::UnixStream;
use pdw_auth::Opened;

use super::*;

/// A seal that is easy to see through: `length ‖ bytes + 1`; length 0 ends the stream, 0xffff is forged.
#[derive(Debug)]
struct Toy;

impl Sealed for Toy {
    fn seal(&mut self, plain: &[u8], wire: &mut Vec<u8>) -> Result<(), SealError> {
        for piece in plain.chunks(1000) {
            wire.extend_from_slice(&(piece.len() as u16).to_be_bytes());
            wire.extend(piece.iter().map(|byte| byte.wrapping_add(1)));
        }
        Ok(())
    }

    fn open(&mut self, wire: &mut [u8], plain: &mut Vec<u8>) -> Result<Opened, SealError> {
        let mut consumed = 0;
        while let Some(&[high, low]) = wire.get(consumed..consumed + 2) {
            let len = usize::from(u16::from_be_bytes([high, low]));
            if len == 0xffff {
                return Err(SealError::Forged);
            }
            let Some(bytes) = wire.get(consumed + 2..consumed + 2 + len) else { break };
            plain.extend(bytes.iter().map(|byte| byte.wrapping_sub(1)));
            consumed += 2 + len;
            if len == 0 {
                return Ok(Opened { consumed, end: true });
            }
        }
        Ok(Opened { consumed, end: false })
    }

    fn close(&mut self, wire: &mut Vec<u8>) -> Result<(), SealError> {
        wire.extend_from_slice(&[0, 0]);
        Ok(())
    }

    fn ended(&self, _left: &[u8]) -> Result<(), SealError> {
        Err(SealError::Cut)
    }
}

/// A sealed socket, and the bare far end.
fn pair() -> (Wire, Stream, Stream) {
    let (near, far) = UnixStream::pair().unwrap();
    (Wire::new(2, Box::new(Toy), Vec::new(), Vec::new()), Stream::Unix(near), Stream::Unix(far))
}

fn sealed(plain: &[u8]) -> Vec<u8> {
    let mut wire = Vec::new();
    Toy.seal(plain, &mut wire).unwrap();
    wire
}

fn bytes(count: usize) -> Vec<u8> {
    (0..count).map(|n| (n * 7 % 251) as u8).collect()
}

/// Reads as the event loop does: on while there is more of which the kernel will not tell.
fn read_all(wire: &mut Wire, stream: &mut Stream, size: usize) -> Vec<u8> {
    let (mut all, mut buffer, mut scratch) = (Vec::new(), vec![0; size], Scratch::default());
    loop {
        match wire.read(stream, &mut buffer, &mut scratch).unwrap() {
            Some(0) => return all,
            Some(count) => all.extend_from_slice(&buffer[..count]),
            None => {}
        }
        if !wire.has_more() {
            return all;
        }
    }
}

#[test]
fn nothing_is_left_behind_however_little_is_read_at_once_and_whatever_is_cut_where() {
    let plain = bytes(5000);
    let whole = sealed(&plain);
    for size in [1, 7, 999, 1000, 4096, 100_000] {
        for cut in [0, 1, 2, 3, 1001, 1002, 1003, whole.len() - 1] {
            let (mut wire, mut near, mut far) = pair();
            far.send(&whole[..cut]).unwrap();
            let mut read = read_all(&mut wire, &mut near, size);
            far.send(&whole[cut..]).unwrap();
            read.extend(read_all(&mut wire, &mut near, size));
            assert!(read == plain, "{size} {cut}");
            assert_eq!(wire.held(), Buffered::default(), "what is empty has no memory");
        }
    }
}

#[test]
fn what_arrives_while_opened_bytes_wait_to_be_read_is_not_left_to_the_kernel_which_has_told_of_it() {
    let (mut wire, mut near, mut far) = pair();
    let (mut buffer, mut scratch) = ([0; 600], Scratch::default());
    far.send(&sealed(&bytes(1000))).unwrap();
    assert_eq!(wire.read(&mut near, &mut buffer, &mut scratch).unwrap(), Some(600));
    far.send(&sealed(b"meanwhile")).unwrap();
    assert_eq!(wire.read(&mut near, &mut buffer, &mut scratch).unwrap(), Some(400));
    assert!(wire.has_more());
    assert_eq!(read_all(&mut wire, &mut near, 600), b"meanwhile");
}

#[test]
fn what_came_behind_the_handshake_is_read_though_the_kernel_never_tells() {
    let (near, _far) = UnixStream::pair().unwrap();
    let mut wire = Wire::new(2, Box::new(Toy), sealed(b"early"), Vec::new());
    assert!(wire.has_more());
    assert_eq!(read_all(&mut wire, &mut Stream::Unix(near), 64), b"early");
}

#[test]
fn good_bytes_come_before_the_end_and_before_what_is_broken() {
    for (last, broken) in [(&[0, 0][..], false), (&[0xff, 0xff], true)] {
        let (mut wire, mut near, mut far) = pair();
        far.send(&[&sealed(b"good")[..], last].concat()).unwrap();
        let (mut buffer, mut scratch) = ([0; 64], Scratch::default());
        assert_eq!(wire.read(&mut near, &mut buffer, &mut scratch).unwrap(), Some(4));
        assert!(wire.has_more());
        let next = wire.read(&mut near, &mut buffer, &mut scratch);
        assert_eq!(next.is_err(), broken);
        assert_eq!(wire.take_broken(), broken.then_some(SealError::Forged));
    }
    let (mut wire, mut near, far) = pair();
    drop(far);
    wire.read(&mut near, &mut [0; 64], &mut Scratch::default()).unwrap_err();
    assert_eq!(wire.take_broken(), Some(SealError::Cut));
}

/// Writes all of `plain`, reading the far end whenever the socket is full; what the far end got.
fn write_all(plain: &[u8], when: Written) -> Vec<u8> {
    let (mut wire, mut near, mut far) = pair();
    let (mut scratch, mut written, mut got) = (Scratch::default(), 0, Vec::new());
    let mut buffer = vec![0; 50_000];
    while written < plain.len() || wire.has_unsent() {
        let rest = &plain[written..];
        written += wire.write(&mut near, rest, &mut scratch, when).unwrap().unwrap_or(0);
        // An event may have it flushed in between: what is owed is owed nevertheless.
        wire.flush(&mut near).unwrap();
        while let Some(count) = far.receive(&mut buffer).unwrap() {
            got.extend_from_slice(&buffer[..count]);
        }
    }
    assert_eq!(written, plain.len());
    assert_eq!(wire.held(), Buffered::default(), "what is empty has no memory");
    let mut opened = Vec::new();
    Toy.open(&mut got, &mut opened).unwrap();
    opened
}

#[test]
fn every_byte_is_sealed_once_though_the_socket_is_full_again_and_again() {
    let plain = bytes(3_000_000);
    for when in [Written::Sent, Written::Sealed] {
        assert!(write_all(&plain, when) == plain, "{when:?}");
    }
}

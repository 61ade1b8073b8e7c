//! The other end of a stream, which says what it likes: nothing of the library is in it.

use super::kind::Kind;
use super::place::{Folder, PATIENCE, tcp_address};
use crate::transports::fuzzing as transports;
use socket2::{SockRef, Socket};
use std::fs;
use std::io::{ErrorKind, Read};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::thread;
use std::time::{Duration, Instant};

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Wire {
    Ipc,
    Tcp,
    Ws,
}

/// A new address, as the library is told it.
pub fn url(wire: Wire, folder: &Folder) -> String {
    match wire {
        Wire::Ipc => format!("ipc://{}", folder.path("a")),
        Wire::Tcp => format!("tcp://{}", tcp_address()),
        Wire::Ws => format!("ws://{}", tcp_address()),
    }
}

/// Where a dialer of the library looks for a peer.
pub enum Listener {
    Unix(UnixListener, String),
    Tcp(TcpListener),
}

impl Listener {
    pub fn new(url: &str) -> Listener {
        let (scheme, place) = url.split_once("://").expect("an address has a scheme");
        if scheme == "ipc" {
            let listener = UnixListener::bind(place).expect("nobody is at a new path");
            listener.set_nonblocking(true).expect("a listener need not wait");
            Listener::Unix(listener, place.to_owned())
        } else {
            let listener = TcpListener::bind(place).expect("nobody is at a new address");
            listener.set_nonblocking(true).expect("a listener need not wait");
            Listener::Tcp(listener)
        }
    }

    /// The next stream, which comes soon: a dialer has the address.
    pub fn accept(&self) -> Stream {
        let began = Instant::now();
        loop {
            let accepted = match self {
                Listener::Unix(listener, _) => listener.accept().map(|(it, _)| Stream::unix(it)),
                Listener::Tcp(listener) => listener.accept().map(|(it, _)| Stream::tcp(it)),
            };
            match accepted {
                Ok(stream) => return stream,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => panic!("nobody can be accepted: {error}"),
            }
            assert!(began.elapsed() < PATIENCE, "no dialer came");
            thread::sleep(MOMENT);
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Listener::Unix(_, path) = self {
            let _ = fs::remove_file(path);
        }
    }
}

/// One stream; no call on it waits.
pub struct Stream(Socket);

impl Stream {
    pub fn connect(url: &str) -> Stream {
        let (scheme, place) = url.split_once("://").expect("an address has a scheme");
        if scheme == "ipc" {
            Stream::unix(UnixStream::connect(place).expect("a listener is there"))
        } else {
            Stream::tcp(TcpStream::connect(place).expect("a listener is there"))
        }
    }

    fn unix(stream: UnixStream) -> Stream {
        Stream::of(Socket::from(stream))
    }

    fn tcp(stream: TcpStream) -> Stream {
        // Every write is a segment.
        stream.set_nodelay(true).expect("a stream need not gather");
        Stream::of(Socket::from(stream))
    }

    fn of(socket: Socket) -> Stream {
        socket.set_nonblocking(true).expect("a stream need not wait");
        Stream(socket)
    }

    /// As much as there is room for: whoever does not read misses the rest, and what is said to
    /// somebody who has gone is lost.
    pub fn write(&self, bytes: &[u8]) {
        let _ = self.0.send_with_flags(bytes, libc::MSG_NOSIGNAL);
    }

    /// What has arrived; true when that was the end.
    pub fn read(&self, found: &mut Vec<u8>) -> bool {
        let mut buffer = [0; 4096];
        loop {
            match (&self.0).read(&mut buffer) {
                Ok(0) => return true,
                Ok(count) => found.extend(&buffer[..count]),
                Err(error) => return error.kind() != ErrorKind::WouldBlock,
            }
        }
    }

    /// Reads until `is_enough`, or the end. Fails when neither comes.
    pub fn read_until(&self, is_enough: impl Fn(&[u8]) -> bool) -> Vec<u8> {
        let (mut found, began) = (Vec::new(), Instant::now());
        while !self.read(&mut found) && !is_enough(&found) {
            assert!(began.elapsed() < PATIENCE, "a stream neither goes on nor ends");
            thread::sleep(MOMENT);
        }
        found
    }

    pub fn shut(&self) {
        let _ = self.0.shutdown(Shutdown::Write);
    }

    /// Closes so that the peer of a tcp stream sees a reset.
    pub fn reset(self) {
        let _ = SockRef::from(&self.0).set_linger(Some(Duration::ZERO));
    }
}

/// Says first what a good peer of that type would, to a socket of the type `to`.
pub fn greet(stream: &Stream, wire: Wire, side: Side, own: Kind, to: Kind) {
    match (wire, side) {
        (Wire::Ipc | Wire::Tcp, _) => stream.write(&transports::greeting(own.number as u16)),
        (Wire::Ws, Side::Listener) => stream.write(&transports::request(to.name)),
        (Wire::Ws, Side::Dialer) => {
            let request = stream.read_until(|bytes| bytes.ends_with(b"\r\n\r\n"));
            stream.write(&transports::response(&request, own.name));
        }
    }
}

/// On which side of the stream the library is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Side {
    Listener,
    Dialer,
}

/// One whole message, as it lies on the wire.
pub fn message(wire: Wire, side: Side, body: &[u8]) -> Vec<u8> {
    let len = (body.len() as u64).to_be_bytes();
    match wire {
        Wire::Tcp => [&len, body].concat(),
        Wire::Ipc => [&[1], &len[..], body].concat(),
        Wire::Ws => frame(side == Side::Listener, body),
    }
}

/// A frame of RFC 6455 section 5.2, with a mask of zeros where there has to be one.
fn frame(is_masked: bool, body: &[u8]) -> Vec<u8> {
    let mask_bit = if is_masked { 0x80 } else { 0 };
    let mut frame = vec![0x82];
    match body.len() {
        len @ 0..=125 => frame.push(mask_bit | len as u8),
        len => {
            frame.push(mask_bit | 126);
            frame.extend((len as u16).to_be_bytes());
        }
    }
    frame.extend(is_masked.then_some([0; 4]).iter().flatten());
    frame.extend(body);
    frame
}

/// How often to look again at what another thread has to do.
pub const MOMENT: Duration = Duration::from_micros(50);

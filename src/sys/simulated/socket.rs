//! A socket of the kernel, with the names and ways of `socket2`.

use std::io::{self, IoSlice};
use std::net::{IpAddr, Shutdown};
use std::os::fd::{AsRawFd, FromRawFd, RawFd};

use socket2::{Domain, MaybeUninitSlice, SockAddr, TcpKeepalive, Type};

use super::calls::{begin, close, kernel};
use super::faults::{Fault, one_of};
use super::file::File;
use super::kernel::{Event, State};
use super::object::{Id, Kind};
use super::stream::{Phase, Place, Stream, random};
use crate::sync::simulated::scheduler;

#[derive(Debug)]
pub struct Socket(RawFd);

/// A stream socket.
pub fn open(domain: Domain) -> io::Result<Socket> {
    Socket::new(domain, Type::STREAM, None)
}

impl Socket {
    pub fn new(domain: Domain, _type: Type, _protocol: Option<()>) -> io::Result<Socket> {
        begin("socket");
        let made = kernel(|state| {
            if state.fault(|faults| Fault("ENOBUFS or ENOMEM", faults.shortage)) {
                return Err(one_of(&[libc::ENOBUFS, libc::ENOMEM]));
            }
            let stream = Stream::new(domain == Domain::UNIX);
            state.open_fresh(Kind::Stream(Box::new(stream)))
        });
        result("socket", made).map(Socket)
    }

    pub fn bind(&self, address: &SockAddr) -> io::Result<()> {
        begin("bind");
        let bound = kernel(|state| {
            if state.fault(|faults| Fault("bind fails", faults.unbindable)) {
                return Err(one_of(&[libc::EADDRINUSE, libc::ENOMEM, libc::EADDRNOTAVAIL]));
            }
            let (id, stream) = state.stream(self.0)?;
            if stream.phase != Phase::Fresh {
                return Err(libc::EINVAL);
            }
            let place = state.place_to_bind(address)?;
            if let Ok((_, stream)) = state.stream(self.0) {
                (stream.phase, stream.own) = (Phase::Bound, Some(place.clone()));
            }
            state.bound.entry(place).or_default().push(id);
            Ok(())
        });
        result("bind", bound)
    }

    pub fn listen(&self, backlog: i32) -> io::Result<()> {
        begin("listen");
        let listening = kernel(|state| {
            if state.fault(|faults| Fault("listen fails", faults.unbindable)) {
                return Err(libc::EADDRINUSE);
            }
            let (id, stream) = state.stream(self.0)?;
            let place = stream.own.clone().ok_or(libc::EDESTADDRREQ)?;
            if state.is_listened_at(&place, Some(id)) {
                return Err(libc::EADDRINUSE);
            }
            let (_, stream) = state.stream(self.0)?;
            let most = usize::try_from(backlog).unwrap_or_default() + 1;
            stream.phase = Phase::Listening { queue: Default::default(), most };
            Ok(())
        });
        result("listen", listening)
    }

    pub fn connect(&self, address: &SockAddr) -> io::Result<()> {
        begin("connect");
        let connected = kernel(|state| {
            let (id, stream) = state.stream(self.0)?;
            match stream.phase {
                Phase::Fresh | Phase::Bound => {}
                Phase::Connecting => return Err(libc::EALREADY),
                _ => return Err(libc::EISCONN),
            }
            let is_local = stream.is_local;
            let is_unlucky = state.fault(|faults| Fault("connect fails", faults.unreachable));
            if is_local {
                if is_unlucky {
                    return Err(one_of(&[libc::ECONNREFUSED, libc::EAGAIN, libc::EACCES]));
                }
                let place = state.place_to_connect(address)?;
                return state.join(id, &place).inspect(|()| state.call_the_ready());
            }
            if is_unlucky && random(0, 3) == 0 {
                return Err(one_of(&[libc::ENETUNREACH, libc::EADDRNOTAVAIL, libc::EAGAIN]));
            }
            let place = state.place_to_connect(address)?;
            stream_of(state, id).phase = Phase::Connecting;
            let latency = state.machine.latency_max;
            let at = scheduler::now().unwrap_or_default() + random(0, latency);
            if is_unlucky {
                let code = one_of(&[libc::ECONNREFUSED, libc::ETIMEDOUT, libc::EHOSTUNREACH]);
                let late = if code == libc::ETIMEDOUT { random(0, 3_000_000_000) } else { 0 };
                state.schedule(at + late, Event::Refuse { from: id, code });
            } else {
                state.schedule(at, Event::Answer { from: id, place });
            }
            Err(libc::EINPROGRESS)
        });
        result("connect", connected)
    }

    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        begin("getsockopt");
        let code = kernel(|state| {
            let (_, stream) = state.stream(self.0)?;
            Ok(std::mem::take(&mut stream.error))
        });
        let code = result("getsockopt", code)?;
        Ok((code != 0).then(|| io::Error::from_raw_os_error(code)))
    }

    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        begin("shutdown");
        let shut = kernel(|state| {
            let (id, _) = state.stream(self.0)?;
            let shut = state.shut(id, how != Shutdown::Write);
            state.call_the_ready();
            shut
        });
        result("shutdown", shut)
    }

    pub fn local_addr(&self) -> io::Result<SockAddr> {
        let own = kernel(|state| state.stream(self.0).map(|(_, stream)| stream.own.clone()));
        match result("getsockname", own)? {
            Some(Place::Internet(address)) => Ok(SockAddr::from(address)),
            _ => SockAddr::unix(""),
        }
    }

    /// Sizes of buffers are the machine's, options of TCP change nothing here.
    pub fn set_send_buffer_size(&self, _size: usize) -> io::Result<()> {
        Ok(())
    }

    pub fn set_recv_buffer_size(&self, _size: usize) -> io::Result<()> {
        Ok(())
    }

    pub fn set_tcp_nodelay(&self, _is_set: bool) -> io::Result<()> {
        Ok(())
    }

    pub fn tcp_congestion(&self) -> io::Result<Vec<u8>> {
        Ok(b"reno".to_vec())
    }

    pub fn set_tcp_congestion(&self, _name: &[u8]) -> io::Result<()> {
        Ok(())
    }

    /// This machine's TCP makes a packet of every write.
    pub fn set_tcp_cork(&self, _waits: bool) -> io::Result<()> {
        Ok(())
    }

    pub fn set_tcp_keepalive(&self, _probes: &TcpKeepalive) -> io::Result<()> {
        Ok(())
    }

    pub fn set_reuse_address(&self, _is_set: bool) -> io::Result<()> {
        Ok(())
    }
}

/// Takes who waits at a listener.
///
/// # Errors
/// Those of accept4(2).
pub fn accept(socket: &Socket) -> io::Result<(Socket, SockAddr)> {
    begin("accept");
    let accepted = kernel(|state| {
        if state.fault(|faults| Fault("accept fails", faults.unacceptable)) {
            return Err(one_of(&ACCEPT));
        }
        let (_, stream) = state.stream(socket.0)?;
        let Phase::Listening { queue, .. } = &mut stream.phase else {
            return Err(libc::EINVAL);
        };
        let child = *queue.front().ok_or(libc::EAGAIN)?;
        let descriptor = state.open(child, 0)?;
        if let Ok((_, Stream { phase: Phase::Listening { queue, .. }, .. })) =
            state.stream(socket.0)
        {
            queue.pop_front();
        }
        let remote = state.stream_of(child).and_then(|stream| stream.remote);
        Ok((descriptor, remote))
    });
    let (descriptor, remote) = result("accept", accepted)?;
    let address = match remote {
        Some(remote) => SockAddr::from(remote),
        None => SockAddr::unix("")?,
    };
    Ok((Socket(descriptor), address))
}

/// Writes what there is room for.
///
/// # Errors
/// Those of sendmsg(2).
pub fn send(socket: &Socket, parts: &[IoSlice<'_>], _flags: libc::c_int) -> io::Result<usize> {
    begin("sendmsg");
    let parts: Vec<&[u8]> = parts.iter().map(|part| &**part).collect();
    let written = kernel(|state| {
        state.trouble()?;
        let (id, _) = state.stream(socket.0)?;
        let written = state.write_stream(id, &parts);
        state.call_the_ready();
        written
    });
    if let Ok(count) = written {
        scheduler::note("sendmsg", [socket.0.into(), count as i64]);
    }
    result("sendmsg", written)
}

/// Reads what is there.
///
/// # Errors
/// Those of recvmsg(2).
pub fn receive(
    socket: &Socket,
    parts: &mut [MaybeUninitSlice<'_>],
    _flags: libc::c_int,
) -> io::Result<usize> {
    begin("recvmsg");
    let room = parts.iter().map(|part| part.len()).sum();
    let read = kernel(|state| {
        state.trouble()?;
        let (id, _) = state.stream(socket.0)?;
        let read = state.read_stream(id, room);
        state.call_the_ready();
        read
    });
    if let Ok(bytes) = &read {
        scheduler::note("recvmsg", [socket.0.into(), bytes.len() as i64]);
    }
    let bytes = result("recvmsg", read)?;
    let mut rest = bytes.iter();
    for place in parts.iter_mut().flat_map(|part| part.iter_mut()) {
        let Some(byte) = rest.next() else { break };
        place.write(*byte);
    }
    Ok(bytes.len())
}

impl Drop for Socket {
    fn drop(&mut self) {
        close(self.0);
    }
}

impl AsRawFd for Socket {
    fn as_raw_fd(&self) -> RawFd {
        self.0
    }
}

impl FromRawFd for Socket {
    unsafe fn from_raw_fd(descriptor: RawFd) -> Socket {
        Socket(descriptor)
    }
}

impl State {
    /// What reading and writing may fail with while nothing is wrong with the stream.
    fn trouble(&mut self) -> Result<(), i32> {
        if self.fault(|faults| Fault("EAGAIN without need", faults.again)) {
            return Err(libc::EAGAIN);
        }
        if self.fault(|faults| Fault("ENOBUFS or ENOMEM", faults.shortage)) {
            return Err(one_of(&[libc::ENOBUFS, libc::ENOMEM]));
        }
        if self.fault(|faults| Fault("EINTR", faults.interrupted)) {
            return Err(libc::EINTR);
        }
        Ok(())
    }

    fn is_listened_at(&self, place: &Place, except: Option<Id>) -> bool {
        let is_meant = |other: &Place| match (other, place) {
            (Place::Internet(other), Place::Internet(own)) => {
                let is_any = |ip: IpAddr| ip.is_unspecified();
                other.port() == own.port()
                    && (other.ip() == own.ip() || is_any(other.ip()) || is_any(own.ip()))
            }
            (other, own) => other == own,
        };
        let all = self.bound.iter().filter(|(other, _)| is_meant(other)).flat_map(|(_, all)| all);
        all.filter(|id| Some(**id) != except).any(|id| {
            matches!(
                self.objects.get(id).map(|object| &object.kind),
                Some(Kind::Stream(stream)) if matches!(stream.phase, Phase::Listening { .. })
            )
        })
    }

    fn place_to_bind(&mut self, address: &SockAddr) -> Result<Place, i32> {
        if let Some(mut address) = address.as_socket() {
            if address.port() == 0 {
                self.next_port += 1;
                address.set_port(self.next_port);
            }
            let place = Place::Internet(address);
            let is_taken = self.is_listened_at(&place, None);
            return if is_taken { Err(libc::EADDRINUSE) } else { Ok(place) };
        }
        if let Some(name) = address.as_abstract_namespace() {
            let place = Place::Name(name.to_vec());
            let is_taken = self.bound.contains_key(&place);
            return if is_taken { Err(libc::EADDRINUSE) } else { Ok(place) };
        }
        let path = address.as_pathname().ok_or(libc::EINVAL)?.to_owned();
        if self.files.contains_key(&path) {
            return Err(libc::EADDRINUSE);
        }
        let inode = self.make(Kind::Event { count: 0 });
        self.objects.remove(&inode);
        self.files.insert(path, File { inode, is_socket: true });
        Ok(Place::Inode(inode))
    }

    fn place_to_connect(&self, address: &SockAddr) -> Result<Place, i32> {
        if let Some(address) = address.as_socket() {
            return Ok(Place::Internet(address));
        }
        if let Some(name) = address.as_abstract_namespace() {
            return Ok(Place::Name(name.to_vec()));
        }
        let path = address.as_pathname().ok_or(libc::EINVAL)?;
        let file = self.files.get(path).ok_or(libc::ENOENT)?;
        if file.is_socket { Ok(Place::Inode(file.inode)) } else { Err(libc::ECONNREFUSED) }
    }
}

fn stream_of(state: &mut State, id: Id) -> &mut Stream {
    state.stream_of(id).expect("it was there a moment ago")
}

fn result<T>(call: &'static str, result: Result<T, i32>) -> io::Result<T> {
    result.map_err(|code| {
        if code != libc::EAGAIN {
            scheduler::note(call, [-1, code.into()]);
        }
        io::Error::from_raw_os_error(code)
    })
}

/// accept(2): what it may fail with.
const ACCEPT: [i32; 12] = [
    libc::ECONNABORTED,
    libc::EINTR,
    libc::EMFILE,
    libc::ENFILE,
    libc::ENOBUFS,
    libc::ENOMEM,
    libc::EPROTO,
    libc::EPERM,
    libc::ENETDOWN,
    libc::EHOSTUNREACH,
    libc::EAGAIN,
    libc::ENETUNREACH,
];

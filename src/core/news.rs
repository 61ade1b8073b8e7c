//! What connections tell the socket that has adopted them.

use std::sync::Weak;

use crate::protocols::PipeId;
use crate::transports::Adopter;

/// What a pipe needs of its socket: to hear what the connection has to say.
pub trait Audience: Send + Sync {
    fn pipe_readable(&self, id: PipeId);
    fn pipe_writable(&self, id: PipeId);
    /// It never came to life, and goes again.
    fn pipe_withdrawn(&self, id: PipeId);
    /// So many messages that it had taken are thrown away for newer ones.
    fn pipe_displaced(&self, id: PipeId, count: usize);
    /// Its peer is gone. It stays until its last message is received.
    fn pipe_ended(&self, id: PipeId);
    /// Whether a thread waits in the kernel for messages to arrive.
    fn is_waiting(&self) -> bool;
}

/// What a connection calls when it has news for its pipe. Messages inside the process pass here, so
/// that the socket is called by its own type.
pub struct PipeNews<S> {
    pub socket: Weak<S>,
    pub pipe: PipeId,
}

impl<S: Audience> Adopter for PipeNews<S> {
    fn readable(&self) {
        if let Some(socket) = self.socket.upgrade() {
            socket.pipe_readable(self.pipe);
        }
    }

    fn writable(&self) {
        if let Some(socket) = self.socket.upgrade() {
            socket.pipe_writable(self.pipe);
        }
    }

    fn withdrawn(&self) {
        if let Some(socket) = self.socket.upgrade() {
            socket.pipe_withdrawn(self.pipe);
        }
    }

    fn displaced(&self, count: usize) {
        if let Some(socket) = self.socket.upgrade() {
            socket.pipe_displaced(self.pipe, count);
        }
    }

    fn is_awaited(&self) -> bool {
        self.socket.upgrade().is_some_and(|socket| socket.is_waiting())
    }

    fn ended(&self) {
        if let Some(socket) = self.socket.upgrade() {
            socket.pipe_ended(self.pipe);
        }
    }
}

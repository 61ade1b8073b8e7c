//! PUBSUB: a publisher speaks to everybody, a subscriber hears the topics that it asked for.

use std::ffi::c_int;

pub const NN_PROTO_PUBSUB: c_int = 2;

/// Sends each message to all its peers. Cannot receive.
pub const NN_PUB: c_int = NN_PROTO_PUBSUB * 16;

/// Receives the messages that begin with a topic it subscribed to. Cannot send.
pub const NN_SUB: c_int = NN_PROTO_PUBSUB * 16 + 1;

/// The bytes of a topic, at level NN_SUB. The empty topic stands for all messages.
pub const NN_SUB_SUBSCRIBE: c_int = 1;

/// The bytes of a topic that was subscribed to, at level NN_SUB.
pub const NN_SUB_UNSUBSCRIBE: c_int = 2;

//! The figures of all sockets, and figures as text in the format that Prometheus reads.

use std::fmt::Write;

use super::figures::Figure;
use super::registry;
use super::report::{Entry, Level};

/// A figure as the text has it.
struct Known {
    figure: Figure,
    /// Behind a prefix that says what it is of.
    name: &'static str,
    kind: Kind,
    help: &'static str,
    levels: &'static [Level],
}

#[derive(Clone, Copy)]
enum Kind {
    Counter,
    /// A counter that is one of several with one name, told from each other by their causes.
    Cause(&'static str),
    Gauge,
    /// A gauge in seconds of which there are milliseconds.
    Milliseconds,
    /// A number that stands for one of several states.
    State(fn(u64) -> &'static str),
}

/// The figures of every socket, of its endpoints and of its peers, one socket after the other.
/// Those that are closed meanwhile are left out. One that shows a bug is taken out of service.
#[must_use]
pub fn report_all() -> Vec<Entry> {
    let one = |handle| {
        let socket = registry::find(handle).ok()?;
        socket.contain(|| socket.report())?.ok()
    };
    (0..registry::handles_end()).filter_map(one).flatten().collect()
}

/// The figures of sockets, endpoints and peers, as families of metrics.
#[must_use]
pub fn text(entries: &[Entry]) -> String {
    let mut text = String::new();
    for level in [Level::Socket, Level::Endpoint, Level::Peer] {
        let mut last = "";
        for known in KNOWN.iter().filter(|known| known.levels.contains(&level)) {
            if known.name != last {
                begin_family(&mut text, level, known);
                last = known.name;
            }
            for entry in entries.iter().filter(|entry| entry.level == level) {
                write_sample(&mut text, entry, known);
            }
        }
    }
    text
}

fn prefix(level: Level) -> &'static str {
    match level {
        Level::Socket => "spmsg",
        Level::Endpoint => "spmsg_endpoint",
        Level::Peer => "spmsg_peer",
    }
}

fn begin_family(text: &mut String, level: Level, known: &Known) {
    let (prefix, name, help) = (prefix(level), known.name, known.help);
    let kind = match known.kind {
        Kind::Counter | Kind::Cause(_) => "counter",
        Kind::Gauge | Kind::Milliseconds | Kind::State(_) => "gauge",
    };
    // Writing to a string does not fail.
    let _ = write!(text, "# HELP {prefix}_{name} {help}\n# TYPE {prefix}_{name} {kind}\n");
}

fn write_sample(text: &mut String, entry: &Entry, known: &Known) {
    let (socket, endpoint, peer) = (entry.socket, entry.endpoint, entry.peer);
    let (name, type_name) = (escaped(&entry.name), entry.type_name);
    let _ = write!(text, "{}_{}{{socket=\"{socket}\"", prefix(entry.level), known.name);
    let _ = write!(text, ",name=\"{name}\",type=\"{type_name}\"");
    if entry.level != Level::Socket {
        let address = escaped(&entry.address);
        let _ = write!(text, ",endpoint=\"{endpoint}\",address=\"{address}\"");
    }
    if entry.level == Level::Peer {
        let _ = write!(text, ",peer=\"{peer}\"");
    }
    let value = entry.get(known.figure);
    let _ = match known.kind {
        Kind::Counter | Kind::Gauge => writeln!(text, "}} {value}"),
        Kind::Cause(cause) => writeln!(text, ",cause=\"{cause}\"}} {value}"),
        Kind::Milliseconds => writeln!(text, "}} {}.{:03}", value / 1000, value % 1000),
        Kind::State(told) => writeln!(text, ",state=\"{}\"}} 1", told(value)),
    };
}

/// Somebody else's bytes between quotes.
fn escaped(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn reader(value: u64) -> &'static str {
    match value {
        1 => "callers",
        2 => "reactor",
        3 => "everybody",
        _ => "unknown",
    }
}

const fn known(
    figure: Figure,
    name: &'static str,
    kind: Kind,
    levels: &'static [Level],
    help: &'static str,
) -> Known {
    Known { figure, name, kind, help, levels }
}

const fn dropped(figure: Figure, cause: &'static str, levels: &'static [Level]) -> Known {
    let help = "Messages that went nowhere.";
    known(figure, "messages_dropped_total", Kind::Cause(cause), levels, help)
}

const fn refused(figure: Figure, cause: &'static str) -> Known {
    let help = "Peers that did not become connections.";
    known(figure, "peers_refused_total", Kind::Cause(cause), UPPER, help)
}

const SOCKET: &[Level] = &[Level::Socket];
const UPPER: &[Level] = &[Level::Socket, Level::Endpoint];
const ALL: &[Level] = &[Level::Socket, Level::Endpoint, Level::Peer];
const PEER: &[Level] = &[Level::Peer];

/// Those of one name stand together.
const KNOWN: [Known; Figure::COUNT] = [
    known(Figure::MessagesSent, "messages_sent_total", Kind::Counter, ALL, "Messages sent."),
    known(
        Figure::MessagesReceived,
        "messages_received_total",
        Kind::Counter,
        ALL,
        "Messages received.",
    ),
    known(Figure::BytesSent, "sent_bytes_total", Kind::Counter, ALL, "Bytes of messages sent."),
    known(
        Figure::BytesReceived,
        "received_bytes_total",
        Kind::Counter,
        ALL,
        "Bytes of messages received.",
    ),
    known(Figure::Connections, "connections", Kind::Gauge, UPPER, "Connections there are now."),
    known(
        Figure::Connected,
        "connections_total",
        Kind::Counter,
        UPPER,
        "Connections that were made.",
    ),
    known(
        Figure::Reconnected,
        "reconnections_total",
        Kind::Counter,
        UPPER,
        "Connections that were not the first of an endpoint that connects.",
    ),
    known(
        Figure::ConnectErrors,
        "connect_errors_total",
        Kind::Counter,
        UPPER,
        "Attempts that failed.",
    ),
    known(
        Figure::AcceptErrors,
        "accept_errors_total",
        Kind::Counter,
        UPPER,
        "Accepts that failed.",
    ),
    known(
        Figure::Violations,
        "violations_total",
        Kind::Counter,
        UPPER,
        "Connections cut because of what the peer sent.",
    ),
    dropped(Figure::DroppedNoRoom, "no_room", ALL),
    dropped(Figure::DroppedNoMemory, "no_memory", ALL),
    dropped(Figure::DroppedAstray, "astray", SOCKET),
    dropped(Figure::DroppedUnsubscribed, "unsubscribed", ALL),
    dropped(Figure::DroppedHops, "hops", ALL),
    dropped(Figure::DroppedMalformed, "malformed", ALL),
    dropped(Figure::DroppedStale, "stale", ALL),
    dropped(Figure::DroppedTooLarge, "too_large", UPPER),
    refused(Figure::RefusedType, "type"),
    refused(Figure::RefusedViolation, "violation"),
    refused(Figure::RefusedTimeout, "timeout"),
    refused(Figure::RefusedLeft, "left"),
    refused(Figure::RefusedDenied, "denied"),
    refused(Figure::RefusedUnwanted, "unwanted"),
    refused(Figure::RefusedStranger, "stranger"),
    known(
        Figure::SendQueueMessages,
        "send_queue_messages",
        Kind::Gauge,
        ALL,
        "Messages to be written.",
    ),
    known(Figure::SendQueueBytes, "send_queue_bytes", Kind::Gauge, ALL, "Bytes to be written."),
    known(
        Figure::SendQueueMessagesMost,
        "send_queue_max_messages",
        Kind::Gauge,
        ALL,
        "The most messages that a peer had to be written.",
    ),
    known(
        Figure::SendQueueBytesMost,
        "send_queue_max_bytes",
        Kind::Gauge,
        ALL,
        "The most bytes that a peer had to be written.",
    ),
    known(
        Figure::SendQueueOldestMs,
        "send_queue_oldest_seconds",
        Kind::Milliseconds,
        ALL,
        "How long the oldest message to be written has waited.",
    ),
    known(
        Figure::ReceiveQueueMessages,
        "receive_queue_messages",
        Kind::Gauge,
        ALL,
        "Messages to be received, of inproc.",
    ),
    known(
        Figure::ReceiveQueueBytes,
        "receive_queue_bytes",
        Kind::Gauge,
        ALL,
        "Bytes to be received.",
    ),
    known(
        Figure::ReceiveQueueMessagesMost,
        "receive_queue_max_messages",
        Kind::Gauge,
        ALL,
        "The most messages that of a peer were to be received, of inproc.",
    ),
    known(
        Figure::ReceiveQueueBytesMost,
        "receive_queue_max_bytes",
        Kind::Gauge,
        ALL,
        "The most bytes that of a peer were to be received.",
    ),
    known(
        Figure::ReceiveQueueOldestMs,
        "receive_queue_oldest_seconds",
        Kind::Milliseconds,
        ALL,
        "How long the oldest message to be received has waited.",
    ),
    known(Figure::ReadBy, "reader_info", Kind::State(reader), PEER, "Who reads what arrives."),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(level: Level) -> Entry {
        let mut values = [0; Figure::COUNT];
        values[Figure::MessagesSent as usize] = 7;
        values[Figure::DroppedHops as usize] = 2;
        values[Figure::SendQueueOldestMs as usize] = 1234;
        values[Figure::ReadBy as usize] = 2;
        Entry {
            level,
            socket: 3,
            type_name: "pair",
            name: b"my \"own\"\n".to_vec(),
            endpoint: 1,
            peer: 5,
            address: b"ipc://a\\b".to_vec(),
            values,
        }
    }

    #[test]
    fn each_figure_stands_in_its_place() {
        for (at, known) in KNOWN.iter().enumerate() {
            assert_eq!(known.figure as usize, at);
        }
    }

    #[test]
    fn samples_have_the_labels_of_what_they_are_of() {
        let all = [Level::Socket, Level::Endpoint, Level::Peer].map(entry);
        let text = text(&all);
        let socket = "socket=\"3\",name=\"my \\\"own\\\"\\n\",type=\"pair\"";
        let endpoint = format!("{socket},endpoint=\"1\",address=\"ipc://a\\\\b\"");
        for line in [
            format!("spmsg_messages_sent_total{{{socket}}} 7\n"),
            format!("spmsg_endpoint_messages_sent_total{{{endpoint}}} 7\n"),
            format!("spmsg_peer_messages_sent_total{{{endpoint},peer=\"5\"}} 7\n"),
            format!("spmsg_messages_dropped_total{{{socket},cause=\"hops\"}} 2\n"),
            format!("spmsg_send_queue_oldest_seconds{{{socket}}} 1.234\n"),
            format!("spmsg_peer_reader_info{{{endpoint},peer=\"5\",state=\"reactor\"}} 1\n"),
        ] {
            assert!(text.contains(&line), "{line} in {text}");
        }
        // A family has one head, however many samples it has.
        assert_eq!(text.matches("# TYPE spmsg_messages_dropped_total counter\n").count(), 1);
        assert!(!text.contains("spmsg_peer_connections"));
        assert_eq!(super::text(&[]).lines().filter(|line| !line.starts_with('#')).count(), 0);
    }
}

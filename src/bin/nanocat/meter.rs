//! What has happened so far: counted, shown while it happens, and told at the end.

use super::arguments::Options;
use super::format::Format;
use super::input::Input;
use super::library::Socket;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use spmsg::ffi::abi::nn::{
    NN_STAT_ACCEPTED_CONNECTIONS, NN_STAT_BROKEN_CONNECTIONS, NN_STAT_CONNECT_ERRORS,
    NN_STAT_ESTABLISHED_CONNECTIONS,
};
use spmsg::ffi::abi::spmsg::{SPMSG_STAT_MESSAGES_DROPPED, SPMSG_STAT_VIOLATIONS};
use std::ffi::c_int;
use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

pub struct Meter {
    begin: Instant,
    sent: Count,
    received: Count,
    progress: Option<(ProgressBar, Extent)>,
}

/// Whether it is known where it ends.
#[derive(Clone, Copy, PartialEq)]
enum Extent {
    Known,
    Open,
}

#[derive(Default)]
struct Count {
    messages: AtomicU64,
    bytes: AtomicU64,
}

impl Count {
    fn add(&self, bytes: usize) {
        self.messages.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    fn line(&self, what: &str) -> String {
        let (messages, bytes) = (&self.messages, &self.bytes);
        let (messages, bytes) = (messages.load(Ordering::Relaxed), bytes.load(Ordering::Relaxed));
        format!("{what}: {messages} messages, {bytes} bytes\n")
    }
}

impl Meter {
    pub fn new(options: &Options, input: &Input) -> Meter {
        let (sent, received) = (Count::default(), Count::default());
        Meter { begin: Instant::now(), sent, received, progress: progress(options, input) }
    }

    pub fn has_sent(&self, bytes: usize) {
        self.sent.add(bytes);
        self.advance(Extent::Open, 1);
    }

    pub fn has_received(&self, bytes: usize) {
        self.received.add(bytes);
        self.advance(Extent::Open, 1);
    }

    /// So many bytes of the input are done.
    pub fn has_consumed(&self, bytes: usize) {
        self.advance(Extent::Known, bytes as u64);
    }

    pub fn has_sent_any(&self) -> bool {
        self.sent.messages.load(Ordering::Relaxed) > 0
    }

    pub fn has_received_any(&self) -> bool {
        self.received.messages.load(Ordering::Relaxed) > 0
    }

    fn advance(&self, extent: Extent, by: u64) {
        if let Some((bar, _)) = self.progress.as_ref().filter(|(_, shown)| *shown == extent) {
            bar.inc(by);
        }
    }

    /// Takes what is shown off the terminal.
    pub fn clear(&self) {
        if let Some((bar, _)) = &self.progress {
            bar.finish_and_clear();
        }
    }

    /// What `--stats` tells; the socket must still be open.
    pub fn account(&self, socket: Socket) -> String {
        let mut text = self.sent.line("sent") + &self.received.line("received");
        text += &format!("seconds: {:.3}\n", self.begin.elapsed().as_secs_f64());
        for (what, number) in STATISTICS {
            text += &format!("{what}: {}\n", socket.statistic(number));
        }
        text
    }
}

/// Only a terminal shows progress, and not one that shows the messages themselves.
fn progress(options: &Options, input: &Input) -> Option<(ProgressBar, Extent)> {
    let is_shared = options.format != Format::Nothing && io::stdout().is_terminal();
    if !options.report.progress || is_shared || !io::stderr().is_terminal() {
        return None;
    }
    let known = match input {
        Input::Lines(lines) => lines.size,
        Input::Once(_) | Input::Nothing => None,
    };
    let (bar, template, extent) = match known {
        Some(size) => (ProgressBar::new(size), FINITE, Extent::Known),
        None => (ProgressBar::no_length(), ENDLESS, Extent::Open),
    };
    let style = ProgressStyle::with_template(template).ok()?;
    bar.set_draw_target(ProgressDrawTarget::stderr());
    bar.set_style(style);
    bar.enable_steady_tick(TICK);
    Some((bar, extent))
}

pub fn tell(account: &str) {
    // Where nobody can be told, nothing is lost but the telling.
    let _ = io::stderr().write_all(account.as_bytes());
}

const FINITE: &str = "{wide_bar} {bytes}/{total_bytes}, {bytes_per_sec}, {eta} left";
const ENDLESS: &str = "{spinner} {pos} messages, {per_sec}, {elapsed}";
const TICK: Duration = Duration::from_millis(200);

const STATISTICS: [(&str, c_int); 6] = [
    ("dropped messages", SPMSG_STAT_MESSAGES_DROPPED),
    ("connections made", NN_STAT_ESTABLISHED_CONNECTIONS),
    ("connections accepted", NN_STAT_ACCEPTED_CONNECTIONS),
    ("connections broken", NN_STAT_BROKEN_CONNECTIONS),
    ("attempts to connect that failed", NN_STAT_CONNECT_ERRORS),
    ("peers that broke the rules", SPMSG_STAT_VIOLATIONS),
];

//! The fuzz targets as an ordinary test: good inputs and those of `fuzz/corpus`, damaged at random,
//! and noise.
//!
//! Nothing here watches which code an input reaches; the engine of `fuzz/` does, and finds more in
//! hours than this in seconds. But this runs wherever the tests run.
//!
//! `SPMSG_FUZZ_SECONDS` is how long each target runs. An input depends on its seed alone, which is
//! told when a target fails: given as `SPMSG_FUZZ_SEED`, it is the first one to run.

use std::collections::BTreeSet;
use std::collections::hash_map::RandomState;
use std::env;
use std::fs;
use std::hash::BuildHasher;
use std::panic;
use std::path::Path;
use std::str::FromStr;
use std::thread;
use std::time::{Duration, Instant};

use super::mesh::Random;
use crate::fuzzing;
use crate::message::control::Entry;

struct Target {
    /// As its file in `fuzz/fuzz_targets` is named.
    name: &'static str,
    /// Tells how many things it recognised.
    run: fn(&[u8]) -> usize,
    /// Inputs with as many things to recognise.
    samples: fn() -> Vec<(Vec<u8>, usize)>,
}

const TARGETS: &[Target] = &[
    #[cfg(not(miri))]
    Target { name: "connections", run: fuzzing::connections, samples: connections },
    Target { name: "control_data", run: fuzzing::control_data, samples: control_data },
    #[cfg(not(miri))]
    Target { name: "operations", run: fuzzing::operations, samples: operations },
    Target { name: "sp_messages", run: fuzzing::sp_messages, samples: sp_messages },
    #[cfg(feature = "tls-fuzzing")]
    Target { name: TLS_STREAMS, run: fuzzing::tls_streams, samples: tls_streams },
    Target { name: "ws_frames", run: fuzzing::ws_frames, samples: ws_frames },
    Target { name: "ws_request", run: fuzzing::ws_request, samples: ws_request },
    Target { name: "ws_response", run: fuzzing::ws_response, samples: ws_response },
];

/// What encrypts is a part of a test only where somebody asks for it.
const TLS_STREAMS: &str = "tls_streams";
const SECONDS: f64 = 0.2;
const NOISE_MAX: usize = 400;
/// Beyond the size from which a message is received in another way.
const LARGE: usize = if cfg!(miri) { 200 } else { 20_000 };
/// Beyond what two bytes can say.
const HUGE: usize = if cfg!(miri) { 200 } else { 70_000 };
const INPUT_MAX: usize = HUGE + LARGE;

#[test]
fn every_target_bears_damaged_inputs() {
    let seconds = setting("SPMSG_FUZZ_SECONDS").unwrap_or(SECONDS);
    let first = setting("SPMSG_FUZZ_SEED").unwrap_or_else(|| RandomState::new().hash_one(0));
    let time = Duration::from_secs_f64(seconds);
    thread::scope(|scope| {
        for target in TARGETS {
            scope.spawn(move || fuzz(target, first, time));
        }
    });
}

#[test]
fn samples_are_good_inputs() {
    for target in TARGETS {
        for (index, (sample, count)) in (target.samples)().iter().enumerate() {
            assert_eq!((target.run)(sample), *count, "sample {index} of {}", target.name);
        }
    }
}

/// What the engine found, and what was mended after it was found.
#[test]
#[cfg_attr(miri, ignore = "too much to interpret")]
fn what_was_found_is_borne() {
    for target in TARGETS {
        let corpus = corpus(target.name);
        assert!(!corpus.is_empty(), "nothing is kept for {}", target.name);
        for (file, input) in corpus {
            let run = panic::catch_unwind(|| (target.run)(&input));
            assert!(run.is_ok(), "{} fails with {file}", target.name);
        }
    }
}

/// The inputs that are kept for a target, by the names of their files.
fn corpus(name: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
    let files = fs::read_dir(&folder).expect("every target has its folder");
    let mut found: Vec<_> = files
        .map(|file| file.expect("the folder can be listed").path())
        .map(|path| (path.display().to_string(), fs::read(path).expect("an input can be read")))
        .collect();
    found.sort();
    found
}

/// The files, the manifest and the list here name the same targets.
#[test]
#[cfg_attr(miri, ignore = "those with sockets are out of its reach")]
fn no_target_is_forgotten() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let files = fs::read_dir(folder.join("fuzz_targets")).expect("the targets can be listed");
    let files: BTreeSet<String> = files
        .map(|file| file.expect("the targets can be listed").file_name())
        .map(|name| name.to_string_lossy().trim_end_matches(".rs").to_owned())
        .collect();
    let mut names: BTreeSet<String> = TARGETS.iter().map(|target| target.name.to_owned()).collect();
    names.insert(TLS_STREAMS.to_owned());
    assert_eq!(files, names);
    let manifest = fs::read_to_string(folder.join("Cargo.toml")).expect("there is a manifest");
    for name in names {
        assert!(manifest.contains(&format!("path = \"fuzz_targets/{name}.rs\"")), "{name}");
        let file = fs::read_to_string(folder.join(format!("fuzz_targets/{name}.rs")));
        let call = format!("spmsg::fuzzing::{name}(");
        assert!(file.expect("a target is readable text").contains(&call), "{name}");
    }
}

fn setting<T: FromStr>(name: &str) -> Option<T> {
    let text = env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number that fits")))
}

fn fuzz(target: &Target, first: u64, time: Duration) {
    let mut samples: Vec<Vec<u8>> =
        (target.samples)().into_iter().map(|(sample, _)| sample).collect();
    if !cfg!(miri) {
        samples.extend(corpus(target.name).into_iter().map(|(_, input)| input));
    }
    let began = Instant::now();
    let (mut seed, mut count) = (first, 0);
    loop {
        let input = input(&samples, &mut Random::new(seed));
        if panic::catch_unwind(|| (target.run)(&input)).is_err() {
            panic!("{}: SPMSG_FUZZ_SEED={seed} gives {}", target.name, input.escape_ascii());
        }
        count += 1;
        if began.elapsed() >= time {
            break;
        }
        seed = seed.wrapping_add(1);
    }
    println!("{}: {count} inputs from seed {first} on", target.name);
}

fn input(samples: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    if random.below(8) == 0 {
        return (0..random.below(NOISE_MAX)).map(|_| random.next() as u8).collect();
    }
    let mut input = samples[random.below(samples.len())].clone();
    for _ in 0..=random.below(4) {
        damage(&mut input, samples, random);
    }
    input.truncate(INPUT_MAX);
    input
}

fn damage(input: &mut Vec<u8>, samples: &[Vec<u8>], random: &mut Random) {
    // Heads are where the lengths are, so half of all places are near the front.
    let reach = if random.below(2) == 0 { input.len().min(16) } else { input.len() };
    let at = random.below(reach + 1);
    let end = at + random.below(input.len() - at + 1);
    match random.below(8) {
        0 => drop(input.drain(at..end)),
        1 => input.truncate(at),
        2 => input.extend_from_within(at..end),
        3 => {
            let other = &samples[random.below(samples.len())];
            input.truncate(at);
            input.extend(&other[random.below(other.len() + 1)..]);
        }
        4 => input.insert(at, random.next() as u8),
        5 => overwrite(&mut input[at..], &number(random)),
        _ if at < input.len() => input[at] ^= 1 << random.below(8),
        _ => {}
    }
}

fn overwrite(place: &mut [u8], bytes: &[u8]) {
    place.iter_mut().zip(bytes).for_each(|(old, new)| *old = *new);
}

/// A number that lengths go wrong at, of any width and either order of bytes.
fn number(random: &mut Random) -> Vec<u8> {
    let near = 1_u64.checked_shl(random.below(65) as u32).unwrap_or(0);
    let number = near.wrapping_add(random.below(5) as u64).wrapping_sub(2);
    let width = 1 << random.below(4);
    let big_endian = number.to_be_bytes();
    let mut bytes = big_endian[big_endian.len() - width..].to_vec();
    if random.below(2) == 0 {
        bytes.reverse();
    }
    bytes
}

fn control_data() -> Vec<(Vec<u8>, usize)> {
    let entry = |level, kind, data: &[u8]| {
        let chunk = Entry { level, kind, data }.to_chunk().expect("there is memory");
        chunk.as_slice().to_vec()
    };
    let row = [entry(0, 1, b""), entry(-4, 1, b"\x02"), entry(1, 2, b"a longer text")].concat();
    vec![(entry(0, 1, b"12345678"), 1), (row, 3)]
}

const SIZES: [usize; 6] = [0, 1, 125, 126, 150, LARGE];

fn sp_messages() -> Vec<(Vec<u8>, usize)> {
    // The first byte: the lowest bit is the transport, the others the size of a read, less 1.
    let sample = |first: u8, sizes: &[usize]| {
        let mut bytes = vec![first];
        for &size in sizes {
            bytes.extend((first & 1 == 1).then_some(1));
            bytes.extend((size as u64).to_be_bytes());
            bytes.extend((0..size).map(|i| i as u8));
        }
        (bytes, sizes.len())
    };
    let split = [0xfe, 0xff].map(|first| sample(first, &SIZES));
    split.into_iter().chain([sample(0, &SIZES[..5]), sample(3, &[3, 2, 1])]).collect()
}

fn ws_frames() -> Vec<(Vec<u8>, usize)> {
    let mut samples = Vec::new();
    for receiver in [0, 1] {
        let is_masked = receiver == 0;
        let whole = |kind, payload: &[u8]| frame(0x80 | kind, is_masked, payload);
        let sizes = SIZES.map(|size| whole(BINARY, &vec![b'x'; size])).concat();
        samples.push((with_first(0xfe | receiver, &sizes), SIZES.len()));
        let parts = [
            frame(TEXT, is_masked, "gr\u{fc}\u{df}".as_bytes()),
            whole(PING, b"there?"),
            frame(CONTINUATION, is_masked, b""),
            whole(CONTINUATION, b"e"),
            whole(PONG, b""),
            whole(BINARY, b"last"),
            whole(CLOSE, &[0x03, 0xe8, b'b', b'y', b'e']),
        ];
        samples.push((with_first(2 | receiver, &parts.concat()), 2));
        samples.push((with_first(0xfe | receiver, &whole(BINARY, &vec![b'y'; HUGE])), 1));
    }
    samples
}

fn with_first(first: u8, bytes: &[u8]) -> Vec<u8> {
    [&[first], bytes].concat()
}

/// One frame, laid out as in RFC 6455 section 5.2.
fn frame(first: u8, is_masked: bool, payload: &[u8]) -> Vec<u8> {
    let mask_bit = if is_masked { 0x80 } else { 0 };
    let mut frame = vec![first];
    match payload.len() {
        len @ 0..=125 => frame.push(mask_bit | len as u8),
        len @ 126..=0xffff => {
            frame.push(mask_bit | 126);
            frame.extend((len as u16).to_be_bytes());
        }
        len => {
            frame.push(mask_bit | 127);
            frame.extend((len as u64).to_be_bytes());
        }
    }
    if is_masked {
        frame.extend(KEY);
        frame.extend(payload.iter().zip(KEY.iter().cycle()).map(|(byte, key)| byte ^ key));
    } else {
        frame.extend(payload);
    }
    frame
}

const KEY: [u8; 4] = *b"\x9a\x01\xff\x40";
const CONTINUATION: u8 = 0x0;
const TEXT: u8 = 0x1;
const BINARY: u8 = 0x2;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xa;

/// On each transport, side and type of socket: a greeting, messages in pieces, and the end.
#[cfg(not(miri))]
fn connections() -> Vec<(Vec<u8>, usize)> {
    let mut samples = Vec::new();
    for head in 0..120 {
        let [wire, side, kind, domain] = [head % 3, head / 3 % 2, head / 6 % 10, head / 60];
        let mut bytes = [wire, side, kind, domain].to_vec();
        for (step, body) in [(0x80, &b"12345678"[..]), (0x81, b"a question")] {
            bytes.push(step);
            bytes.push(body.len() as u8);
            bytes.extend(body);
            bytes.extend([0xf0, 0xc0, 0xa2, b'm', b'e', 0xd0]);
        }
        // A socket that asks takes answers to its own questions, one that answers takes questions
        // with their header; a raw one that asks takes all that has one.
        let count = match (kind, domain) {
            (1 | 5, _) | (3 | 7, 0) => 0,
            (4 | 8, _) => 1,
            _ => 2,
        };
        samples.push((bytes, count));
    }
    samples
}

/// Two sockets of each type that are joined in the process, and what they say to each other.
#[cfg(not(miri))]
fn operations() -> Vec<(Vec<u8>, usize)> {
    let mut samples = Vec::new();
    for kind in 0..10 {
        let [join, send, recv] = [1, 8, 11];
        // Of two that know topics, one subscribes to all.
        let topic = &[0][..usize::from(kind == 1 || kind == 2)];
        let joined = [join, 0, 0, kind, 0];
        let talk = [send, 0, 0, recv, 1, 0, send, 1, 5, recv, 0, 0];
        // One that only sends or receives does so once here, and so does one that answers.
        let count = match kind {
            0 | 3 | 7 | 9 => 2,
            _ => 1,
        };
        samples.push(([&joined[..], topic, &talk].concat(), count));
    }
    samples
}

/// The key and its answer are those of RFC 6455 section 1.3.
fn ws_request() -> Vec<(Vec<u8>, usize)> {
    let plain = b"GET / HTTP/1.1\r\nHost: localhost:5555\r\nUpgrade: websocket\r\n\
        Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: pair.sp.nanomsg.org\r\n\r\n";
    let rich = b"GET /a/b?c=%20 HTTP/1.1\r\nhost:[::1]\r\nUPGRADE: h2c, WebSocket\r\n\
        Connection: keep-alive, upgrade\r\nOrigin: http://localhost\r\n\
        Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\
        Sec-WebSocket-Key:   dGhlIHNhbXBsZSBub25jZQ==  \r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Protocol: pair.sp.nanomsg.org\r\nCookie: a=b; c=\"d\"\r\n\r\n";
    vec![(plain.to_vec(), 1), (rich.to_vec(), 1), (b"GET / HTTP/1.0\r\n\r\n".to_vec(), 0)]
}

fn ws_response() -> Vec<(Vec<u8>, usize)> {
    let good = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
        Connection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\
        Sec-WebSocket-Protocol: pair.sp.nanomsg.org\r\n\r\n";
    let refusal = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 3\r\n\r\nno\n";
    vec![(good.to_vec(), 1), (refusal.to_vec(), 0)]
}

/// On each side, with each framing and version, greeted before or by the input: messages of both
/// ends, and the end.
#[cfg(feature = "tls-fuzzing")]
fn tls_streams() -> Vec<(Vec<u8>, usize)> {
    let [say, pass_all, hear, write, end] = [0, 3, 4, 5, 12];
    let mut samples = Vec::new();
    for first in 0..32_u8 {
        let [is_client, is_ws, by_itself] = [1, 2, 8].map(|bit| first & bit != 0);
        let step = if first & 4 == 0 { [0, 7] } else { [0x40, 0] };
        let mut bytes = vec![first, step[0], step[1]];
        for _ in 0..if by_itself { 4 } else { 0 } {
            bytes.extend([write, 0, 0, 0, hear, pass_all]);
        }
        for size in [0, 3, 120] {
            let body = vec![b'x'; size];
            let message = if is_ws {
                frame(0x80 | BINARY, !is_client, &body)
            } else {
                [&(size as u64).to_be_bytes()[..], &body].concat()
            };
            bytes.extend([say, message.len() as u8]);
            bytes.extend(message);
        }
        bytes.extend([2, 0, 20, write, 0x80, 0, b'y', hear, pass_all, end]);
        samples.push((bytes, 3));
    }
    // A large message, and a stranger who is none.
    samples.push((vec![4, 0x40, 0, say, 8, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 1, 0xff, 0xff, b'z'], 1));
    samples.push((b"\x08\x40\x00\x0b\x10\x16\x03\x01\x02\x00\x01\x00\x01\xfc".to_vec(), 0));
    samples
}

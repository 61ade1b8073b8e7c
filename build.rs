//! Tells the linker what the shared library is, and, with the feature `headers`, makes the public
//! headers from `src/ffi`.
//!
//! The headers are committed, so that who only builds needs neither that feature nor the crates
//! behind it. They are written only when they differ, so that the source tree may be read-only, and
//! a commit that changes the interface shows what it changes for C.

#![cfg_attr(
    not(feature = "headers"),
    allow(dead_code, unused_imports, reason = "most of this file makes the headers")
)]

#[cfg(feature = "headers")]
use cbindgen::{Builder, Config, Language, Style};
use std::path::Path;
use std::{env, fs};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    choose_system();
    link_shared_library();
    #[cfg(feature = "headers")]
    write_headers();
}

#[cfg(feature = "headers")]
fn write_headers() {
    let root = env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
    println!("cargo::rerun-if-changed=src/ffi");
    for name in HEADERS {
        let folder = if name == OWN { OWN } else { "nanomsg" };
        let path = Path::new(&root).join(format!("include/{folder}/{name}.h"));
        println!("cargo::rerun-if-changed={}", path.display());
        let text = header(&Path::new(&root).join("src/ffi"), name);
        if fs::read_to_string(&path).is_ok_and(|old| old == text) {
            continue;
        }
        fs::write(&path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
}

/// What Linux alone has is used there, unless `RUSTFLAGS="--cfg portable"` asks for what all of them
/// have. It is no feature of the package, because features add to what there is, and may be asked
/// for by anybody; elsewhere nothing has to be asked for.
fn choose_system() {
    if target_os() != "linux" {
        println!("cargo::rustc-cfg=portable");
    }
}

fn target_os() -> String {
    env::var("CARGO_CFG_TARGET_OS").expect("cargo sets it")
}

fn link_shared_library() {
    // What a fuzzer or a sanitizer puts into the code is defined in the program.
    if ["CARGO_CFG_FUZZING", "CARGO_CFG_TSAN"].iter().any(|name| env::var_os(name).is_some()) {
        return;
    }
    if target_os() == "macos" {
        // Programs find it where they are told to look.
        println!("cargo::rustc-cdylib-link-arg=-Wl,-install_name,@rpath/libspmsg.0.dylib");
        return;
    }
    for argument in [
        // What programs that are linked with it will ask for.
        "-soname,libspmsg.so.0",
        // A thread of ours may still be about to leave when the host calls dlclose.
        "-z,nodelete",
        // Nothing is bound only when it is called.
        "-z,relro",
        "-z,now",
    ] {
        println!("cargo::rustc-cdylib-link-arg=-Wl,{argument}");
    }
    if target_os() == "linux" {
        // Nothing is left for the host to provide. Elsewhere the C library leaves it `environ`.
        println!("cargo::rustc-cdylib-link-arg=-Wl,-z,defs");
    }
}

#[cfg(feature = "headers")]
fn header(ffi: &Path, name: &str) -> String {
    let types = ffi.join(format!("abi/{name}.rs"));
    let guard = format!("{}_H_INCLUDED", name.to_uppercase());
    let mut config = Config {
        header: Some(format!("{}\n\n#ifndef {guard}\n#define {guard}\n", purpose(&types))),
        language: Language::C,
        // The includes that cbindgen thinks of by itself; C programs count on exactly those below.
        no_includes: true,
        after_includes: Some(EXTERN_C_BEGIN.to_owned()),
        trailer: Some(EXTERN_C_END.to_owned()),
        ..Config::default()
    };
    let mut builder = Builder::new().with_src(types);
    match name {
        "nn" => {
            config.sys_includes = ["errno.h", "stddef.h", "stdint.h"].map(str::to_owned).to_vec();
            config.after_includes = Some(format!("{NN_EXPORT}{}{EXTERN_C_BEGIN}", system_errors()));
            config.trailer = Some(format!("{CMSG_MACROS}{EXTERN_C_END}"));
            config.style = Style::Tag;
            config.function.prefix = Some("NN_EXPORT".to_owned());
            // Exported for those who know of it, but programs may use the name themselves.
            config.export.exclude = vec!["nn_init".to_owned()];
            for file in FUNCTIONS {
                builder = builder.with_src(ffi.join(format!("{file}.rs")));
            }
        }
        "reqrep" => {
            config.includes = vec!["nn.h".to_owned()];
            config.style = Style::Type;
            config.export.include = vec!["nn_req_handle".to_owned()];
        }
        "ws" => config.includes = vec!["nn.h".to_owned()],
        OWN => {
            config.sys_includes = vec!["nanomsg/nn.h".to_owned()];
            config.after_includes = Some(format!("{SPMSG_EXPORT}{EXTERN_C_BEGIN}"));
            config.style = Style::Tag;
            config.function.prefix = Some("SPMSG_EXPORT".to_owned());
            // No function takes it: it lies in control data.
            config.export.include = vec!["spmsg_credentials".to_owned()];
            builder = builder.with_src(ffi.join("extension.rs")).with_src(ffi.join("figures.rs"));
        }
        _ => {}
    }
    let bindings = builder.with_config(config).generate();
    let mut text = Vec::new();
    bindings.unwrap_or_else(|error| panic!("{name}.h: {error}")).write(&mut text);
    finish(&String::from_utf8(text).expect("the sources are UTF-8"))
}

/// What the header is for, in the words of the file that it is made from.
fn purpose(types: &Path) -> String {
    let source = fs::read_to_string(types).expect("every header has its file");
    let lines = source.lines().map_while(|line| line.strip_prefix("//!"));
    format!("/*{}\n *\n * {DO_NOT_EDIT} */", lines.collect::<Vec<_>>().join("\n *"))
}

/// The last strokes: short comments take one line, what belongs together stands together, values
/// with a sign are in parentheses, and error numbers give way to those of the system.
fn finish(text: &str) -> String {
    let mut text = text.to_owned();
    for indent in ["", "  "] {
        text = text.replace(&format!("/**\n{indent} * "), "/** ");
        text = text.replace(&format!("\n{indent} */"), " */");
    }
    let mut finished = String::new();
    let mut before = "";
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let after = lines.peek().copied().unwrap_or_default();
        let is_between_constants = before.starts_with("#define ") && after.starts_with("#define ");
        if line.is_empty() && (after.is_empty() || is_between_constants) {
            continue;
        }
        match line.strip_prefix("#define ").and_then(|rest| rest.split_once(' ')) {
            Some((name, value)) if name.starts_with('E') => {
                finished += &format!("#ifndef {name}\n#define {name} {value}\n#endif\n");
            }
            Some((name, value)) if value.contains('-') && !value.ends_with([')', '\\']) => {
                finished += &format!("#define {name} ({value})\n");
            }
            _ => finished += &format!("{line}\n"),
        }
        before = line;
    }
    finished
}

/// Numbers from NN_HAUSNUMERO + 1 on for the errors that some system may lack.
fn system_errors() -> String {
    let mut text = String::from("\n/** The numbers of errors that the system does not know. */\n");
    for (name, number) in SYSTEM_ERRORS.split_whitespace().zip(1..) {
        if name == "EISCONN" {
            text += "#ifndef EISCONN\n#define NN_EISCONN_DEFINED\n#endif\n";
        }
        text += &format!("#define {name} (NN_HAUSNUMERO + {number})\n");
    }
    text + "#define EACCESS EACCES\n"
}

const HEADERS: [&str; 14] = [
    "nn", "pair", "pubsub", "reqrep", "pipeline", "survey", "bus", "inproc", "ipc", "tcp", "ws",
    "unix", "winpipe", OWN,
];

/// The header of what the reference does not have, in a folder of the same name.
const OWN: &str = "spmsg";

/// The files with exported functions, in the order in which the header shows them.
const FUNCTIONS: [&str; 10] = [
    "errno",
    "symbols",
    "socket",
    "options",
    "message",
    "transfer",
    "ancillary",
    "poll",
    "device",
    "statistics",
];

const SYSTEM_ERRORS: &str = "
    ENOTSUP EPROTONOSUPPORT ENOBUFS ENETDOWN EADDRINUSE EADDRNOTAVAIL ECONNREFUSED EINPROGRESS
    ENOTSOCK EAFNOSUPPORT EPROTO EAGAIN EBADF EINVAL EMFILE EFAULT EACCES ENETRESET ENETUNREACH
    EHOSTUNREACH ENOTCONN EMSGSIZE ETIMEDOUT ECONNABORTED ECONNRESET ENOPROTOOPT EISCONN
    ESOCKTNOSUPPORT";

const DO_NOT_EDIT: &str = "Generated from src/ffi; changes belong there.";

const EXTERN_C_BEGIN: &str = "
#ifdef __cplusplus
extern \"C\" {
#endif";

const EXTERN_C_END: &str = "
#ifdef __cplusplus
}
#endif

#endif";

/// What stands in front of every function. Windows has to be told whose they are.
const NN_EXPORT: &str = "
#ifndef NN_EXPORT
#if !defined(_WIN32) || defined(NN_STATIC_LIB)
#define NN_EXPORT extern
#elif defined(NN_SHARED_LIB)
#define NN_EXPORT __declspec(dllexport)
#else
#define NN_EXPORT __declspec(dllimport)
#endif
#endif
";

/// The same for our own functions, of which no other system knows.
const SPMSG_EXPORT: &str = "
#ifndef SPMSG_EXPORT
#define SPMSG_EXPORT extern
#endif
";

/// cbindgen knows no macros with arguments.
const CMSG_MACROS: &str = "
/** A length with the padding behind it. */
#define NN_CMSG_ALIGN_(len) \\
  (((size_t)(len) + sizeof(size_t) - 1) / sizeof(size_t) * sizeof(size_t))

/** What an entry with that much data takes in a block of control data. */
#define NN_CMSG_SPACE(len) (NN_CMSG_ALIGN_(len) + sizeof(struct nn_cmsghdr))

/** What such an entry has as its cmsg_len. */
#define NN_CMSG_LEN(len) ((size_t)(len) + sizeof(struct nn_cmsghdr))

/** The data of an entry. */
#define NN_CMSG_DATA(cmsg) ((unsigned char *)((struct nn_cmsghdr *)(cmsg) + 1))

/** The first entry of a message's control data, or NULL. */
#define NN_CMSG_FIRSTHDR(mhdr) \\
  nn_cmsg_nxthdr_((const struct nn_msghdr *)(mhdr), (const struct nn_cmsghdr *)0)

/** The entry behind another one, or NULL. */
#define NN_CMSG_NXTHDR(mhdr, cmsg) \\
  nn_cmsg_nxthdr_((const struct nn_msghdr *)(mhdr), (const struct nn_cmsghdr *)(cmsg))
";

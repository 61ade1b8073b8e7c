SUMMARY = "Scalability protocols with the C interface of libnanomsg"
DESCRIPTION = "Request and reply, publish and subscribe, pipelines, surveys and more, over shared \
memory, Unix sockets, TCP and WebSocket."
HOMEPAGE = "https://spmsg.invalid"
BUGTRACKER = "https://spmsg.invalid"
SECTION = "libs/networking"

LICENSE = "MIT | Apache-2.0"
LIC_FILES_CHKSUM = "file://LICENSE-MIT;md5=bce8ce98ce2d5e95f1379c987e889be4 \
                    file://LICENSE-APACHE;md5=3b83ef96387f14655fc854ddc3c6bd57"

# The archive has its crates beside it, in vendor/: nothing is fetched.
SRC_URI = "https://spmsg.invalid/spmsg-${PV}.tar.gz"
SRC_URI[sha256sum] = ""

inherit cmake cargo_common pkgconfig

DEPENDS += "cargo-native rust-native virtual/${TARGET_PREFIX}rust"

PACKAGECONFIG ??= "nanocat"
PACKAGECONFIG[as-nanomsg] = "-DSPMSG_NAMES=IN_PLACE,-DSPMSG_NAMES=APART,,,,"
PACKAGECONFIG[nanocat] = "-DNN_ENABLE_NANOCAT=ON,-DNN_ENABLE_NANOCAT=OFF"
PACKAGECONFIG[tls] = "-DSPMSG_TLS=ON,-DSPMSG_TLS=OFF,,,,"
PACKAGECONFIG[static] = "-DNN_STATIC_LIB=ON,-DNN_STATIC_LIB=OFF"

EXTRA_OECMAKE = "-DNN_TESTS=OFF -DNN_ENABLE_DOC=ON -DSPMSG_CARGO_TARGET=${RUST_HOST_SYS}"

PACKAGES =+ "${PN}-tools ${PN}-tls ${PN}-nanomsg"
FILES:${PN}-tools = "${bindir}"
# Loaded when an address of tls+tcp or wss is first used.
FILES:${PN}-tls = "${libdir}/libspmsg-tls.so.0 ${libdir}/spmsg/lib/libspmsg-tls.so.0"
FILES:${PN}-nanomsg = "${libdir}/spmsg/lib/libnanomsg.so.5 ${libdir}/spmsg/lib/libnanomsg.so.6 \
    ${libdir}/libnanomsg.so.5 ${libdir}/libnanomsg.so.6"
FILES:${PN}-dev += "${libdir}/spmsg"

BBCLASSEXTEND = "native nativesdk"

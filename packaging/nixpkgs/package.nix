{
  lib,
  stdenv,
  cargo,
  cmake,
  fetchurl,
  rustPlatform,
  rustc,
  # Whether it stands in the place of libnanomsg, for packages that look for that.
  asNanomsg ? false,
  # Whether tls+tcp and wss can be used, by a library that is loaded then.
  withTls ? true,
}:

stdenv.mkDerivation (finalAttrs: {
  pname = "spmsg";
  version = "0.1.0";

  src = fetchurl {
    url = "https://spmsg.invalid/spmsg-${finalAttrs.version}.tar.gz";
    hash = lib.fakeHash;
  };

  cargoDeps = rustPlatform.fetchCargoVendor {
    inherit (finalAttrs) pname version src;
    hash = lib.fakeHash;
  };

  nativeBuildInputs = [
    cargo
    cmake
    rustPlatform.cargoSetupHook
    rustc
  ];

  cmakeFlags = [
    (lib.cmakeBool "NN_TESTS" false)
    (lib.cmakeBool "NN_ENABLE_DOC" true)
    (lib.cmakeBool "SPMSG_TLS" withTls)
    (lib.cmakeFeature "SPMSG_NAMES" (if asNanomsg then "IN_PLACE" else "APART"))
  ];

  meta = {
    description = "Scalability protocols with the C interface of libnanomsg";
    homepage = "https://spmsg.invalid";
    license = with lib.licenses; [
      mit
      asl20
    ];
    mainProgram = "nanocat";
    platforms = lib.platforms.linux;
  };
})

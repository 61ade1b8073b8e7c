"""spmsg for Conan 2: the archive or the shared library, in the place of libnanomsg."""

from conan import ConanFile
from conan.tools.cmake import CMake, CMakeToolchain, cmake_layout
from conan.tools.files import copy, get

import os


class SpmsgConan(ConanFile):
    name = "spmsg"
    version = "0.1.0"
    license = "MIT OR Apache-2.0"
    url = "https://spmsg.invalid"
    description = "Scalability protocols with the C interface of libnanomsg"
    topics = ("messaging", "nanomsg", "sockets")
    package_type = "library"
    provides = "nanomsg"
    settings = "os", "arch", "compiler", "build_type"
    options = {"shared": [True, False], "fPIC": [True, False], "enable_nanocat": [True, False],
               "tls": [True, False]}
    default_options = {"shared": False, "fPIC": True, "enable_nanocat": False, "tls": False}

    def configure(self):
        # The library is Rust, behind an interface of C.
        self.settings.rm_safe("compiler.cppstd")
        self.settings.rm_safe("compiler.libcxx")
        if self.options.shared:
            self.options.rm_safe("fPIC")

    def layout(self):
        cmake_layout(self, src_folder="src")

    def source(self):
        get(self, **self.conan_data["sources"][self.version], strip_root=True)

    def generate(self):
        toolchain = CMakeToolchain(self)
        toolchain.cache_variables["NN_STATIC_LIB"] = not self.options.shared
        toolchain.cache_variables["NN_TESTS"] = False
        toolchain.cache_variables["NN_TOOLS"] = bool(self.options.enable_nanocat)
        toolchain.cache_variables["NN_ENABLE_DOC"] = False
        toolchain.cache_variables["SPMSG_NAMES"] = "IN_PLACE"
        # One file is easier to carry along than two.
        toolchain.cache_variables["SPMSG_TLS"] = "INSIDE" if self.options.tls else "OFF"
        toolchain.generate()

    def build(self):
        cmake = CMake(self)
        cmake.configure()
        cmake.build()

    def package(self):
        for licence in "LICENSE-MIT", "LICENSE-APACHE":
            copy(self, licence, self.source_folder, os.path.join(self.package_folder, "licenses"))
        CMake(self).install()

    def package_info(self):
        self.cpp_info.set_property("cmake_file_name", "nanomsg")
        self.cpp_info.set_property("cmake_target_name", "nanomsg::nanomsg")
        self.cpp_info.set_property("pkg_config_name", "nanomsg")
        self.cpp_info.libs = ["nanomsg"]
        if not self.options.shared:
            self.cpp_info.system_libs = ["pthread", "m", "dl"]

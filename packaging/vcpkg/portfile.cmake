vcpkg_download_distfile(archive
    URLS "https://spmsg.invalid/spmsg-${VERSION}.tar.gz"
    FILENAME "spmsg-${VERSION}.tar.gz"
    SHA512 0)
vcpkg_extract_source_archive(source ARCHIVE "${archive}")

string(COMPARE EQUAL "${VCPKG_LIBRARY_LINKAGE}" "static" static)
vcpkg_check_features(OUT_FEATURE_OPTIONS options
    FEATURES
        tool NN_ENABLE_NANOCAT)
# One file is easier to carry along than two.
set(tls OFF)
if("tls" IN_LIST FEATURES)
    set(tls INSIDE)
endif()

vcpkg_cmake_configure(
    SOURCE_PATH "${source}"
    OPTIONS
        "-DNN_STATIC_LIB=${static}"
        -DNN_TESTS=OFF
        -DNN_TOOLS=OFF
        -DNN_ENABLE_DOC=OFF
        -DSPMSG_NAMES=IN_PLACE
        "-DSPMSG_TLS=${tls}"
        ${options})
vcpkg_cmake_install()
vcpkg_cmake_config_fixup(PACKAGE_NAME spmsg CONFIG_PATH lib/cmake/spmsg DO_NOT_DELETE_PARENT_CONFIG_PATH)
vcpkg_cmake_config_fixup(PACKAGE_NAME nanomsg CONFIG_PATH lib/cmake/nanomsg-1.1.5)
vcpkg_fixup_pkgconfig()
if("tool" IN_LIST FEATURES)
    vcpkg_copy_tools(TOOL_NAMES nanocat AUTO_CLEAN)
endif()
file(REMOVE_RECURSE "${CURRENT_PACKAGES_DIR}/debug/include" "${CURRENT_PACKAGES_DIR}/debug/share")
vcpkg_install_copyright(FILE_LIST "${source}/LICENSE-MIT" "${source}/LICENSE-APACHE")

# What files are called that are loaded, and how they are linked: macOS has its own ways in both.

# spmsg_file(OUT NAME [NUMBER]): the shared library NAME, as programs ask for it that need NUMBER, or
# as the linker does.
function(spmsg_file out name)
    set(number)
    if(ARGC GREATER 2)
        set(number ".${ARGV2}")
    endif()
    if(CMAKE_SYSTEM_NAME STREQUAL "Darwin")
        set(${out} "lib${name}${number}.dylib" PARENT_SCOPE)
    else()
        set(${out} "lib${name}.so${number}" PARENT_SCOPE)
    endif()
endfunction()

# spmsg_whole_archive(TARGET ARCHIVE): all of the archive becomes part of a shared library, which
# shows what exports.map lists. It is the same as build.rs tells of our own library, and why, stands
# there.
function(spmsg_whole_archive target archive)
    set(exports "${PROJECT_SOURCE_DIR}/cmake/exports.map")
    if(NOT CMAKE_SYSTEM_NAME STREQUAL "Darwin")
        target_link_libraries(${target} PRIVATE
            -Wl,--whole-archive "${archive}" -Wl,--no-whole-archive ${SPMSG_PRIVATE_LIBRARIES})
        target_link_options(${target} PRIVATE -Wl,--gc-sections -Wl,-z,nodelete -Wl,-z,defs
            -Wl,-z,relro -Wl,-z,now "-Wl,--version-script=${exports}")
        return()
    endif()
    # Programs find it where they are told to look.
    set_target_properties(${target} PROPERTIES
        BUILD_WITH_INSTALL_NAME_DIR ON INSTALL_NAME_DIR "@rpath")
    file(READ "${exports}" shown)
    string(REGEX MATCHALL "[a-z]+_[*]" shown "${shown}")
    list(TRANSFORM shown PREPEND "_")
    list(JOIN shown "\n" shown)
    file(WRITE "${SPMSG_OUT}/names/exports.list" "${shown}\n")
    target_link_libraries(${target} PRIVATE ${SPMSG_PRIVATE_LIBRARIES})
    target_link_options(${target} PRIVATE "-Wl,-force_load,${archive}" -Wl,-dead_strip
        "-Wl,-exported_symbols_list,${SPMSG_OUT}/names/exports.list")
endfunction()

# Five sixths of what cargo leaves in an archive are debug lines, which whoever links it would take
# over, and what Rust's own compiler would need to link it. Writes IN to OUT without them.
if(CMAKE_SYSTEM_NAME STREQUAL "Darwin")
    # Of a shared library, names that others are to find stay.
    set(SPMSG_STRIP_FLAGS -x)
    set(SPMSG_STRIP_ARCHIVE "${CMAKE_STRIP}" -S -o OUT IN)
else()
    set(SPMSG_STRIP_ARCHIVE "${CMAKE_OBJCOPY}" -D --strip-debug --remove-section=.llvmbc
        --remove-section=.llvmcmd IN OUT)
endif()

spmsg_file(SPMSG_LOADED spmsg 0)
spmsg_file(SPMSG_LINKED spmsg)
spmsg_file(SPMSG_NANOMSG_LINKED nanomsg)
# What stands in programs that are linked with our own library, and what the loader is told by.
if(CMAKE_SYSTEM_NAME STREQUAL "Darwin")
    set(SPMSG_ASKED_FOR "@rpath/${SPMSG_LOADED}")
    set(SPMSG_LOADER_PATH DYLD_LIBRARY_PATH)
    set(SPMSG_PRELOAD DYLD_INSERT_LIBRARIES)
else()
    set(SPMSG_ASKED_FOR "${SPMSG_LOADED}")
    set(SPMSG_LOADER_PATH LD_LIBRARY_PATH)
    set(SPMSG_PRELOAD LD_PRELOAD)
endif()

# The targets that build: the library by cargo, and around it what C programs link with.

set(SPMSG_OUT "${PROJECT_BINARY_DIR}")
if(SPMSG_PREBUILT STREQUAL "NOTHING")
    set(CMAKE_STRIP true)
    list(TRANSFORM SPMSG_NANOMSG_SONAMES PREPEND SPMSG_NAME_ OUTPUT_VARIABLE names)
    foreach(file SPMSG_SHARED_LIBRARY SPMSG_TLS_FILE SPMSG_ARCHIVE SPMSG_TOOL SPMSG_TOP ${names})
        set(${file} "${PROJECT_SOURCE_DIR}/Cargo.toml")
    endforeach()
    return()
elseif(SPMSG_PREBUILT)
    get_filename_component(SPMSG_OUT "${SPMSG_PREBUILT}" ABSOLUTE BASE_DIR "${CMAKE_BINARY_DIR}")
    include("${SPMSG_OUT}/spmsg-built.cmake")
    return()
endif()

if(NOT CMAKE_BUILD_TYPE)
    set(SPMSG_BUILD_TYPE Release)
else()
    set(SPMSG_BUILD_TYPE "${CMAKE_BUILD_TYPE}")
endif()
set(SPMSG_PROFILE release)
set(SPMSG_PROFILE_DIR release)
if(SPMSG_BUILD_TYPE STREQUAL "Debug")
    set(SPMSG_PROFILE dev)
    set(SPMSG_PROFILE_DIR debug)
endif()

include("${CMAKE_CURRENT_LIST_DIR}/cargo.cmake")

set(SPMSG_OUTPUT "${SPMSG_CARGO_DIR}/${SPMSG_TRIPLE}/${SPMSG_PROFILE_DIR}")
if(NOT SPMSG_TRIPLE)
    set(SPMSG_OUTPUT "${SPMSG_CARGO_DIR}/${SPMSG_PROFILE_DIR}")
endif()
set(SPMSG_SHARED_LIBRARY "${SPMSG_OUTPUT}/${SPMSG_LINKED}")
set(SPMSG_ARCHIVE "${SPMSG_OUT}/archive/libspmsg.a")
set(SPMSG_TOOL "")
set(SPMSG_TOP "")
set(build ${SPMSG_CARGO_COMMAND} build --profile ${SPMSG_PROFILE} ${SPMSG_CARGO_FLAGS})
set(tool)
if(NN_ENABLE_NANOCAT)
    set(SPMSG_TOOL "${SPMSG_OUTPUT}/nanocat")
    # First, because this leaves a library with the tool's feature, which is the same under other
    # names of symbols. The one that stays must not depend on whether the tool was wanted.
    set(programs --bin nanocat)
    # Elsewhere nobody answers it.
    if(CMAKE_SYSTEM_NAME STREQUAL "Linux")
        set(SPMSG_TOP "${SPMSG_OUTPUT}/spmsg-top")
        list(APPEND programs --bin spmsg-top)
    endif()
    set(tool COMMAND ${build} ${programs} --features "nanocat,${SPMSG_FEATURES}")
endif()
set(made "${SPMSG_OUTPUT}/libspmsg.a" ${SPMSG_TOOL} ${SPMSG_TOP})
set(linking)
if(SPMSG_SHARED)
    list(APPEND made "${SPMSG_SHARED_LIBRARY}" "${SPMSG_OUTPUT}/${SPMSG_LOADED}")
    # Programs that are linked with it here ask for it under that name.
    set(linking COMMAND ${CMAKE_COMMAND} -E create_symlink
        ${SPMSG_LINKED} "${SPMSG_OUTPUT}/${SPMSG_LOADED}")
endif()

set(SPMSG_TLS_FILE "")
set(tls)
if(SPMSG_TLS_APART)
    string(REGEX REPLACE "^libspmsg" "libspmsg_tls" file "${SPMSG_LINKED}")
    set(SPMSG_TLS_FILE "${SPMSG_OUTPUT}/${file}")
    list(APPEND made "${SPMSG_TLS_FILE}")
    # By itself, because crates that both have must not be built with what the other needs of them.
    set(tls COMMAND ${build} --package spmsg-tls)
endif()

# Cargo knows what has changed.
add_custom_target(spmsg-cargo ALL
    ${tool}
    COMMAND ${build} --lib --features "${SPMSG_FEATURES}"
    ${tls}
    ${linking}
    BYPRODUCTS ${made}
    WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}"
    COMMENT "Building spmsg with cargo"
    USES_TERMINAL VERBATIM)

# With glibc, every compiler adds the unwinder of GCC to a program by itself. One that is made for
# glibc is of no use with musl, and is what a compiler for both has there; Rust brings its own.
set(unwinding)
set(unwinder "${sysroot}/lib/rustlib/${SPMSG_TRIPLE}/lib/self-contained/libunwind.a")
if(NOT SPMSG_SHARED AND SPMSG_TRIPLE MATCHES "musl" AND EXISTS "${unwinder}")
    string(CONCAT add_objects "rm -rf \"$2\" && mkdir \"$2\" && cd \"$2\" && "
        "\"$1\" x \"$3\" && \"$1\" qsD \"$4\" *.o")
    set(unwinding COMMAND sh -c "${add_objects}"
        add "${CMAKE_AR}" "${SPMSG_OUT}/archive/unwinder" "${unwinder}" "${SPMSG_ARCHIVE}")
endif()

list(TRANSFORM SPMSG_STRIP_ARCHIVE REPLACE "^IN$" "${SPMSG_OUTPUT}/libspmsg.a")
list(TRANSFORM SPMSG_STRIP_ARCHIVE REPLACE "^OUT$" "${SPMSG_ARCHIVE}")
add_custom_command(OUTPUT "${SPMSG_ARCHIVE}"
    COMMAND ${CMAKE_COMMAND} -E make_directory "${SPMSG_OUT}/archive"
    COMMAND ${SPMSG_STRIP_ARCHIVE}
    ${unwinding}
    DEPENDS "${SPMSG_OUTPUT}/libspmsg.a" spmsg-cargo
    COMMENT "Stripping libspmsg.a"
    VERBATIM)
add_custom_target(spmsg-archive ALL DEPENDS "${SPMSG_ARCHIVE}")

# spmsg_name(TARGET NUMBER): libnanomsg with that number, a library of its own made of the archive, because
# what a program that is linked with it asks for stands in the library.
function(spmsg_name target number)
    spmsg_file(file nanomsg ${number})
    set(SPMSG_NAME_${number} "${SPMSG_OUT}/names/${number}/${file}" PARENT_SCOPE)
    file(WRITE "${SPMSG_OUT}/names/empty.c" "typedef int spmsg_nothing;\n")
    add_library(${target} SHARED "${SPMSG_OUT}/names/empty.c")
    set_target_properties(${target} PROPERTIES
        OUTPUT_NAME nanomsg VERSION ${number} SOVERSION ${number}
        LIBRARY_OUTPUT_DIRECTORY "$<1:${SPMSG_OUT}/names/${number}>"
        LINK_DEPENDS "${SPMSG_ARCHIVE};${PROJECT_SOURCE_DIR}/cmake/exports.map")
    target_include_directories(${target} INTERFACE "${PROJECT_SOURCE_DIR}/include")
    spmsg_whole_archive(${target} "${SPMSG_ARCHIVE}")
    add_dependencies(${target} spmsg-archive)
    if(NOT SPMSG_IS_TOP OR NOT SPMSG_NAMES)
        set_target_properties(${target} PROPERTIES EXCLUDE_FROM_ALL ON)
    endif()
endfunction()

if(SPMSG_SHARED)
    add_library(spmsg SHARED IMPORTED GLOBAL)
    set_target_properties(spmsg PROPERTIES
        IMPORTED_LOCATION "${SPMSG_SHARED_LIBRARY}" IMPORTED_SONAME "${SPMSG_ASKED_FOR}")
    add_dependencies(spmsg spmsg-cargo)
    set(target nanomsg)
    foreach(number IN LISTS SPMSG_NANOMSG_SONAMES)
        spmsg_name(${target} ${number})
        set(target spmsg-name-of-another-release)
    endforeach()
else()
    add_library(spmsg STATIC IMPORTED GLOBAL)
    set_target_properties(spmsg PROPERTIES
        IMPORTED_LOCATION "${SPMSG_ARCHIVE}"
        INTERFACE_LINK_LIBRARIES "${SPMSG_PRIVATE_LIBRARIES}")
    add_dependencies(spmsg spmsg-archive)
    add_library(nanomsg ALIAS spmsg)
endif()
set_target_properties(spmsg PROPERTIES
    INTERFACE_INCLUDE_DIRECTORIES "${PROJECT_SOURCE_DIR}/include")
add_library(spmsg::spmsg ALIAS spmsg)
if(SPMSG_SHARED)
    add_library(nanomsg::nanomsg ALIAS nanomsg)
else()
    add_library(nanomsg::nanomsg ALIAS spmsg)
endif()

# For SPMSG_PREBUILT.
set(built "")
list(TRANSFORM SPMSG_NANOMSG_SONAMES PREPEND SPMSG_NAME_ OUTPUT_VARIABLE names)
foreach(variable SPMSG_INTERFACE SPMSG_NANOMSG_VERSION SPMSG_NANOMSG_SONAMES
        SPMSG_SHARED SPMSG_SHARED_LIBRARY SPMSG_TLS_FILE SPMSG_ARCHIVE SPMSG_TOOL SPMSG_TOP
        SPMSG_PRIVATE_LIBRARIES CMAKE_STRIP ${names})
    string(APPEND built "set(${variable} \"${${variable}}\")\n")
endforeach()
file(WRITE "${SPMSG_OUT}/spmsg-built.cmake" "${built}")

# What is installed, and where. The Makefile installs with this as well: there is one answer.
#
# Files that lead to others (pkg-config, CMake, with-spmsg) find them from their own place, so that
# an installation can be moved.

include(GNUInstallDirs)

set(headers "${CMAKE_INSTALL_INCLUDEDIR}/spmsg")
set(names "${CMAKE_INSTALL_LIBDIR}/spmsg/lib")
if(SPMSG_NAMES STREQUAL "IN_PLACE")
    set(headers "${CMAKE_INSTALL_INCLUDEDIR}")
    set(names "${CMAKE_INSTALL_LIBDIR}")
endif()

# spmsg_full(OUT DIRECTORY): where that will be, without DESTDIR.
function(spmsg_full out directory)
    get_filename_component(full "${directory}" ABSOLUTE BASE_DIR "${CMAKE_INSTALL_PREFIX}")
    set(${out} "${full}" PARENT_SCOPE)
endfunction()

# spmsg_template(TEMPLATE NAME DIRECTORY [VARIABLE DIRECTORY]...): installs it filled in, with the
# ways from its directory to the others.
function(spmsg_template template name directory)
    spmsg_full(from "${directory}")
    while(ARGN)
        list(GET ARGN 0 variable)
        list(GET ARGN 1 to)
        list(REMOVE_AT ARGN 0 1)
        spmsg_full(to "${to}")
        file(RELATIVE_PATH way "${from}" "${to}")
        string(REGEX REPLACE "/$" "" ${variable} "${way}")
    endwhile()
    set(filled "${PROJECT_BINARY_DIR}/filled/${directory}/${name}")
    configure_file("${PROJECT_SOURCE_DIR}/cmake/${template}" "${filled}" @ONLY)
    if(template MATCHES "^with-")
        install(PROGRAMS "${filled}" DESTINATION "${directory}")
    else()
        install(FILES "${filled}" DESTINATION "${directory}")
    endif()
endfunction()

# spmsg_link(NAME TO DIRECTORY): installs a symbolic link.
function(spmsg_link name to directory)
    set(link "${PROJECT_BINARY_DIR}/links/${directory}/${name}")
    get_filename_component(place "${link}" DIRECTORY)
    file(MAKE_DIRECTORY "${place}")
    file(REMOVE "${link}")
    file(CREATE_LINK "${to}" "${link}" SYMBOLIC)
    install(FILES "${link}" DESTINATION "${directory}")
endfunction()

# spmsg_library(FILE NAME DIRECTORY): installs a shared library, for install --strip without its
# debug lines.
function(spmsg_library file name directory)
    install(PROGRAMS "${file}" DESTINATION "${directory}" RENAME "${name}")
    install(CODE "
        if(CMAKE_INSTALL_DO_STRIP)
            get_filename_component(full \"${directory}\" ABSOLUTE
                BASE_DIR \"\${CMAKE_INSTALL_PREFIX}\")
            execute_process(COMMAND \"${CMAKE_STRIP}\" ${SPMSG_STRIP_FLAGS} \"\$ENV{DESTDIR}\${full}/${name}\")
        endif()")
endfunction()

# Installing over the sources would replace them by themselves, or by less.
install(CODE "
    get_filename_component(prefix \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}\" REALPATH)
    get_filename_component(sources \"${PROJECT_SOURCE_DIR}\" REALPATH)
    if(prefix STREQUAL sources)
        message(FATAL_ERROR \"\${CMAKE_INSTALL_PREFIX} holds the sources of spmsg, and cannot be \"
            \"where it is installed as well: choose another prefix, such as \$ENV{HOME}/.local\")
    endif()")

install(DIRECTORY include/nanomsg DESTINATION "${headers}" FILES_MATCHING PATTERN "*.h")
install(DIRECTORY include/spmsg DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}"
    FILES_MATCHING PATTERN "*.h" PATTERN "*.hpp")

if(SPMSG_SHARED)
    spmsg_library("${SPMSG_SHARED_LIBRARY}" ${SPMSG_LOADED} "${CMAKE_INSTALL_LIBDIR}")
    spmsg_link(${SPMSG_LINKED} ${SPMSG_LOADED} "${CMAKE_INSTALL_LIBDIR}")
endif()
if(SPMSG_TLS_FILE)
    string(REGEX REPLACE "^libspmsg" "libspmsg-tls" file "${SPMSG_LOADED}")
    spmsg_library("${SPMSG_TLS_FILE}" "${file}" "${CMAKE_INSTALL_LIBDIR}")
    # Each of our libraries looks for it beside itself.
    if(SPMSG_NAMES STREQUAL "APART")
        spmsg_full(from "${names}")
        spmsg_full(to "${CMAKE_INSTALL_LIBDIR}/${file}")
        file(RELATIVE_PATH way "${from}" "${to}")
        spmsg_link("${file}" "${way}" "${names}")
    endif()
endif()
install(FILES "${SPMSG_ARCHIVE}" DESTINATION "${CMAKE_INSTALL_LIBDIR}" RENAME libspmsg.a)

string(REPLACE ";" " -l" SPMSG_LIBS_PRIVATE "-l${SPMSG_PRIVATE_LIBRARIES}")
set(ways HEADERS "${headers}" INCLUDE "${CMAKE_INSTALL_INCLUDEDIR}" LIB "${CMAKE_INSTALL_LIBDIR}"
    BIN "${CMAKE_INSTALL_BINDIR}" PREFIX .)
spmsg_template(spmsg.pc.in spmsg.pc "${CMAKE_INSTALL_LIBDIR}/pkgconfig" ${ways})
foreach(file spmsg-config spmsg-config-version)
    spmsg_template(${file}.cmake.in ${file}.cmake "${CMAKE_INSTALL_LIBDIR}/cmake/spmsg" ${ways})
endforeach()

if(SPMSG_NAMES)
    if(SPMSG_SHARED)
        foreach(number IN LISTS SPMSG_NANOMSG_SONAMES)
            spmsg_file(file nanomsg ${number})
            spmsg_library("${SPMSG_NAME_${number}}" ${file} "${names}")
        endforeach()
        list(GET SPMSG_NANOMSG_SONAMES 0 number)
        spmsg_file(file nanomsg ${number})
        spmsg_link(${SPMSG_NANOMSG_LINKED} ${file} "${names}")
        spmsg_template(with-spmsg.in with-spmsg "${CMAKE_INSTALL_BINDIR}"
            NAMES "${names}" LIB "${CMAKE_INSTALL_LIBDIR}")
    endif()
    spmsg_full(from "${names}")
    spmsg_full(to "${CMAKE_INSTALL_LIBDIR}/libspmsg.a")
    file(RELATIVE_PATH archive "${from}" "${to}")
    spmsg_link(libnanomsg.a "${archive}" "${names}")
    if(SPMSG_NAMES STREQUAL "APART")
        # With it, the directory is a prefix like any other.
        spmsg_full(from "${CMAKE_INSTALL_LIBDIR}/spmsg")
        spmsg_full(to "${headers}")
        file(RELATIVE_PATH to "${from}" "${to}")
        spmsg_link(include "${to}" "${CMAKE_INSTALL_LIBDIR}/spmsg")
    endif()
    list(APPEND ways LIB "${names}")
    foreach(name nanomsg libnanomsg)
        spmsg_template(nanomsg.pc.in ${name}.pc "${names}/pkgconfig" ${ways})
    endforeach()
    foreach(file nanomsg-config nanomsg-config-version)
        spmsg_template(${file}.cmake.in ${file}.cmake
            "${names}/cmake/nanomsg-${SPMSG_NANOMSG_VERSION}" ${ways})
    endforeach()
endif()

# Under the names of the links it is a socket of that type.
if(SPMSG_TOOL)
    install(PROGRAMS "${SPMSG_TOOL}" DESTINATION "${CMAKE_INSTALL_BINDIR}" RENAME nanocat)
    foreach(type push pull pub sub req rep surveyor respondent bus pair)
        spmsg_link(nn_${type} nanocat "${CMAKE_INSTALL_BINDIR}")
    endforeach()
    if(SPMSG_TOP)
        install(PROGRAMS "${SPMSG_TOP}" DESTINATION "${CMAKE_INSTALL_BINDIR}" RENAME spmsg-top)
    endif()
    if(CMAKE_SYSTEM_NAME STREQUAL "Linux")
        install(DIRECTORY doc/bpftrace DESTINATION "${CMAKE_INSTALL_DATADIR}/spmsg"
            FILES_MATCHING PATTERN "*.bt")
    endif()
endif()

# The pages of programs come with these. One page tells of several functions.
if(NN_ENABLE_DOC)
    set(place "${PROJECT_SOURCE_DIR}/doc/man")
    file(GLOB pages RELATIVE "${place}" "${place}/*.[1-9]")
    foreach(page IN LISTS pages)
        if(page STREQUAL "nanocat.1" AND NOT SPMSG_TOOL
                OR page STREQUAL "spmsg-top.1" AND NOT SPMSG_TOP
                OR page STREQUAL "with-spmsg.1" AND NOT (SPMSG_NAMES AND SPMSG_SHARED))
            continue()
        endif()
        string(REGEX REPLACE ".*\\." "" section "${page}")
        install(FILES "${place}/${page}"
            DESTINATION "${CMAKE_INSTALL_MANDIR}/man${section}")
    endforeach()
    spmsg_link(nn_cmsg_nxthdr_.3 nn_cmsg.3 "${CMAKE_INSTALL_MANDIR}/man3")
endif()

if(NOT TARGET uninstall AND NOT SPMSG_PREBUILT)
    add_custom_target(uninstall
        COMMAND ${CMAKE_COMMAND} "-DBUILD=${PROJECT_BINARY_DIR}"
            -P "${PROJECT_SOURCE_DIR}/cmake/uninstall.cmake"
        COMMENT "Removing what cmake --install installs from here" VERBATIM)
endif()

# The programs that doc/guide explains, compiled strictly, and run on both libraries: patterns.py
# starts them as their comments say, and knows what they print.

add_custom_target(examples)
function(spmsg_example name)
    add_executable(examples-${name} ${ARGN})
    target_link_libraries(examples-${name} PRIVATE program)
    target_compile_options(examples-${name} PRIVATE -Wpedantic -Wshadow -Werror)
    add_dependencies(examples examples-${name})
endfunction()

set(SPMSG_PATTERNS hello reqrep pubsub pipeline survey bus)
foreach(name pair pair-threads device ws-chat ${SPMSG_PATTERNS})
    spmsg_example(${name} examples/${name}.c)
    list(APPEND examples_sources examples/${name}.c)
endforeach()

# For what libnanomsg does not have.
foreach(name activated contexts drops last many tls watch)
    spmsg_example(${name} examples/${name}.c)
endforeach()
if(SPMSG_CXX)
    spmsg_example(wrapper examples/wrapper.cpp)
    set_target_properties(examples-wrapper PROPERTIES CXX_STANDARD 17 CXX_STANDARD_REQUIRED ON)
    list(APPEND SPMSG_PATTERNS wrapper)
endif()

# spmsg_loop(NAME [HEADERS header...] [LIBRARY library FUNCTION function]): the chat in a loop,
# where that can be had, and is made for the same machine.
include(CheckLibraryExists)
function(spmsg_loop name)
    cmake_parse_arguments(loop "" "LIBRARY;FUNCTION" "HEADERS" ${ARGN})
    set(missing "")
    set(includes "")
    if(loop_LIBRARY)
        find_library(SPMSG_LOOP_LIBRARY_${name} ${loop_LIBRARY} DOC "For an example, optional")
        get_filename_component(beside "${SPMSG_LOOP_LIBRARY_${name}}" DIRECTORY)
        if(SPMSG_LOOP_LIBRARY_${name})
            check_library_exists("${SPMSG_LOOP_LIBRARY_${name}}" ${loop_FUNCTION} ""
                SPMSG_LOOP_LINKS_${name})
        endif()
        if(NOT SPMSG_LOOP_LINKS_${name})
            set(missing ${loop_LIBRARY})
        endif()
    endif()
    foreach(header IN LISTS loop_HEADERS)
        # GLib has one that depends on the machine, and lies beside the library.
        find_path(SPMSG_LOOP_${header} ${header} HINTS "${beside}"
            PATH_SUFFIXES glib-2.0 glib-2.0/include DOC "For an example, optional")
        list(APPEND includes "${SPMSG_LOOP_${header}}")
        if(NOT SPMSG_LOOP_${header})
            set(missing ${header})
        endif()
    endforeach()
    if(missing)
        message(STATUS "${missing} was not found: examples/loop-${name} is left out")
        return()
    endif()
    spmsg_example(loop-${name} examples/loop-${name}.c examples/chat.c)
    # Their headers may break rules that ours keep.
    target_include_directories(examples-loop-${name} SYSTEM PRIVATE ${includes})
    if(loop_LIBRARY)
        target_link_libraries(examples-loop-${name} PRIVATE "${SPMSG_LOOP_LIBRARY_${name}}")
    endif()
endfunction()
spmsg_loop(poll)
spmsg_loop(uv HEADERS uv.h LIBRARY uv FUNCTION uv_run)
spmsg_loop(ev HEADERS ev.h LIBRARY ev FUNCTION ev_run)
spmsg_loop(glib HEADERS glib.h glibconfig.h LIBRARY glib-2.0
    FUNCTION g_main_loop_run)
# The watchers of libev and their base share memory, which the macros of its header forget.
if(TARGET examples-loop-ev)
    target_compile_options(examples-loop-ev PRIVATE -Wno-strict-aliasing)
endif()

# They use nothing but the interface of nanomsg, so they compile with its own headers as well.
find_path(NANOMSG_INCLUDE nanomsg/nn.h DOC "The headers of the reference, optional")
if(NANOMSG_INCLUDE)
    add_library(examples-foreign-headers OBJECT ${examples_sources} examples/chat.c)
    target_compile_definitions(examples-foreign-headers PRIVATE _GNU_SOURCE)
    target_compile_options(examples-foreign-headers PRIVATE -Wall -Wextra -Wpedantic -Werror)
    target_include_directories(examples-foreign-headers PRIVATE "${NANOMSG_INCLUDE}")
endif()

find_program(PYTHON3 python3 DOC "The interpreter of Python, optional")
if(PYTHON3)
    foreach(library IN LISTS SPMSG_LIBRARIES_TESTED)
        set(schemes tcp,ipc,ws)
        set(asan "")
        if(library STREQUAL "reference")
            # There, what an ipc peer has not received yet is lost when a program ends.
            set(schemes tcp)
            set(asan ";ASAN_OPTIONS=detect_leaks=0")
        endif()
        set(cases ${SPMSG_PATTERNS} loops)
        if(library STREQUAL "spmsg")
            list(APPEND cases contexts drops last many watch activated)
        endif()
        foreach(case IN LISTS cases)
            add_test(NAME examples/${case}@${library}
                COMMAND "${PYTHON3}" -B "${PROJECT_SOURCE_DIR}/examples/patterns.py"
                    --programs "${PROJECT_BINARY_DIR}" --schemes ${schemes} ${case})
            set_tests_properties(examples/${case}@${library} PROPERTIES TIMEOUT 90
                LABELS "${library};examples" ENVIRONMENT
                "LD_LIBRARY_PATH=${PROJECT_BINARY_DIR}/lib/${library}${asan}")
        endforeach()
    endforeach()
    # Where the library that encrypts was built, and certificates can be made.
    find_program(OPENSSL openssl DOC "What makes certificates, optional")
    if(EXISTS "${SPMSG_TLS_LIBRARY}" AND OPENSSL)
        add_test(NAME examples/tls@spmsg
            COMMAND "${PYTHON3}" -B "${PROJECT_SOURCE_DIR}/examples/patterns.py"
                --programs "${PROJECT_BINARY_DIR}" --schemes tls+tcp,wss tls)
        set_tests_properties(examples/tls@spmsg PROPERTIES TIMEOUT 110 LABELS "spmsg;examples"
            ENVIRONMENT "LD_LIBRARY_PATH=${PROJECT_BINARY_DIR}/lib/spmsg")
    else()
        message(STATUS "${SPMSG_TLS_LIBRARY} or openssl does not exist: examples/tls is left out")
    endif()
else()
    message(STATUS "There is no Python: most examples are not run")
endif()

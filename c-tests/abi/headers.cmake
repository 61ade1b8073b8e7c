# Compiles headers.c for each header alone, and once for all of them together.
#
#   cmake -DCOMPILER=cc -DSTANDARD=c89 -DINCLUDE=../../include -P headers.cmake

get_filename_component(here "${CMAKE_SCRIPT_MODE_FILE}" DIRECTORY)
set(failed 0)

function(compile name)
    execute_process(
        COMMAND "${COMPILER}" ${ARGN} "-std=${STANDARD}" -pedantic -Wall -Wextra -Werror
            -fsyntax-only "-I${INCLUDE}" "-DCONSTANTS=CONSTANTS_${name}" "${here}/headers.c"
        RESULT_VARIABLE result)
    if(NOT result EQUAL 0)
        message("${name} does not compile as ${STANDARD}")
        set(failed 1 PARENT_SCOPE)
    endif()
endfunction()

if(STANDARD MATCHES "\\+\\+")
    set(language -x c++)
else()
    set(language -x c)
endif()

foreach(name nn pair pubsub reqrep pipeline survey bus inproc ipc tcp ws)
    string(TOUPPER "${name}" guard)
    set(definitions "-DINCLUDE=<nanomsg/${name}.h>" "-DGUARD=${guard}_H_INCLUDED")
    if(name MATCHES "^(nn|reqrep|ws)$")
        list(APPEND definitions -DINCLUDES_NN)
    endif()
    compile(${name} ${language} ${definitions})
endforeach()
set(everything)
# Headers of later releases, which release 1.1.5 of the reference has not.
foreach(name unix winpipe)
    if(EXISTS "${INCLUDE}/nanomsg/${name}.h")
        string(TOUPPER "${name}" guard)
        compile(${name} ${language} "-DINCLUDE=<nanomsg/${name}.h>" "-DGUARD=${guard}_H_INCLUDED")
        list(APPEND everything "-DWITH_${guard}")
    endif()
endforeach()
# Our own header, which the reference has not.
if(EXISTS "${INCLUDE}/spmsg/spmsg.h")
    compile(spmsg ${language} "-DINCLUDE=<spmsg/spmsg.h>" -DGUARD=SPMSG_H_INCLUDED -DINCLUDES_NN)
    list(APPEND everything -DWITH_SPMSG)
endif()
compile(all ${language} ${everything})

if(failed)
    message(FATAL_ERROR "headers of ${INCLUDE} do not compile")
endif()

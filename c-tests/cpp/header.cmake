# Compiles the tests of spmsg.hpp in several ways, without warnings: in each standard, with and
# without exceptions, on our headers and on those of libnanomsg.
#
#   cmake -DCOMPILER=c++ -DWRAPPER=include/spmsg/spmsg.hpp "-DSTRICT=-Wall;..." -DTESTS=c-tests
#         [-DHEADERS=include] [-DFOREIGN=directory] -P header.cmake

set(failed 0)
function(compile include standard exceptions)
    execute_process(
        COMMAND "${COMPILER}" "-std=${standard}" ${exceptions} ${STRICT} -Werror -fsyntax-only
            "-I${include}" "-I${TESTS}" -D_GNU_SOURCE -include "${WRAPPER}"
            "${TESTS}/cpp/wrapper.cpp"
        RESULT_VARIABLE result)
    if(NOT result EQUAL 0)
        message("as ${standard} ${exceptions} on ${include} it does not compile")
        set(failed 1 PARENT_SCOPE)
    endif()
endfunction()

if(HEADERS)
    compile("${HEADERS}" c++17 -fexceptions)
    compile("${HEADERS}" c++20 -fno-exceptions)
endif()
if(FOREIGN)
    compile("${FOREIGN}" c++17 -fno-exceptions)
    compile("${FOREIGN}" c++20 -fexceptions)
endif()
if(failed)
    message(FATAL_ERROR "there were warnings or errors")
endif()

# Removes what `cmake --install` puts there, and the directories that are empty then.
#
#   cmake -DBUILD=build [-DPREFIX=prefix] -P cmake/uninstall.cmake
#
# What that is tells an installation into a directory of its own, so that nothing has to be written
# down when it is installed. DESTDIR is respected.

cmake_policy(VERSION 3.16)

set(shadow "${BUILD}/uninstall")
set(destination "$ENV{DESTDIR}")
if(NOT PREFIX)
    file(STRINGS "${BUILD}/CMakeCache.txt" PREFIX REGEX "^CMAKE_INSTALL_PREFIX:" LIMIT_COUNT 1)
    string(REGEX REPLACE "^[^=]*=" "" PREFIX "${PREFIX}")
endif()
file(REMOVE_RECURSE "${shadow}")
set(ENV{DESTDIR} "${shadow}")
execute_process(COMMAND "${CMAKE_COMMAND}" --install "${BUILD}" --prefix "${PREFIX}"
    RESULT_VARIABLE status OUTPUT_QUIET)
if(status)
    message(FATAL_ERROR "It cannot be told what was installed")
endif()

file(GLOB_RECURSE files LIST_DIRECTORIES TRUE RELATIVE "${shadow}" "${shadow}/*")
# Directories come behind what is in them.
list(SORT files)
list(REVERSE files)
foreach(file IN LISTS files)
    set(there "${destination}/${file}")
    if(IS_DIRECTORY "${shadow}/${file}" AND NOT IS_SYMLINK "${shadow}/${file}")
        string(FIND "/${file}/" "${PREFIX}/" at)
        # Those of the system's own prefixes are there whether or not anything is in them.
        if(NOT at EQUAL 0 OR NOT IS_DIRECTORY "${there}" OR NOT destination
                AND file MATCHES "^(usr|usr/local)(/[^/]*|/share/man)?$")
            continue()
        endif()
        file(GLOB left LIST_DIRECTORIES TRUE "${there}/*" "${there}/.*")
        list(FILTER left EXCLUDE REGEX "/\\.\\.?$")
        if(NOT left)
            file(REMOVE_RECURSE "${there}")
        endif()
    elseif(EXISTS "${there}" OR IS_SYMLINK "${there}")
        message(STATUS "Removing ${there}")
        file(REMOVE "${there}")
    endif()
endforeach()
file(REMOVE_RECURSE "${shadow}")

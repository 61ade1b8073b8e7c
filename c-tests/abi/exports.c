/* What the dynamic loader finds in the library under the names that programs ask for. */

#include "support/cases.h"
#include "support/check.h"

#include <nanomsg/nn.h>

#include <dlfcn.h>
#include <stdint.h>

static const char *const functions[] = {
    "nn_allocmsg", "nn_bind", "nn_close", "nn_cmsg_nxthdr_", "nn_connect", "nn_device",
    "nn_errno", "nn_freemsg", "nn_get_statistic", "nn_getsockopt", "nn_poll", "nn_reallocmsg",
    "nn_recv", "nn_recvmsg", "nn_send", "nn_sendmsg", "nn_setsockopt", "nn_shutdown", "nn_socket",
    "nn_strerror", "nn_symbol", "nn_symbol_info", "nn_term",
    /* Undocumented, and called by some all the same. */
    "nn_init",
};

/* Some that the reference exports without meaning to, and some that a Rust library might. */
static const char *const internals[] = {
    "nn_chunk_alloc", "nn_usock_init", "nn_sock_init", "nn_pair_socktype", "nn_transports",
    "SYM_VALUE_NAMES_LEN", "rust_eh_personality", "rust_begin_unwind", "malloc", "main",
};

static void *library;

static void every_function_is_found_by_name(void)
{
    for (size_t i = 0; i < COUNT_OF(functions); i++) {
        Dl_info found;
        void *address = dlsym(library, functions[i]);
        if (!address) {
            FAIL("%s is not exported", functions[i]);
            continue;
        }
        CHECK(dladdr(address, &found) != 0);
        CHECK_STR(found.dli_sname, functions[i]);
    }
}

/* What is linked and what is looked up by name must be the same library. */
static void the_names_lead_to_the_linked_library(void)
{
    CHECK(dlsym(library, "nn_socket") == (void *)(uintptr_t)&nn_socket);
    CHECK(dlsym(RTLD_DEFAULT, "nn_send") == dlsym(library, "nn_send"));
}

/* A host program shares one symbol space with us. */
static void nothing_else_is_exported(void)
{
    Dl_info own, found;
    REQUIRE(dladdr((void *)(uintptr_t)&nn_socket, &own) != 0);
    for (size_t i = 0; i < COUNT_OF(internals); i++) {
        void *address = dlsym(library, internals[i]);
        if (address && dladdr(address, &found) && found.dli_fbase == own.dli_fbase)
            FAIL("%s is exported", internals[i]);
    }
}

int main(void)
{
    test_begin("abi/exports", 25);
    library = dlopen("libspmsg.so.0", RTLD_NOW | RTLD_NOLOAD);
    REQUIRE(library != NULL);
    RUN(every_function_is_found_by_name);
    RUN(the_names_lead_to_the_linked_library);
    RUN(nothing_else_is_exported);
    return test_end();
}

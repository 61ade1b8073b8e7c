/* A host that loads the library, uses it and unloads it, fifty times over, as plug-in hosts do.
 *
 * Not linked with the library, and therefore without the helpers of the other tests. */

#define _GNU_SOURCE

#include <nanomsg/nn.h>
#include <nanomsg/pair.h>

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void *library;

static void give_up(const char *what)
{
    fprintf(stderr, "%s: errno %d, %s\n", what, errno, dlerror());
    exit(1);
}

/* A pointer to data may hold that of a function wherever there is dlsym. */
#define FUNCTION(variable, name) do { \
    void *address_ = dlsym(library, name); \
    if (!address_) \
        give_up(name); \
    memcpy(&variable, &address_, sizeof address_); \
} while (0)

static void use(const char *address)
{
    int (*open_socket)(int, int), (*bind_to)(int, const char *), (*connect_to)(int, const char *);
    int (*send_to)(int, const void *, size_t, int), (*recv_from)(int, void *, size_t, int);
    int (*close_socket)(int);
    char text[8];
    FUNCTION(open_socket, "nn_socket");
    FUNCTION(bind_to, "nn_bind");
    FUNCTION(connect_to, "nn_connect");
    FUNCTION(send_to, "nn_send");
    FUNCTION(recv_from, "nn_recv");
    FUNCTION(close_socket, "nn_close");
    int a = open_socket(AF_SP, NN_PAIR), b = open_socket(AF_SP, NN_PAIR);
    if (a < 0 || b < 0)
        give_up("nn_socket");
    if (bind_to(a, address) < 0 || connect_to(b, address) < 0)
        give_up(address);
    if (send_to(b, "ping", 4, 0) != 4)
        give_up("nn_send");
    if (recv_from(a, text, sizeof text, 0) != 4 || memcmp(text, "ping", 4) != 0)
        give_up("nn_recv");
    if (close_socket(a) != 0 || close_socket(b) != 0)
        give_up("nn_close");
}

int main(void)
{
    char address[64];
    /* An ipc endpoint needs more of the library than inproc does: threads, descriptors. */
    snprintf(address, sizeof address, "ipc:///tmp/spmsg-reload-%d.ipc", (int)getpid());
    alarm(25);
    for (int i = 0; i < 50; i++) {
        library = dlopen("libspmsg.so.0", RTLD_NOW | RTLD_LOCAL);
        if (!library)
            give_up("dlopen");
        use("inproc://reload");
        use(address);
        if (dlclose(library) != 0)
            give_up("dlclose");
    }
    unlink(address + strlen("ipc://"));
    printf("loaded, used and unloaded 50 times\n");
    return 0;
}

/* unix://PATH, which is another name of ipc://PATH, and winpipe://NAME, which is Windows alone
 * (upstream-1.2.5). */

#include "beyond.h"

#include "support/address.h"
#include "support/cases.h"
#include "support/check.h"
#include "support/directory.h"
#include "support/sockets.h"
#include "support/talk.h"

#include <nanomsg/ipc.h>
#include <nanomsg/nn.h>
#include <nanomsg/unix.h>
#include <nanomsg/winpipe.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The same place under the other name. */
static struct url renamed(const struct url *ipc)
{
    struct url url;
    snprintf(url.text, sizeof url.text, "unix://%s", ipc->text + strlen("ipc://"));
    return url;
}

static ino_t file_at(const char *path)
{
    struct stat status;
    return lstat(path, &status) == 0 && S_ISSOCK(status.st_mode) ? status.st_ino : 0;
}

static void the_options_are_those_of_ipc(void)
{
    int s = open_pair(), value = 0;
    size_t size = sizeof value;
    CHECK_EQ(NN_UNIX, NN_IPC);
    CHECK_EQ(NN_WINPIPE, NN_IPC);
    value = 17;
    CHECK_OK(nn_setsockopt(s, NN_UNIX, NN_IPC_OUTBUFSZ, &value, sizeof value));
    value = 0;
    CHECK_OK(nn_getsockopt(s, NN_IPC, NN_IPC_OUTBUFSZ, &value, &size));
    CHECK_EQ(value, 17);
    CHECK_CLOSE(s);
}

/* Whoever binds under one name is found under both. */
static void both_names_lead_to_one_place(void)
{
    for (int turn = 0; turn < 4; turn++) {
        struct url ipc = unique_url("ipc"), local = renamed(&ipc);
        int a = open_pair(), b = open_pair();
        CHECK_OK(nn_bind(a, turn & 1 ? local.text : ipc.text));
        CHECK_NE(file_at(ipc.text + 6), 0);
        CHECK_OK(nn_connect(b, turn & 2 ? local.text : ipc.text));
        CHECK_TALK(a, b);
        CHECK_TALK(b, a);
        CHECK_CLOSE(a, b);
        CHECK_EQ(file_at(ipc.text + 6), 0);
    }
}

static void one_place_is_bound_once(void)
{
    struct url ipc = unique_url("ipc"), local = renamed(&ipc);
    int a = open_pair(), b = open_pair(), c = open_pair();
    CHECK_OK(nn_bind(a, ipc.text));
    CHECK_ERRNO(nn_bind(b, local.text), -1, EADDRINUSE);
    CHECK_OK(nn_connect(c, local.text));
    CHECK_TALK(a, c);
    CHECK_CLOSE(a, b, c);
}

static void paths_have_the_bounds_of_ipc(void)
{
    struct url url;
    int s = open_pair(), peer = open_pair();
    CHECK_ERRNO(nn_bind(s, "unix://"), -1, EINVAL);
    CHECK_ERRNO(nn_connect(s, "unix://"), -1, EINVAL);
    int used = snprintf(url.text, sizeof url.text, "unix://%s/", test_directory());
    size_t longest = strlen("unix://") + 107;
    memset(url.text + used, 'p', longest + 1 - (size_t)used);
    url.text[longest + 1] = 0;
    CHECK_ERRNO(nn_bind(s, url.text), -1, ENAMETOOLONG);
    CHECK_ERRNO(nn_connect(s, url.text), -1, ENAMETOOLONG);
    url.text[longest] = 0;
    CHECK_EQ(nn_bind(s, url.text), 1);
    CHECK_EQ(nn_connect(peer, url.text), 1);
    CHECK_TALK(s, peer);
    CHECK_CLOSE(s, peer);
}

static void a_path_is_taken_byte_for_byte(void)
{
    struct url url;
    snprintf(url.text, sizeof url.text, "unix://%s/caf\303\251 \377;:@", test_directory());
    int a, b;
    open_pairs(&a, &b, url.text);
    CHECK_NE(file_at(url.text + strlen("unix://")), 0);
    CHECK_CLOSE(a, b);
    CHECK_EQ(file_at(url.text + strlen("unix://")), 0);
}

/* A file that was renamed away is left to who renamed it, and a replacement survives. */
static void only_the_own_file_is_removed(void)
{
    struct url ipc = unique_url("ipc"), local = renamed(&ipc);
    char moved[256];
    int a = open_pair(), b = open_pair();
    snprintf(moved, sizeof moved, "%s.moved", ipc.text + 6);
    CHECK_OK(nn_bind(a, local.text));
    CHECK_EQ(rename(ipc.text + 6, moved), 0);
    CHECK_OK(nn_bind(b, local.text));
    ino_t second = file_at(ipc.text + 6);
    CHECK_CLOSE(a);
    CHECK_NE(file_at(moved), 0);
    CHECK_EQ(file_at(ipc.text + 6), second);
    CHECK_CLOSE(b);
    CHECK_EQ(file_at(ipc.text + 6), 0);
    CHECK_EQ(unlink(moved), 0);
}

/* What is told of an endpoint has the name that it was given. */
static void an_endpoint_keeps_its_name(void)
{
    struct url ipc = unique_url("ipc"), local = renamed(&ipc);
    int s = open_pair();
    CHECK_EQ(nn_bind(s, local.text), 1);
    CHECK_STR(address_of(s, 1), local.text);
    CHECK_OK(nn_shutdown(s, 1));
    CHECK_EQ(file_at(ipc.text + 6), 0);
    CHECK_CLOSE(s);
}

static void names_without_a_file_are_those_of_ipc(void)
{
    char name[64];
    int a = open_pair(), b = open_pair();
    snprintf(name, sizeof name, "unix://@spmsg unix %d", (int)getpid());
    CHECK_OK(spmsg_bind(a, name));
    snprintf(name, sizeof name, "ipc://@spmsg unix %d", (int)getpid());
    CHECK_OK(spmsg_connect(b, name));
    CHECK_TALK(a, b);
    CHECK_CLOSE(a, b);
}

static void pipes_of_windows_are_not_here(void)
{
    int s = open_pair();
    CHECK_ERRNO(nn_bind(s, "winpipe://name"), -1, EPROTONOSUPPORT);
    CHECK_ERRNO(nn_connect(s, "winpipe://name"), -1, EPROTONOSUPPORT);
    CHECK_CLOSE(s);
}

int main(void)
{
    test_begin("beyond/unix", 50);
    RUN(the_options_are_those_of_ipc);
    RUN(both_names_lead_to_one_place);
    RUN(one_place_is_bound_once);
    RUN(paths_have_the_bounds_of_ipc);
    RUN(a_path_is_taken_byte_for_byte);
    RUN(only_the_own_file_is_removed);
    RUN(an_endpoint_keeps_its_name);
    RUN(names_without_a_file_are_those_of_ipc);
    RUN(pipes_of_windows_are_not_here);
    return test_end();
}

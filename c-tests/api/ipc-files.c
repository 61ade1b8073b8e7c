/* What ipc does in the file system: the names that it takes, what it replaces, and what it leaves
 * alone. */

#include "support/address.h"
#include "support/cases.h"
#include "support/check.h"
#include "support/clock.h"
#include "support/directory.h"
#include "support/raw-stream.h"
#include "support/sockets.h"

#include <nanomsg/nn.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *path_of(const struct url *url)
{
    return url->text + 6;
}

static int file_type(const char *path)
{
    struct stat status;
    return lstat(path, &status) == 0 ? (int)(status.st_mode & S_IFMT) : 0;
}

/* transports 5: the longest path is what fits a socket address. */
static struct url ipc_url_of_length(size_t length)
{
    struct url url;
    int used = snprintf(url.text, sizeof url.text, "ipc://%s/", test_directory());
    memset(url.text + used, 'p', 6 + length - (size_t)used);
    url.text[6 + length] = 0;
    return url;
}

static void an_ipc_path_may_have_107_bytes(void)
{
    struct url url = ipc_url_of_length(107);
    int a, b;
    open_pairs(&a, &b, url.text);
    CHECK_EQ(file_type(path_of(&url)), S_IFSOCK);
    CHECK_CLOSE(a, b);
    CHECK_EQ(file_type(path_of(&url)), 0);
}

/* core-quirks B-27 */
static void an_ipc_path_of_108_bytes_is_too_long(void)
{
    int s = open_pair();
    for (size_t length = 108; length <= 121; length++) {
        struct url url = ipc_url_of_length(length);
        CHECK_ERRNO(nn_bind(s, url.text), -1, ENAMETOOLONG);
        CHECK_ERRNO(nn_connect(s, url.text), -1, ENAMETOOLONG);
    }
    check_next_id(s, 1);
    CHECK_CLOSE(s);
}

/* transports 5 */
static void an_empty_ipc_path_is_invalid(void)
{
    int s = open_pair();
    CHECK_ERRNO(nn_bind(s, "ipc://"), -1, EINVAL);
    CHECK_ERRNO(nn_connect(s, "ipc://"), -1, EINVAL);
    check_next_id(s, 1);
    CHECK_CLOSE(s);
}

/* transports 5: a name is used as it is, from the current directory, and @ means nothing. */
static void ipc_paths_are_file_names(void)
{
    static const char *const names[] = {"ipc://relative.ipc", "ipc://@name", "ipc://a b;c",
                                        "ipc://./x:y"};
    int start = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    REQUIRE(start >= 0 && chdir(test_directory()) == 0);
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        int a, b;
        open_pairs(&a, &b, names[i]);
        CHECK_EQ(file_type(names[i] + 6), S_IFSOCK);
        CHECK_CLOSE(a, b);
        CHECK_EQ(file_type(names[i] + 6), 0);
    }
    REQUIRE(fchdir(start) == 0);
    close(start);
}

/* transports 5: 0777 minus umask. */
static void the_mode_of_an_ipc_file_follows_the_umask(void)
{
    static const mode_t masks[] = {0, 022, 077, 0133};
    mode_t before = umask(0);
    for (size_t i = 0; i < COUNT_OF(masks); i++) {
        struct url url = unique_url("ipc");
        struct stat status;
        int s = open_pair();
        umask(masks[i]);
        CHECK_OK(nn_bind(s, url.text));
        CHECK_EQ(stat(path_of(&url), &status), 0);
        CHECK_EQ(status.st_mode & 0777, 0777 & ~masks[i]);
        CHECK_CLOSE(s);
    }
    umask(before);
}

/* transports 5 */
static void an_ipc_path_in_a_missing_directory_is_not_found(void)
{
    struct url url;
    int s = open_pair();
    snprintf(url.text, sizeof url.text, "ipc://%s/missing/x.ipc", test_directory());
    CHECK_ERRNO(nn_bind(s, url.text), -1, ENOENT);
    CHECK_EQ(nn_connect(s, url.text), 1);
    CHECK_CLOSE(s);
}

/* transports 5, reliability P4 */
static void a_stale_ipc_socket_is_replaced(void)
{
    struct url url = unique_url("ipc");
    int a, b;
    close(raw_listen(url.text));
    CHECK_EQ(file_type(path_of(&url)), S_IFSOCK);
    open_pairs(&a, &b, url.text);
    CHECK_CLOSE(a, b);
}

/* transports 5: even when the one who listens is too busy to accept. */
static void a_live_ipc_socket_is_left_alone(void)
{
    struct url url = unique_url("ipc");
    struct sockaddr_storage address;
    socklen_t size = raw_address(url.text, &address);
    int listener = raw_listen(url.text), s = open_pair(), full[64], count = 0, connected = 0;
    CHECK_ERRNO(nn_bind(s, url.text), -1, EADDRINUSE);
    CHECK_EQ(file_type(path_of(&url)), S_IFSOCK);
    CHECK_EQ(listen(listener, 0), 0);
    while (connected == 0 && count < 64) {
        full[count] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        connected = connect(full[count++], (struct sockaddr *)&address, size);
    }
    CHECK_EQ(connected, -1);
    CHECK_EQ(errno, EAGAIN);
    CHECK_ERRNO(nn_bind(s, url.text), -1, EADDRINUSE);
    CHECK_EQ(file_type(path_of(&url)), S_IFSOCK);
    while (count > 0)
        close(full[--count]);
    close(listener);
    CHECK_CLOSE(s);
}

/* core-quirks B-28a, reliability P4 */
static void a_regular_file_is_left_alone(void)
{
    struct url url = unique_url("ipc");
    char text[8] = "";
    int s = open_pair();
    FILE *file = fopen(path_of(&url), "w");
    REQUIRE(file != NULL);
    fputs("data", file);
    fclose(file);
    CHECK_ERRNO(nn_bind(s, url.text), -1, EADDRINUSE);
    CHECK_CLOSE(s);
    file = fopen(path_of(&url), "r");
    REQUIRE(file != NULL);
    CHECK_EQ(fread(text, 1, sizeof text, file), 4);
    fclose(file);
    CHECK_STR(text, "data");
}

/* core-quirks B-28 */
static void a_directory_is_left_alone(void)
{
    struct url url = unique_url("ipc");
    int s = open_pair();
    REQUIRE(mkdir(path_of(&url), 0700) == 0);
    CHECK_ERRNO(nn_bind(s, url.text), -1, EADDRINUSE);
    CHECK_EQ(file_type(path_of(&url)), S_IFDIR);
    CHECK_CLOSE(s);
}

/* reliability P4 */
static void a_fifo_and_a_symbolic_link_are_left_alone(void)
{
    struct url fifo = unique_url("ipc"), dangling = unique_url("ipc"), stale = unique_url("ipc"),
               to_stale = unique_url("ipc");
    int s = open_pair();
    REQUIRE(mkfifo(path_of(&fifo), 0600) == 0);
    REQUIRE(symlink("no-such-file", path_of(&dangling)) == 0);
    close(raw_listen(stale.text));
    REQUIRE(symlink(path_of(&stale), path_of(&to_stale)) == 0);
    CHECK_ERRNO(nn_bind(s, fifo.text), -1, EADDRINUSE);
    CHECK_EQ(file_type(path_of(&fifo)), S_IFIFO);
    CHECK_ERRNO(nn_bind(s, dangling.text), -1, EADDRINUSE);
    CHECK_EQ(file_type(path_of(&dangling)), S_IFLNK);
    CHECK_ERRNO(nn_bind(s, to_stale.text), -1, EADDRINUSE);
    CHECK_EQ(file_type(path_of(&to_stale)), S_IFLNK);
    CHECK_EQ(file_type(path_of(&stale)), S_IFSOCK);
    CHECK_CLOSE(s);
}

/* transports 5 */
static void the_ipc_file_is_removed_at_the_end(void)
{
    struct url url = unique_url("ipc");
    int s = open_pair();
    CHECK_OK(nn_bind(s, url.text));
    CHECK_EQ(file_type(path_of(&url)), S_IFSOCK);
    CHECK_EQ(nn_shutdown(s, 1), 0);
    CHECK(wait_until(file_type(path_of(&url)) == 0, PATIENCE_MS));
    CHECK_OK(nn_bind(s, url.text));
    CHECK_EQ(file_type(path_of(&url)), S_IFSOCK);
    CHECK_CLOSE(s);
    CHECK_EQ(file_type(path_of(&url)), 0);
    s = open_pair();
    CHECK_OK(nn_bind(s, url.text));
    CHECK_EQ(unlink(path_of(&url)), 0);
    CHECK_CLOSE(s);
}

/* transports 5, reliability P4: only what is ours is removed. */
static void a_file_that_took_the_place_is_not_removed(void)
{
    struct url url = unique_url("ipc");
    int s = open_pair();
    CHECK_OK(nn_bind(s, url.text));
    CHECK_EQ(unlink(path_of(&url)), 0);
    int other = raw_listen(url.text);
    CHECK_CLOSE(s);
    CHECK_EQ(file_type(path_of(&url)), S_IFSOCK);
    close(raw_connect(url.text));
    close(other);
}

/* A program may lock its directory to be the only one, and that concerns nobody else. Fifty binds
 * take a few milliseconds, and a wait for the lock would take longer in each of them. */
static void a_lock_on_the_directory_delays_no_bind(void)
{
    enum { BINDS = 50, MS_MAX = 1500 };
    int directory = open(test_directory(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    REQUIRE(directory >= 0 && flock(directory, LOCK_EX | LOCK_NB) == 0);
    int64_t start = now_ms();
    for (int i = 0; i < BINDS; i++) {
        int s = bound_pair(unique_url("ipc").text);
        CHECK_CLOSE(s);
    }
    CHECK_AT_MOST(now_ms() - start, MS_MAX);
    close(directory);
}

int main(void)
{
    test_begin("api/ipc-files", 28);
    RUN(an_ipc_path_may_have_107_bytes);
    RUN(an_ipc_path_of_108_bytes_is_too_long);
    RUN(an_empty_ipc_path_is_invalid);
    RUN(ipc_paths_are_file_names);
    RUN(the_mode_of_an_ipc_file_follows_the_umask);
    RUN(an_ipc_path_in_a_missing_directory_is_not_found);
    RUN(a_stale_ipc_socket_is_replaced);
    RUN(a_live_ipc_socket_is_left_alone);
    RUN(a_regular_file_is_left_alone);
    RUN(a_directory_is_left_alone);
    RUN(a_lock_on_the_directory_delays_no_bind);
    RUN(a_fifo_and_a_symbolic_link_are_left_alone);
    RUN(the_ipc_file_is_removed_at_the_end);
    RUN(a_file_that_took_the_place_is_not_removed);
    return test_end();
}

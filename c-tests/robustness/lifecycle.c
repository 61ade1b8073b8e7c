/* Opening, talking and closing thousands of times; loading and unloading; leaving by exit() in the
 * middle of everything; forking. Nothing is left over, and everything ends.
 *
 *   lifecycle inproc|ipc|tcp|ws|tls+tcp|wss [EFFORT [SEED]]      effort 10 makes 20000 cycles */

#include "support/address.h"
#include "support/cases.h"
#include "support/check.h"
#include "support/clock.h"
#include "support/credentials.h"
#include "support/directory.h"
#include "support/process.h"
#include "support/resources.h"
#include "support/sockets.h"
#include "support/talk.h"
#include "support/thread.h"
#include "support/trial.h"

#include <nanomsg/nn.h>
#include <nanomsg/pair.h>

#include <dlfcn.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CYCLES = 2000, WARM_UP = 200, GROWTH_KB = 1024 };

/* ---- cycles ---- */

static void talk_once(int a, int b)
{
    CHECK_EQ(nn_send(a, "ping", 4, 0), 4);
    CHECK_RECV(b, "ping");
    CHECK_EQ(nn_send(b, "pong", 4, 0), 4);
    CHECK_RECV(a, "pong");
}

static void cycle(const char *url, int number)
{
    int a = open_quick(), b = open_quick();
    CHECK_OK(nn_bind(a, url));
    int id = nn_connect(b, url);
    CHECK_OK(id);
    talk_once(a, b);
    if (number % 8 == 0) {
        get_int(a, NN_SOL_SOCKET, NN_RCVFD);
        get_int(b, NN_SOL_SOCKET, NN_SNDFD);
    }
    if (number % 4 == 0)
        CHECK_EQ(nn_shutdown(b, id), 0);
    CHECK_CLOSE(number % 2 ? a : b, number % 2 ? b : a);
}

static void cycles_leave_nothing(void)
{
    struct url url = unique_url(trial.scheme);
    for (int i = 0; i < WARM_UP; i++)
        cycle(url.text, i);
    struct belongings before = belongings();
    long memory = resident_kb();
    for (int i = 0; i < CYCLES * trial.effort && !case_failed(); i++)
        cycle(url.text, i);
    printf("%d cycles, %ld KB more\n", CYCLES * trial.effort, resident_kb() - memory);
    check_nothing_left(before);
    check_memory_flat(memory, GROWTH_KB);
}

/* A socket may get descriptors when it first sleeps in front of its streams, and keep them until it
 * is closed. Whether a conversation ever makes it sleep is a matter of luck. */
static void sleep_once(int s)
{
    char byte;
    set_int(s, NN_RCVTIMEO, 1);
    CHECK_ERRNO(nn_recv(s, &byte, 1, 0), -1, ETIMEDOUT);
    set_int(s, NN_RCVTIMEO, PATIENCE_MS);
}

/* Endpoints come and go under sockets that stay. */
static void endpoint_cycles_leave_nothing(void)
{
    struct url url = unique_url(trial.scheme);
    int a = open_quick(), b = open_quick(), descriptors = 0;
    long memory = 0;
    CHECK_OK(nn_bind(a, url.text));
    for (int i = 0; i < WARM_UP + CYCLES * trial.effort / 4; i++) {
        int id = nn_connect(b, url.text);
        CHECK_OK(id);
        talk_once(b, a);
        if (i == WARM_UP) {
            sleep_once(a);
            sleep_once(b);
        }
        CHECK_EQ(nn_shutdown(b, id), 0);
        CHECK(wait_stat(a, NN_STAT_CURRENT_CONNECTIONS, 0, PATIENCE_MS));
        if (i == WARM_UP) {
            memory = resident_kb();
            descriptors = count_descriptors();
        }
    }
    CHECK(wait_until(count_descriptors() <= descriptors, PATIENCE_MS));
    check_memory_flat(memory, GROWTH_KB);
    CHECK_CLOSE(b, a);
}

/* A peer is connected to nobody, or closed before it is connected. */
static void lonely_cycles_leave_nothing(void)
{
    struct url url = unique_url(trial.scheme);
    struct belongings before = belongings();
    long memory = 0;
    for (int i = 0; i < WARM_UP + CYCLES * trial.effort / 4; i++) {
        int s = open_quick();
        CHECK_OK(nn_connect(s, url.text));
        if (i % 3 == 0)
            CHECK_OK(nn_bind(s, url.text));
        CHECK_CLOSE(s);
        if (i == WARM_UP) {
            before = belongings();
            memory = resident_kb();
        }
    }
    check_nothing_left(before);
    check_memory_flat(memory, GROWTH_KB);
}

/* ---- leaving ---- */

static void *block_forever(void *argument)
{
    static const char body[200000];
    int *call = argument;
    char byte;
    while (nn_recv(call[0], &byte, 1, 0) >= 0 && !call[1])
        continue;
    while (call[1] && nn_send(call[0], body, sizeof body, 0) >= 0)
        continue;
    return NULL;
}

static int leave_while_blocked(void *argument)
{
    /* The threads outlive this function. */
    static struct thread receiver, sender;
    static int receives[2], sends[2] = {0, 1};
    struct url *url = argument;
    int a = open_quick(), b = open_quick(), lonely = open_quick();
    int minus_one = -1;
    nn_setsockopt(lonely, NN_SOL_SOCKET, NN_RCVTIMEO, &minus_one, sizeof minus_one);
    nn_setsockopt(a, NN_SOL_SOCKET, NN_SNDTIMEO, &minus_one, sizeof minus_one);
    set_int(a, NN_LINGER, 100);
    CHECK_OK(nn_bind(a, url->text));
    CHECK_OK(nn_connect(b, url->text));
    CHECK_TALK(a, b);
    receives[0] = lonely;
    sends[0] = a;
    thread_start(&receiver, block_forever, receives);
    thread_start(&sender, block_forever, sends);
    /* The sender first needs a message to get past its receive. */
    CHECK_SEND(b, "go");
    CHECK(thread_asleep(&receiver));
    CHECK(thread_asleep(&sender));
    return 7;
}

static void exit_ends_a_process_with_blocked_threads(void)
{
    for (int i = 0; i < 3; i++) {
        struct url url = unique_url(trial.scheme);
        struct child child;
        child_start(&child, leave_while_blocked, &url);
        CHECK_EQ(child_wait(&child, PATIENCE_MS), 7);
        if (is_ipc(url.text))
            unlink(url.text + 6);
    }
}

/* ---- loading ---- */

struct loaded {
    int (*socket)(int, int);
    int (*setsockopt)(int, int, int, const void *, size_t);
    int (*bind)(int, const char *);
    int (*connect)(int, const char *);
    int (*send)(int, const void *, size_t, int);
    int (*recv)(int, void *, size_t, int);
    int (*close)(int);
};

static void *symbol(void *library, const char *name)
{
    void *address = dlsym(library, name);
    REQUIRE(address != NULL);
    return address;
}

static void use_loaded(void *library, const char *url)
{
    char body[8];
    struct loaded nn;
    *(void **)&nn.socket = symbol(library, "nn_socket");
    *(void **)&nn.setsockopt = symbol(library, "nn_setsockopt");
    *(void **)&nn.bind = symbol(library, "nn_bind");
    *(void **)&nn.connect = symbol(library, "nn_connect");
    *(void **)&nn.send = symbol(library, "nn_send");
    *(void **)&nn.recv = symbol(library, "nn_recv");
    *(void **)&nn.close = symbol(library, "nn_close");
    int a = nn.socket(AF_SP, NN_PAIR), b = nn.socket(AF_SP, NN_PAIR);
    CHECK(dress_by(nn.setsockopt, a) && dress_by(nn.setsockopt, b));
    CHECK_OK(nn.bind(a, url));
    CHECK_OK(nn.connect(b, url));
    CHECK_EQ(nn.send(b, "loaded", 6, 0), 6);
    CHECK_EQ(nn.recv(a, body, sizeof body, 0), 6);
    CHECK_EQ(nn.close(a), 0);
    CHECK_EQ(nn.close(b), 0);
}

/* A second copy under another name, because the program itself is linked with the first. */
static int load_fifty_times(void *argument)
{
    struct url *url = argument;
    Dl_info library;
    char copy[512], command[2048];
    REQUIRE(dladdr((void *)(uintptr_t)&nn_socket, &library) != 0);
    snprintf(copy, sizeof copy, "%s/copy.so", test_directory());
    snprintf(command, sizeof command, "cp '%s' '%s'", library.dli_fname, copy);
    REQUIRE(system(command) == 0);
    struct threads threads = threads_now();
    int descriptors = 0;
    long memory = 0;
    for (int i = 0; i < 50; i++) {
        void *handle = dlopen(copy, RTLD_NOW | RTLD_LOCAL);
        REQUIRE(handle != NULL);
        use_loaded(handle, url->text);
        CHECK_EQ(dlclose(handle), 0);
        if (i == 5) {
            descriptors = count_descriptors();
            memory = resident_kb();
        }
    }
    unlink(copy);
    CHECK_EQ(count_descriptors(), descriptors);
    CHECK(wait_until(count_more_threads(&threads) == 0, PATIENCE_MS));
    check_memory_flat(memory, GROWTH_KB);
    return 0;
}

static void it_can_be_loaded_and_unloaded_fifty_times(void)
{
    struct url url = unique_url(trial.scheme);
    struct child child;
    child_start(&child, load_fifty_times, &url);
    CHECK_EQ(child_wait(&child, 2 * PATIENCE_MS), 0);
}

/* ---- forking ---- */

static int talk_afresh(void *argument)
{
    struct url *url = argument;
    check_fresh_conversation(url->text);
    return 0;
}

static void a_child_forked_after_the_last_close_works(void)
{
    for (int i = 0; i < 5; i++) {
        struct url url = unique_url(trial.scheme), other = unique_url(trial.scheme);
        struct child child;
        check_fresh_conversation(url.text);
        child_start(&child, talk_afresh, &url);
        check_fresh_conversation(other.text);
        CHECK_EQ(child_wait(&child, PATIENCE_MS), 0);
    }
}

/* How many sockets and event descriptors a program finds that is started now. */
static int count_inherited(void)
{
    struct child child;
    char *words[] = {"/bin/ls", "-l", "/proc/self/fd", NULL};
    char line[512];
    int count = 0;
    child_exec(&child, words, NULL);
    while (child_line(&child, line, sizeof line, PATIENCE_MS))
        count += strstr(line, "-> socket:") || strstr(line, "-> anon_inode:");
    CHECK_EQ(child_wait(&child, PATIENCE_MS), 0);
    return count;
}

/* Most programs that fork do it to start another. */
static void a_child_that_only_executes_disturbs_nobody(void)
{
    struct url url = unique_url(trial.scheme);
    int a, b, inherited = count_inherited();
    open_pairs(&a, &b, url.text);
    get_int(a, NN_SOL_SOCKET, NN_RCVFD);
    for (int i = 0; i < 5; i++) {
        CHECK_EQ(count_inherited(), inherited);
        CHECK_TALK(a, b);
    }
    CHECK_CLOSE(a, b);
}

/* A child that leaves by _exit without a call of ours. */
static void a_child_that_leaves_at_once_disturbs_nobody(void)
{
    struct url url = unique_url(trial.scheme);
    int a, b;
    open_pairs(&a, &b, url.text);
    for (int i = 0; i < 20; i++) {
        int status = -1;
        pid_t pid = child_fork();
        if (pid == 0)
            _exit(0);
        CHECK_TALK(a, b);
        CHECK_EQ(waitpid(pid, &status, 0), pid);
        CHECK_EQ(status, 0);
        CHECK_TALK(b, a);
    }
    CHECK_CLOSE(a, b);
}

struct inherited {
    int a;
    int b;
    struct url url;
};

/* What a child inherits is not its own; what it opens is. */
static int live_on_its_own(void *argument)
{
    struct inherited *inherited = argument;
    char byte;
    CHECK_ERRNO(nn_send(inherited->a, "x", 1, NN_DONTWAIT), -1, EBADF);
    CHECK_ERRNO(nn_recv(inherited->b, &byte, 1, NN_DONTWAIT), -1, EBADF);
    CHECK_ERRNO(nn_shutdown(inherited->b, 1), -1, EBADF);
    CHECK_ERRNO(nn_close(inherited->a), -1, EBADF);
    CHECK_ERRNO(nn_close(inherited->b), -1, EBADF);
    for (int i = 0; i < 3; i++)
        check_fresh_conversation(inherited->url.text);
    return 0;
}

static void a_child_of_live_sockets_lives_on_its_own(void)
{
    struct url url = unique_url(trial.scheme);
    int a, b;
    open_pairs(&a, &b, url.text);
    get_int(a, NN_SOL_SOCKET, NN_RCVFD);
    for (int i = 0; i < 5 * trial.effort; i++) {
        struct inherited inherited = {a, b, unique_url(trial.scheme)};
        struct child child;
        child_start(&child, live_on_its_own, &inherited);
        CHECK_TALK(a, b);
        CHECK_EQ(child_wait(&child, PATIENCE_MS), 0);
        CHECK_TALK(a, b);
    }
    CHECK_CLOSE(a, b);
}

/* Forked while another thread is in the middle of everything, locks included. */
static void *talk_on(void *argument)
{
    int *talk = argument;
    while (!__atomic_load_n(&talk[2], __ATOMIC_ACQUIRE))
        if (!talk_one_way(talk[0], talk[1], PATIENCE_MS)) {
            FAIL("the conversation of the parent was disturbed");
            break;
        }
    return NULL;
}

static void a_child_forked_in_the_middle_lives_on_its_own(void)
{
    struct url url = unique_url(trial.scheme);
    struct thread thread;
    int talk[3] = {-1, -1, 0};
#if defined __SANITIZE_ADDRESS__
    /* The sanitizer's own allocator has locks that no child of a threaded process can take. */
    test_skip("a child forked beside running threads may hang in the sanitizer");
    return;
#endif
    open_pairs(&talk[0], &talk[1], url.text);
    thread_start(&thread, talk_on, talk);
    for (int i = 0; i < 20 * trial.effort; i++) {
        struct inherited inherited = {talk[0], talk[1], unique_url(trial.scheme)};
        struct child child;
        child_start(&child, live_on_its_own, &inherited);
        CHECK_EQ(child_wait(&child, PATIENCE_MS), 0);
    }
    __atomic_store_n(&talk[2], 1, __ATOMIC_RELEASE);
    thread_join(&thread);
    CHECK_CLOSE(talk[0], talk[1]);
}

int main(int count, char **words)
{
    trial_begin("robustness/lifecycle", "inproc|ipc|tcp|ws|tls+tcp|wss", 60, count, words);
    RUN(a_child_forked_after_the_last_close_works);
    RUN(cycles_leave_nothing);
    RUN(endpoint_cycles_leave_nothing);
    RUN(lonely_cycles_leave_nothing);
    RUN(exit_ends_a_process_with_blocked_threads);
    RUN(it_can_be_loaded_and_unloaded_fifty_times);
    RUN(a_child_that_only_executes_disturbs_nobody);
    RUN(a_child_that_leaves_at_once_disturbs_nobody);
    RUN(a_child_of_live_sockets_lives_on_its_own);
    RUN(a_child_forked_in_the_middle_lives_on_its_own);
    RUN(nothing_is_left);
    return test_end();
}

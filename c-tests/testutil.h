/* What every C test needs, in one header: assertions, cases, deadlines, threads, child processes,
 * addresses that nobody else uses, and raw sockets for byte-exact wire tests.
 *
 *   int main(void)
 *   {
 *       test_begin("api/socket", 25);
 *       RUN(a_closed_handle_is_refused);
 *       return test_end();
 *   }
 *
 * A failed CHECK is counted and the case goes on; a failed REQUIRE ends the program. A case whose
 * name stands in differences.txt is skipped on the reference. SPMSG_TEST_CASE=name runs one case.
 */

#ifndef SPMSG_TESTUTIL_H
#define SPMSG_TESTUTIL_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <nanomsg/nn.h>
#include <nanomsg/pair.h>
#include <nanomsg/inproc.h>
#include <nanomsg/ipc.h>
#include <nanomsg/tcp.h>
#include <nanomsg/ws.h>

#include <arpa/inet.h>
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef SPMSG_DIFFERENCES
#define SPMSG_DIFFERENCES "differences.txt"
#endif

/* Not every test uses every helper. */
#define TESTUTIL static __attribute__((unused))

/* How long a helper waits for something that must happen, on however slow a machine. */
enum { PATIENCE_MS = 10000 };

struct child {
    pid_t pid;
    int out; /* the read end of its standard output, -1 when it was not redirected */
};

static struct {
    const char *name;
    const char *current;
    const char *file;
    int line;
    long assertions, failures, cases, skipped;
    long failures_before;
    pid_t pid;
    pid_t children[64];
    char directory[64];
    char differences[8192];
} test;

/* ---- assertions ---- */

TESTUTIL void test_cleanup(void);
TESTUTIL const char *test_directory(void);

TESTUTIL void test_abandon(void)
{
    test_cleanup();
    fflush(stdout);
    _exit(1);
}

__attribute__((format(printf, 3, 4)))
TESTUTIL void test_fail(const char *file, int line, const char *format, ...)
{
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    __atomic_fetch_add(&test.failures, 1, __ATOMIC_RELAXED);
    fflush(stdout);
    fprintf(stderr, "%s:%d: [%s] %s\n", file, line, test.current ? test.current : "-", text);
}

/* Notes where the test is, before the expression runs: the watchdog reports it. */
TESTUTIL void test_at(const char *file, int line)
{
    __atomic_store_n(&test.file, file, __ATOMIC_RELAXED);
    __atomic_store_n(&test.line, line, __ATOMIC_RELAXED);
    __atomic_fetch_add(&test.assertions, 1, __ATOMIC_RELAXED);
}

#define FAIL(...) test_fail(__FILE__, __LINE__, __VA_ARGS__)

#define CHECK(condition) do { \
    test_at(__FILE__, __LINE__); \
    if (!(condition)) \
        FAIL("%s is false, errno %d (%s)", #condition, errno, strerror(errno)); \
} while (0)

#define TEST_COMPARE(actual, operator, expected) do { \
    test_at(__FILE__, __LINE__); \
    long long a_ = (long long)(actual), e_ = (long long)(expected); \
    if (!(a_ operator e_)) \
        FAIL("%s is %lld, should be %s %lld (%s), errno %d (%s)", #actual, a_, #operator, e_, \
             #expected, errno, strerror(errno)); \
} while (0)

#define CHECK_EQ(actual, expected) TEST_COMPARE(actual, ==, expected)
#define CHECK_NE(actual, expected) TEST_COMPARE(actual, !=, expected)
#define CHECK_AT_LEAST(actual, expected) TEST_COMPARE(actual, >=, expected)
#define CHECK_AT_MOST(actual, expected) TEST_COMPARE(actual, <=, expected)

/* The call returns that value and leaves that errno. */
#define CHECK_ERRNO(expression, result, error) do { \
    test_at(__FILE__, __LINE__); \
    errno = 0; \
    long long r_ = (long long)(intptr_t)(expression); \
    int n_ = errno; \
    if (r_ != (long long)(result) || n_ != (error)) \
        FAIL("%s: result %lld, errno %d (%s); should be %lld, %s (%s)", #expression, r_, n_, \
             nn_strerror(n_), (long long)(result), #error, nn_strerror(error)); \
} while (0)

/* The call succeeds, as far as a result that is not negative tells. */
#define CHECK_OK(expression) do { \
    test_at(__FILE__, __LINE__); \
    errno = 0; \
    long long r_ = (long long)(expression); \
    if (r_ < 0) \
        FAIL("%s: result %lld, errno %d (%s)", #expression, r_, errno, nn_strerror(errno)); \
} while (0)

#define CHECK_MEM(actual, expected, size) do { \
    test_at(__FILE__, __LINE__); \
    if (memcmp((actual), (expected), (size)) != 0) \
        FAIL("%s differs from %s", #actual, #expected); \
} while (0)

#define CHECK_STR(actual, expected) do { \
    test_at(__FILE__, __LINE__); \
    const char *a_ = (actual), *e_ = (expected); \
    if (!a_ || strcmp(a_, e_) != 0) \
        FAIL("%s is \"%s\", should be \"%s\"", #actual, a_ ? a_ : "(null)", e_); \
} while (0)

#define REQUIRE(condition) do { \
    test_at(__FILE__, __LINE__); \
    if (!(condition)) { \
        FAIL("%s is false, errno %d (%s): giving up", #condition, errno, strerror(errno)); \
        test_abandon(); \
    } \
} while (0)

/* ---- time ---- */

TESTUTIL int64_t now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

TESTUTIL int64_t now_ms(void)
{
    return now_us() / 1000;
}

TESTUTIL void nap_ms(int ms)
{
    struct timespec t = {ms / 1000, (long)(ms % 1000) * 1000000};
    nanosleep(&t, NULL);
}

/* Looks at the condition every millisecond; true as soon as it holds, false at the deadline. */
#define wait_until(condition, ms) __extension__ ({ \
    int64_t deadline_ = now_ms() + (ms); \
    int held_; \
    while (!(held_ = !!(condition)) && now_ms() < deadline_) \
        nap_ms(1); \
    held_; \
})

/* Our library is never early; the reference may be by up to 10 ms (core-quirks C-12). */
#define CHECK_NOT_EARLY(since_us, ms) \
    CHECK_AT_LEAST(now_us() - (since_us), ((ms) - (reference() ? 10 : 0)) * INT64_C(1000))

/* ---- program and cases ---- */

TESTUTIL int reference(void)
{
    const char *library = getenv("SPMSG_TEST_LIBRARY");
    return library && strcmp(library, "reference") == 0;
}

TESTUTIL void test_put(const char *text)
{
    if (write(2, text, strlen(text)) < 0)
        return;
}

/* Runs at the deadline of the process and therefore uses nothing that could be locked. */
TESTUTIL void test_watchdog(int number)
{
    char line[12];
    char *digit = line + sizeof line - 1;
    int rest = test.line;
    (void)number;
    *digit = 0;
    do {
        *--digit = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    test_put("watchdog: out of time in case ");
    test_put(test.current ? test.current : "-");
    test_put(", last assertion begun at ");
    test_put(test.file ? test.file : "-");
    test_put(":");
    test_put(digit);
    test_put("\n");
    for (size_t i = 0; i < sizeof test.children / sizeof test.children[0]; i++)
        if (test.children[i] > 0)
            kill(test.children[i], SIGKILL);
    _exit(3);
}

/* Keeps of differences.txt the lines of this test: "case<TAB>reason". */
TESTUTIL void test_read_differences(void)
{
    char line[1024];
    size_t used = 0, length = strlen(test.name);
    FILE *file = fopen(SPMSG_DIFFERENCES, "r");
    if (!file) {
        fprintf(stderr, "cannot read %s\n", SPMSG_DIFFERENCES);
        exit(2);
    }
    while (fgets(line, sizeof line, file)) {
        if (strncmp(line, test.name, length) != 0 || line[length] != '\t')
            continue;
        size_t size = strlen(line + length + 1);
        if (used + size >= sizeof test.differences) {
            fprintf(stderr, "too many differences for %s\n", test.name);
            exit(2);
        }
        memcpy(test.differences + used, line + length + 1, size + 1);
        used += size;
    }
    fclose(file);
}

TESTUTIL void test_begin(const char *name, int seconds)
{
    Dl_info library;
    char resolved[4096];
    test.name = name;
    test.pid = getpid();
    setvbuf(stdout, NULL, _IOLBF, 0);
    signal(SIGALRM, test_watchdog);
    alarm((unsigned)seconds);
    test_read_differences();
    if (dladdr((void *)(uintptr_t)&nn_socket, &library) && realpath(library.dli_fname, resolved))
        printf("%s on %s\n", name, resolved);
}

/* The reason why a case is a listed difference, or NULL. Marks the line as used. */
TESTUTIL const char *test_difference(const char *name)
{
    static char reason[1024];
    size_t length = strlen(name);
    for (char *line = test.differences; *line; line = strchr(line, '\n') + 1) {
        if (strncmp(line, name, length) == 0 && line[length] == '\t') {
            snprintf(reason, sizeof reason, "%.*s", (int)strcspn(line + length + 1, "\n"),
                     line + length + 1);
            line[length] = '!';
            return reason;
        }
        if (!strchr(line, '\n'))
            break;
    }
    return NULL;
}

/* Closes what a case left open, which is a failure unless the case failed already. */
TESTUTIL void test_sweep(void)
{
    int open = 0;
    /* A few numbers more than there may be, for a library that gives them out. */
    for (int s = 0; s < 520; s++)
        if (nn_close(s) == 0)
            open++;
    if (open > 0 && test.failures == test.failures_before)
        FAIL("the case left %d sockets open", open);
}

/* The rest of the current case cannot run here, for a reason that is no failure. */
TESTUTIL void test_skip(const char *reason)
{
    printf("SKIP %s: %s\n", test.current, reason);
    test.skipped++;
}

TESTUTIL int CASE(const char *name)
{
    const char *only = getenv("SPMSG_TEST_CASE");
    const char *reason = test_difference(name);
    if (test.current)
        test_sweep();
    test.current = NULL;
    if (only && strcmp(only, name) != 0)
        return 0;
    test.current = name;
    test.failures_before = test.failures;
    test.cases++;
    if (reason && reference()) {
        test_skip(reason);
        return 0;
    }
    printf("case %s\n", name);
    return 1;
}

#define RUN(function) do { if (CASE(#function)) function(); } while (0)

/* Removes the files and ends the children that are left, in the process that made them. */
TESTUTIL void test_cleanup(void)
{
    struct dirent *entry;
    if (getpid() != test.pid)
        return;
    for (size_t i = 0; i < sizeof test.children / sizeof test.children[0]; i++)
        if (test.children[i] > 0)
            kill(test.children[i], SIGKILL);
    DIR *directory = test.directory[0] ? opendir(test.directory) : NULL;
    if (!directory)
        return;
    while ((entry = readdir(directory)) != NULL)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0
            && unlinkat(dirfd(directory), entry->d_name, 0) != 0)
            unlinkat(dirfd(directory), entry->d_name, AT_REMOVEDIR);
    closedir(directory);
    rmdir(test.directory);
}

TESTUTIL int test_end(void)
{
    if (test.current)
        test_sweep();
    test.current = NULL;
    if (test.cases == 0)
        FAIL("no case was run");
    for (char *line = test.differences; *line && !getenv("SPMSG_TEST_CASE");) {
        size_t length = strcspn(line, "\n");
        if (memchr(line, '!', strcspn(line, "\t\n")) == NULL)
            FAIL("differences.txt names a case that does not exist: %.*s", (int)length, line);
        line += length + (line[length] == '\n');
    }
    test_cleanup();
    printf("%ld assertions, %ld cases, %ld skipped\n", test.assertions, test.cases, test.skipped);
    if (test.failures > 0)
        printf("%ld FAILED\n", test.failures);
    return test.failures > 0;
}

/* ---- threads ---- */

struct thread {
    pthread_t id;
    pid_t tid;
    int done;
    void *(*function)(void *);
    void *argument;
};

TESTUTIL void *thread_main(void *argument)
{
    struct thread *thread = argument;
    __atomic_store_n(&thread->tid, (pid_t)syscall(SYS_gettid), __ATOMIC_RELEASE);
    void *result = thread->function(thread->argument);
    __atomic_store_n(&thread->done, 1, __ATOMIC_RELEASE);
    return result;
}

/* The thread writes into `thread`, which must stay where it is until thread_join. */
TESTUTIL void thread_start(struct thread *thread, void *(*function)(void *), void *argument)
{
    memset(thread, 0, sizeof *thread);
    thread->function = function;
    thread->argument = argument;
    REQUIRE(pthread_create(&thread->id, NULL, thread_main, thread) == 0);
}

TESTUTIL int thread_done(struct thread *thread)
{
    return __atomic_load_n(&thread->done, __ATOMIC_ACQUIRE);
}

TESTUTIL void *thread_join(struct thread *thread)
{
    void *result = NULL;
    struct timespec deadline;
    clock_gettime(CLOCK_REALTIME, &deadline);
    deadline.tv_sec += 2 * PATIENCE_MS / 1000;
    REQUIRE(pthread_timedjoin_np(thread->id, &result, &deadline) == 0);
    return result;
}

/* One letter: S sleeping, R running, ... */
TESTUTIL char thread_state(struct thread *thread)
{
    char path[64], text[256];
    pid_t tid = __atomic_load_n(&thread->tid, __ATOMIC_ACQUIRE);
    snprintf(path, sizeof path, "/proc/self/task/%d/stat", (int)tid);
    FILE *file = tid ? fopen(path, "r") : NULL;
    if (!file)
        return '?';
    size_t size = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[size] = 0;
    char *end = strrchr(text, ')');
    return end && end[1] ? end[2] : '?';
}

/* True once the kernel has seen the thread asleep several times in a row: it waits in a call. Its
 * use is to make the interesting case likely; no result may depend on it. False if it has ended. */
TESTUTIL int thread_asleep(struct thread *thread)
{
    int seen = 0;
    return wait_until(thread_done(thread)
                      || (seen = thread_state(thread) == 'S' ? seen + 1 : 0) == 5, PATIENCE_MS)
           && seen == 5;
}

/* ---- child processes ---- */

TESTUTIL void child_register(struct child *child)
{
    for (size_t i = 0; i < sizeof test.children / sizeof test.children[0]; i++)
        if (test.children[i] == 0) {
            test.children[i] = child->pid;
            return;
        }
    FAIL("too many children");
    test_abandon();
}

TESTUTIL pid_t child_fork(void)
{
    pid_t parent = getpid();
    /* Made here, or else each child would make one that nobody removes. */
    test_directory();
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        /* The child must not outlive a parent that was killed, not even by this little. */
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(1);
        alarm(60);
    }
    return pid;
}

/* Runs a function in a child, which leaves by exit() with its result, or 1 if a check failed. */
TESTUTIL void child_start(struct child *child, int (*function)(void *), void *argument)
{
    child->out = -1;
    child->pid = child_fork();
    REQUIRE(child->pid >= 0);
    if (child->pid == 0) {
        test.failures = 0;
        int result = function(argument);
        exit(test.failures > 0 ? 1 : result);
    }
    child_register(child);
}

/* Runs a program with its standard output in `child->out`; `environment` ends with NULL. */
TESTUTIL void child_exec(struct child *child, char *const words[], char *const environment[])
{
    int ends[2];
    REQUIRE(pipe2(ends, O_CLOEXEC) == 0);
    child->pid = child_fork();
    REQUIRE(child->pid >= 0);
    if (child->pid == 0) {
        for (size_t i = 0; environment && environment[i]; i++)
            putenv(environment[i]);
        dup2(ends[1], 1);
        execv(words[0], words);
        fprintf(stderr, "cannot run %s: %s\n", words[0], strerror(errno));
        _exit(127);
    }
    close(ends[1]);
    child->out = ends[0];
    child_register(child);
}

/* One line of the child's output without its end; 0 at the end of file or at the deadline. */
TESTUTIL int child_line(struct child *child, char *line, size_t size, int ms)
{
    int64_t deadline = now_ms() + ms;
    size_t length = 0;
    struct pollfd ready = {child->out, POLLIN, 0};
    while (length + 1 < size) {
        int64_t left = deadline - now_ms();
        if (left < 0 || poll(&ready, 1, (int)left) != 1 || read(child->out, line + length, 1) != 1)
            break;
        if (line[length] == '\n') {
            line[length] = 0;
            return 1;
        }
        length++;
    }
    line[length] = 0;
    return 0;
}

TESTUTIL void child_forget(struct child *child)
{
    for (size_t i = 0; i < sizeof test.children / sizeof test.children[0]; i++)
        if (test.children[i] == child->pid)
            test.children[i] = 0;
    if (child->out >= 0)
        close(child->out);
    child->out = -1;
}

TESTUTIL void child_kill(struct child *child)
{
    kill(child->pid, SIGKILL);
    waitpid(child->pid, NULL, 0);
    child_forget(child);
}

/* The exit status; 128 + signal if one ended it; -1 if it had to be killed at the deadline. */
TESTUTIL int child_wait(struct child *child, int ms)
{
    int status = 0;
    if (!wait_until(waitpid(child->pid, &status, WNOHANG) == child->pid, ms)) {
        child_kill(child);
        return -1;
    }
    child_forget(child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* Runs a function in a child, whose output it is to send to the descriptor that it is given the
 * address of: it leaves with 7 and without a word. */
TESTUTIL void check_silent_exit(int (*function)(void *))
{
    struct child child;
    char byte;
    int ends[2];
    REQUIRE(pipe2(ends, O_CLOEXEC) == 0);
    child_start(&child, function, &ends[1]);
    close(ends[1]);
    CHECK_EQ(child_wait(&child, PATIENCE_MS), 7);
    CHECK_EQ(read(ends[0], &byte, 1), 0);
    close(ends[0]);
}

/* ---- addresses ---- */

struct url {
    char text[NN_SOCKADDR_MAX];
};

/* A directory of our own, removed at the end with the files in it. */
TESTUTIL const char *test_directory(void)
{
    if (!test.directory[0]) {
        const char *base = getenv("TMPDIR");
        /* ipc paths may have 107 bytes in all. */
        if (!base || strlen(base) > 40)
            base = "/tmp";
        snprintf(test.directory, sizeof test.directory, "%s/spmsg-XXXXXX", base);
        REQUIRE(mkdtemp(test.directory) != NULL);
    }
    return test.directory;
}

/* A tcp port that nobody uses now. It lies below the range from which the kernel takes the ports of
 * connecting sockets, and each process starts its search at another place. */
TESTUTIL int free_port(void)
{
    static unsigned next;
    if (next == 0)
        next = (unsigned)getpid() * 2654435761u + (unsigned)now_us();
    for (int tries = 0; tries < 20000; tries++) {
        int port = 10000 + (int)(next++ % 20000);
        struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        int bound = bind(fd, (struct sockaddr *)&address, sizeof address);
        close(fd);
        if (bound == 0)
            return port;
    }
    FAIL("no free port");
    test_abandon();
    return -1;
}

/* An address of that scheme (inproc, ipc, tcp, ws) that nobody else uses. */
TESTUTIL struct url unique_url(const char *scheme)
{
    static int count;
    struct url url;
    count++;
    if (strcmp(scheme, "tcp") == 0 || strcmp(scheme, "ws") == 0)
        snprintf(url.text, sizeof url.text, "%s://127.0.0.1:%d", scheme, free_port());
    else if (strcmp(scheme, "ipc") == 0)
        snprintf(url.text, sizeof url.text, "ipc://%s/%d.ipc", test_directory(), count);
    else
        snprintf(url.text, sizeof url.text, "inproc://test-%d", count);
    return url;
}

/* ---- sockets under test ---- */

TESTUTIL void set_int(int s, int option, int value)
{
    CHECK_EQ(nn_setsockopt(s, NN_SOL_SOCKET, option, &value, sizeof value), 0);
}

TESTUTIL int get_int(int s, int level, int option)
{
    int value = -12345;
    size_t size = sizeof value;
    CHECK_EQ(nn_getsockopt(s, level, option, &value, &size), 0);
    CHECK_EQ(size, sizeof value);
    return value;
}

/* A PAIR that cannot make the test hang. */
TESTUTIL int open_pair(void)
{
    int s = nn_socket(AF_SP, NN_PAIR);
    REQUIRE(s >= 0);
    set_int(s, NN_SNDTIMEO, PATIENCE_MS);
    set_int(s, NN_RCVTIMEO, PATIENCE_MS);
    return s;
}

#define CHECK_SEND(s, text) CHECK_EQ(nn_send((s), (text), strlen(text), 0), strlen(text))

#define CHECK_RECV(s, text) do { \
    char b_[256]; \
    test_at(__FILE__, __LINE__); \
    errno = 0; \
    int n_ = nn_recv((s), b_, sizeof b_, 0); \
    if (n_ != (int)strlen(text) || memcmp(b_, (text), strlen(text)) != 0) \
        FAIL("received %d bytes \"%.*s\", should be \"%s\", errno %d (%s)", n_, \
             n_ < 0 ? 0 : n_ < 256 ? n_ : 256, b_, (text), errno, nn_strerror(errno)); \
} while (0)

/* Sends numbered messages until one of them arrives, which takes several where a connection is
 * being replaced by another. True when it did. */
TESTUTIL int talk_one_way(int from, int to, int ms)
{
    static uint32_t number;
    uint32_t first = number + 1, sent = 0, got = 0;
    int64_t deadline = now_ms() + ms;
    while (now_ms() < deadline) {
        number++;
        if (nn_send(from, &number, sizeof number, NN_DONTWAIT) == sizeof number)
            sent = number;
        int64_t turn = now_ms() + 50;
        while (now_ms() < turn) {
            if (nn_recv(to, &got, sizeof got, NN_DONTWAIT) == sizeof got && got >= first
                && got <= number)
                goto arrived;
            nap_ms(1);
        }
    }
    return 0;
arrived:
    /* What was sent before it has arrived before it; what was sent after it is taken here. */
    while (got < sent && nn_recv(to, &got, sizeof got, 0) == sizeof got)
        continue;
    return 1;
}

#define CHECK_TALK(a, b) \
    CHECK(talk_one_way((a), (b), PATIENCE_MS) && talk_one_way((b), (a), PATIENCE_MS))

/* Two PAIR sockets that are connected to each other. */
TESTUTIL void open_pairs(int *bound, int *connected, const char *address)
{
    *bound = open_pair();
    *connected = open_pair();
    REQUIRE(nn_bind(*bound, address) > 0);
    REQUIRE(nn_connect(*connected, address) > 0);
    CHECK_TALK(*bound, *connected);
}

TESTUTIL int wait_stat(int s, int id, uint64_t value, int ms)
{
    return wait_until(nn_get_statistic(s, id) == value, ms);
}

TESTUTIL int wait_stat_at_least(int s, int id, uint64_t value, int ms)
{
    return wait_until(nn_get_statistic(s, id) >= value, ms);
}

/* ---- raw sockets ---- */

#include "rawws.h"

/* What a PAIR says first on tcp and ipc (transports 3.1). */
static const unsigned char PAIR_GREETING[8] __attribute__((unused))
    = {0, 'S', 'P', 0, 0, 0x10, 0, 0};

TESTUTIL int is_ipc(const char *url)
{
    return strncmp(url, "ipc://", 6) == 0;
}

TESTUTIL socklen_t raw_address(const char *url, struct sockaddr_storage *address)
{
    memset(address, 0, sizeof *address);
    if (is_ipc(url)) {
        struct sockaddr_un *un = (struct sockaddr_un *)address;
        un->sun_family = AF_UNIX;
        snprintf(un->sun_path, sizeof un->sun_path, "%.*s", (int)sizeof un->sun_path - 1, url + 6);
        return sizeof *un;
    }
    struct sockaddr_in *in = (struct sockaddr_in *)address;
    in->sin_family = AF_INET;
    in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    in->sin_port = htons((uint16_t)atoi(strrchr(url, ':') + 1));
    return sizeof *in;
}

TESTUTIL int raw_listen(const char *url)
{
    struct sockaddr_storage address;
    socklen_t size = raw_address(url, &address);
    int one = 1;
    int fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    REQUIRE(bind(fd, (struct sockaddr *)&address, size) == 0);
    REQUIRE(listen(fd, 16) == 0);
    raw_set_role(fd, is_ws(url) ? RAW_WS_LISTENER : RAW_PLAIN);
    return fd;
}

/* The next connection, or -1 at the deadline. */
TESTUTIL int raw_accept(int listener, int ms)
{
    struct pollfd ready = {listener, POLLIN, 0};
    int fd = poll(&ready, 1, ms) == 1 ? accept4(listener, NULL, NULL, SOCK_CLOEXEC) : -1;
    raw_set_role(fd, raw_role(listener) == RAW_WS_LISTENER ? RAW_WS_SERVER : RAW_PLAIN);
    return fd;
}

TESTUTIL int raw_connect(const char *url)
{
    struct sockaddr_storage address;
    socklen_t size = raw_address(url, &address);
    int fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    REQUIRE(connect(fd, (struct sockaddr *)&address, size) == 0);
    raw_set_role(fd, is_ws(url) ? RAW_WS_CLIENT : RAW_PLAIN);
    return fd;
}

/* The peer may close before it has read everything, so success is not checked. */
TESTUTIL void raw_send(int fd, const void *bytes, size_t size)
{
    const char *rest = bytes;
    while (size > 0) {
        ssize_t sent = send(fd, rest, size, MSG_NOSIGNAL);
        if (sent <= 0)
            return;
        rest += sent;
        size -= (size_t)sent;
    }
}

/* How many of the wanted bytes came before the end of the stream or the deadline. */
TESTUTIL size_t raw_recv(int fd, void *bytes, size_t size, int ms)
{
    size_t got = 0;
    int64_t deadline = now_ms() + ms;
    struct pollfd ready = {fd, POLLIN, 0};
    while (got < size) {
        int64_t left = deadline - now_ms();
        if (left < 0 || poll(&ready, 1, (int)left) != 1)
            break;
        ssize_t count = recv(fd, (char *)bytes + got, size - got, 0);
        if (count <= 0)
            break;
        got += (size_t)count;
    }
    return got;
}

enum raw_end { RAW_OPEN, RAW_EOF, RAW_RESET };

/* Reads until the peer ends the stream, and tells how it did. */
TESTUTIL enum raw_end raw_end(int fd, int ms)
{
    char bytes[4096];
    int64_t deadline = now_ms() + ms;
    struct pollfd ready = {fd, POLLIN, 0};
    for (;;) {
        int64_t left = deadline - now_ms();
        if (left < 0 || poll(&ready, 1, (int)left) != 1)
            return RAW_OPEN;
        ssize_t count = recv(fd, bytes, sizeof bytes, 0);
        if (count <= 0)
            return count == 0 ? RAW_EOF : RAW_RESET;
    }
}

/* Closes so that a tcp peer sees a reset. */
TESTUTIL void raw_reset(int fd)
{
    struct linger now = {1, 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(fd);
}

/* The bytes in front of a message of that size (transports 3.2); returns their number. */
TESTUTIL size_t raw_prefix(const char *url, uint64_t size, unsigned char prefix[9])
{
    unsigned char *p = prefix;
    if (is_ipc(url))
        *p++ = 1;
    for (int shift = 56; shift >= 0; shift -= 8)
        *p++ = (unsigned char)(size >> shift);
    return (size_t)(p - prefix);
}

/* One whole message, in one piece. */
TESTUTIL void raw_message(int fd, const char *url, const void *body, size_t size)
{
    if (is_ws(url)) {
        ws_send(fd, 0x82, body, size);
        return;
    }
    unsigned char *frame = malloc(9 + size);
    size_t prefix = raw_prefix(url, size, frame);
    memcpy(frame + prefix, body, size);
    raw_send(fd, frame, prefix + size);
    free(frame);
}

/* Exchanges greetings as a PAIR would; true when the peer greeted as a PAIR. */
TESTUTIL int raw_greet(int fd)
{
    unsigned char greeting[8];
    if (raw_role(fd) == RAW_WS_CLIENT)
        return ws_ask(fd);
    if (raw_role(fd) == RAW_WS_SERVER)
        return ws_answer(fd);
    raw_send(fd, PAIR_GREETING, sizeof PAIR_GREETING);
    return raw_recv(fd, greeting, sizeof greeting, PATIENCE_MS) == sizeof greeting
           && memcmp(greeting, PAIR_GREETING, sizeof greeting) == 0;
}

/* Exchanges greetings as a socket of the type `mine`; true when the peer greeted as `theirs`. */
TESTUTIL int raw_greet_as(int fd, int mine, int theirs)
{
    const unsigned char said[8] = {0, 'S', 'P', 0, (unsigned char)(mine >> 8), (unsigned char)mine};
    const unsigned char expected[8]
        = {0, 'S', 'P', 0, (unsigned char)(theirs >> 8), (unsigned char)theirs};
    unsigned char greeting[8];
    raw_send(fd, said, sizeof said);
    return raw_recv(fd, greeting, sizeof greeting, PATIENCE_MS) == sizeof greeting
           && memcmp(greeting, expected, sizeof greeting) == 0;
}

/* One whole message of at most `size` bytes: its size, or -1 when none comes in time. */
TESTUTIL long raw_take(int fd, const char *url, void *body, size_t size, int ms)
{
    unsigned char prefix[9];
    size_t used = is_ipc(url) ? 9 : 8;
    uint64_t length = 0;
    if (raw_recv(fd, prefix, used, ms) != used || (used == 9 && prefix[0] != 1))
        return -1;
    for (size_t i = used - 8; i < used; i++)
        length = length << 8 | prefix[i];
    if (length > size || raw_recv(fd, body, (size_t)length, PATIENCE_MS) != length)
        return -1;
    return (long)length;
}

#endif

/* What SPMSG_TRACE makes the library tell (doc/trace.md).
 *
 * The environment is read once, when the first socket is opened: every story is lived by a child,
 * and this process opens no socket at all. */

#include "beyond.h"

#include "support/address.h"
#include "support/cases.h"
#include "support/check.h"
#include "support/clock.h"
#include "support/directory.h"
#include "support/message.h"
#include "support/process.h"
#include "support/raw-peer.h"
#include "support/raw-stream.h"
#include "support/resources.h"
#include "support/sockets.h"
#include "support/talk.h"
#include "support/thread.h"

#include <nanomsg/nn.h>
#include <nanomsg/pair.h>
#include <nanomsg/pipeline.h>
#include <nanomsg/pubsub.h>
#include <nanomsg/reqrep.h>

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const EVENTS[] = {
    "opened", "closing", "closed", "out-of-service", "bound", "not-bound", "dialing",
    "not-dialing", "shut-down", "connecting", "resolving", "resolved", "unresolved", "established",
    "connect-failed", "connect-abandoned", "unwanted", "waiting", "retired", "accepted",
    "accept-failed", "handshake-failed", "held", "rejected", "attached", "detached",
    "connection-broken", "connection-dropped", "lingering", "lingered", "send-refused",
    "recv-failed", "message-dropped", "callers-read", "reactor-reads", "reactor-looks",
    "reactor-rests", "kernel-full",
};

/* What a story is told with, and where. */
struct story {
    const char *variable; /* NULL when it is not set */
    char trace[96];
    char errors[96]; /* what it says on standard error */
    struct url url;
    int (*function)(struct story *story);
};

/* A whole trace, line by line. */
struct trace {
    char *text;
    char *lines[4096];
    int count;
};

static char *read_file(const char *path)
{
    struct stat state;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    REQUIRE(fstat(fd, &state) == 0);
    char *text = malloc((size_t)state.st_size + 1);
    ssize_t size = read(fd, text, (size_t)state.st_size);
    REQUIRE(size >= 0);
    text[size] = 0;
    close(fd);
    return text;
}

/* Whether the trace says so by now, or at the latest in a while. */
static int says(const struct story *story, const char *words)
{
    return wait_until(__extension__ ({
        char *text = read_file(story->trace);
        int is_there = text && strstr(text, words);
        free(text);
        is_there;
    }), PATIENCE_MS);
}

static int live(void *argument)
{
    struct story *story = argument;
    int fd = open(story->errors, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    REQUIRE(fd >= 0 && dup2(fd, 2) == 2);
    unsetenv("NN_PRINT_ERRORS");
    unsetenv("SPMSG_TRACE");
    if (story->variable)
        setenv("SPMSG_TRACE", story->variable, 1);
    return story->function(story);
}

static struct story story(const char *scheme, int (*function)(struct story *))
{
    static int number;
    struct story told = {.url = unique_url(scheme), .function = function};
    number++;
    snprintf(told.trace, sizeof told.trace, "%s/trace-%d", test_directory(), number);
    snprintf(told.errors, sizeof told.errors, "%s/errors-%d", test_directory(), number);
    return told;
}

/* Has a child live the story, and checks that it comes to a good end. */
static void tell(struct story *story, const char *variable)
{
    struct child child;
    story->variable = variable;
    child_start(&child, live, story);
    CHECK_EQ(child_wait(&child, 4 * PATIENCE_MS), 0);
    if (case_failed()) {
        char *errors = read_file(story->errors);
        fprintf(stderr, "%s", errors ? errors : "");
        free(errors);
    }
}

static void skip_digits(const char **at)
{
    while (isdigit((unsigned char)**at))
        ++*at;
}

/* Passes over `key=value`; the key is written to `key`. */
static int skip_field(const char **at, char key[16])
{
    size_t length = strspn(*at, "abcdefghijklmnopqrstuvwxyz");
    if (length == 0 || length >= 16 || (*at)[length] != '=')
        return 0;
    memcpy(key, *at, length);
    key[length] = 0;
    *at += length + 1;
    if (**at == '"') {
        const char *end = strchr(*at + 1, '"');
        *at = end ? end + 1 : *at;
        return end != NULL;
    }
    const char *start = *at;
    while (**at > ' ' && **at < 0x7f && **at != '"')
        ++*at;
    return *at > start;
}

static int is_event(const char *word, size_t length)
{
    for (size_t i = 0; i < COUNT_OF(EVENTS); i++)
        if (strlen(EVENTS[i]) == length && memcmp(EVENTS[i], word, length) == 0)
            return 1;
    return 0;
}

/* spmsg PROCESS SECONDS.MICROS EVENT socket=... key=value ... */
static int is_well_formed(const char *line)
{
    char key[16];
    const char *at = line, *start;
    if (strlen(line) > 1023 || strncmp(at, "spmsg ", 6) != 0)
        return 0;
    start = at += 6;
    skip_digits(&at);
    if (at == start || *at++ != ' ')
        return 0;
    start = at;
    skip_digits(&at);
    if (at == start || *at++ != '.')
        return 0;
    start = at;
    skip_digits(&at);
    if (at - start != 6 || *at++ != ' ')
        return 0;
    size_t length = strspn(at, "abcdefghijklmnopqrstuvwxyz-");
    if (!is_event(at, length))
        return 0;
    at += length;
    if (*at++ != ' ' || !skip_field(&at, key) || strcmp(key, "socket") != 0)
        return 0;
    while (*at)
        if (*at++ != ' ' || !skip_field(&at, key))
            return 0;
    return 1;
}

/* Reads a trace, each line of which has the form that is documented. */
static void trace_read(struct trace *trace, const char *path)
{
    memset(trace, 0, sizeof *trace);
    trace->text = read_file(path);
    REQUIRE(trace->text != NULL);
    for (char *line = trace->text; *line; ) {
        char *end = strchr(line, '\n');
        REQUIRE(end != NULL && trace->count < (int)COUNT_OF(trace->lines));
        *end = 0;
        if (!is_well_formed(line))
            FAIL("this is no line: %s", line);
        trace->lines[trace->count++] = line;
        line = end + 1;
    }
}

static const char *event_of(const char *line)
{
    for (int blanks = 0; blanks < 3; blanks++)
        line = strchr(line, ' ') + 1;
    return line;
}

/* The next line from there on with that event, in which each of the words stands; -1 for none. */
static int find(const struct trace *trace, int from, const char *event, const char *word,
                const char *other)
{
    size_t length = strlen(event);
    for (int i = from; i < trace->count; i++) {
        const char *line = event_of(trace->lines[i]);
        if (strncmp(line, event, length) == 0 && line[length] == ' ' && strstr(line, word)
            && strstr(line, other))
            return i;
    }
    return -1;
}

/* Goes on to the next line with that event and those words. */
#define EXPECT(trace, at, event, word, other) do { \
    int next_ = find((trace), (at), (event), (word), (other)); \
    test_at(__FILE__, __LINE__); \
    if (next_ < 0) \
        FAIL("no %s with %s and %s behind line %d", (event), (word), (other), (at)); \
    else \
        (at) = next_ + 1; \
} while (0)

static int is_stream(const char *url)
{
    return strncmp(url, "inproc", 6) != 0;
}

/* A dialer comes first, is refused a message, meets its peer beside a wrong one, and loses it. */
static int meet_and_lose(struct story *story)
{
    const char *url = story->url.text;
    int s = open_quick(), linger = 0;
    CHECK_EQ(nn_setsockopt(s, NN_SOL_SOCKET, NN_SOCKET_NAME, "my name", 7), 0);
    CHECK_OK(nn_connect(s, url));
    CHECK_ERRNO(nn_send(s, "now", 3, NN_DONTWAIT), -1, EAGAIN);
    CHECK_ERRNO(nn_bind(s, "tcp://nonsense"), -1, EINVAL);
    CHECK_ERRNO(nn_connect(s, ""), -1, EINVAL);
    if (is_stream(url))
        CHECK(says(story, " waiting socket=0(my\\x20name) "));
    int wrong = nn_socket(AF_SP, NN_PUB), here = bound_pair(url);
    CHECK_OK(nn_connect(wrong, url));
    CHECK(says(story, " handshake-failed socket=2 "));
    CHECK_TALK(s, here);
    CHECK_EQ(nn_close(wrong), 0);
    CHECK_EQ(nn_close(here), 0);
    here = bound_pair(url);
    CHECK_TALK(here, s);
    CHECK_EQ(nn_shutdown(here, 1), 0);
    set_int(s, NN_RCVTIMEO, 1);
    CHECK_ERRNO(nn_recv(s, &linger, sizeof linger, 0), -1, ETIMEDOUT);
    CHECK_CLOSE(here, s);
    return 0;
}

static void check_meet_and_lose(const char *scheme)
{
    struct story told = story(scheme, meet_and_lose);
    struct trace trace;
    char place[192], at_place[192], peer[32];
    const char *dialer = "socket=0(my\\x20name)", *url = told.url.text;
    int at = 0, has_peer = strcmp(scheme, "tcp") == 0 || strcmp(scheme, "ws") == 0;
    tell(&told, told.trace);
    trace_read(&trace, told.trace);
    snprintf(place, sizeof place, " endpoint=1(%s)", url);
    snprintf(at_place, sizeof at_place, " at=%s", url);
    snprintf(peer, sizeof peer, has_peer ? " peer=%s://127.0.0.1:" : " pipe=0", scheme);

    /* The dialer. */
    EXPECT(&trace, at, "opened", "socket=0 ", "type=pair kind=cooked");
    EXPECT(&trace, at, "dialing", dialer, place);
    int first = at;
    EXPECT(&trace, first, "connecting", dialer, place);
    if (is_stream(url)) {
        EXPECT(&trace, first, "connect-failed", dialer, "error=\"");
        EXPECT(&trace, first, "waiting", dialer, " ms=");
    }
    EXPECT(&trace, at, "send-refused", dialer, "size=3 error=WouldBlock");
    EXPECT(&trace, at, "not-bound", dialer, "address=tcp://nonsense error=Invalid part=Port");
    EXPECT(&trace, at, "not-dialing", dialer, "address=\"\" error=Invalid");
    EXPECT(&trace, at, "attached", dialer, peer);
    EXPECT(&trace, at, "detached", dialer, " pipe=0");
    EXPECT(&trace, at, "connecting", dialer, place);
    EXPECT(&trace, at, "attached", dialer, " pipe=1");
    EXPECT(&trace, at, "recv-failed", dialer, "error=TimedOut");
    EXPECT(&trace, at, "closing", dialer, "endpoints=1");
    EXPECT(&trace, at, "closed", dialer, "");
    CHECK_EQ(at, trace.count);

    /* Who listens, first and later, with the same handle. */
    at = 0;
    EXPECT(&trace, at, "bound", place, at_place);
    EXPECT(&trace, at, "handshake-failed", "socket=2", "error=WrongType found=");
    EXPECT(&trace, at, "closing", "socket=2", "endpoints=1");
    EXPECT(&trace, at, "detached", "socket=2", place);
    EXPECT(&trace, at, "closed", "socket=2", "");
    EXPECT(&trace, at, "bound", place, at_place);
    EXPECT(&trace, at, "attached", place, "pipe=0");
    EXPECT(&trace, at, "shut-down", place, "");
    EXPECT(&trace, at, "detached", place, "pipe=0");
    at = 0;
    EXPECT(&trace, at, "established", dialer, place);
    at = 0;
    EXPECT(&trace, at, "accepted", "socket=2", place);
    if (is_stream(url)) {
        at = 0;
        EXPECT(&trace, at, "connection-broken", dialer, place);
        at = 0;
        EXPECT(&trace, at, "connection-dropped", "socket=2", place);
    }
    free(trace.text);
}

static void a_conversation_over_inproc(void)
{
    check_meet_and_lose("inproc");
}

static void a_conversation_over_ipc(void)
{
    check_meet_and_lose("ipc");
}

static void a_conversation_over_tcp(void)
{
    check_meet_and_lose("tcp");
}

static void a_conversation_over_ws(void)
{
    check_meet_and_lose("ws");
}

static int look_up_in_vain(struct story *story)
{
    int s = open_pair();
    CHECK_OK(nn_connect(s, "tcp://name.invalid:5"));
    CHECK(says(story, " connect-failed "));
    CHECK_CLOSE(s);
    return 0;
}

static void a_name_that_nobody_has(void)
{
    struct story told = story("tcp", look_up_in_vain);
    struct trace trace;
    int at = 0;
    tell(&told, told.trace);
    trace_read(&trace, told.trace);
    EXPECT(&trace, at, "connecting", "socket=0", "endpoint=1(tcp://name.invalid:5)");
    EXPECT(&trace, at, "resolving", "socket=0", "name=name.invalid");
    EXPECT(&trace, at, "unresolved", "socket=0", "endpoint=1");
    EXPECT(&trace, at, "connect-failed", "socket=0", "error=NoAddress");
    EXPECT(&trace, at, "waiting", "socket=0", "ms=");
    free(trace.text);
}

/* What is larger than its receiver allows. */
static int exceed_the_limit(struct story *story)
{
    static char big[101];
    int both[2];
    both[0] = nn_socket(AF_SP, NN_PULL);
    both[1] = nn_socket(AF_SP, NN_PUSH);
    set_int(both[0], NN_RCVMAXSIZE, 100);
    CHECK_OK(nn_bind(both[0], story->url.text));
    CHECK_OK(nn_connect(both[1], story->url.text));
    CHECK_EQ(nn_send(both[1], big, sizeof big, 0), sizeof big);
    CHECK(says(story, " detached socket=0 "));
    CHECK(says(story, " detached socket=1 "));
    CHECK_CLOSE(both[0], both[1]);
    return 0;
}

static void a_message_that_is_too_large(void)
{
    for (size_t i = 1; i < 4; i++) {
        struct story told = story(BEYOND_SCHEMES[i], exceed_the_limit);
        struct trace trace;
        int at = 0;
        tell(&told, told.trace);
        trace_read(&trace, told.trace);
        EXPECT(&trace, at, "detached", "socket=0", "error=TooLarge size=101 limit=100");
        at = 0;
        EXPECT(&trace, at, "detached", "socket=1", i == 3 ? "error=TooLargeForPeer" : "");
        free(trace.text);
    }
}

/* A PUB whose peer has no room, an answer to somebody who is not there, and one to nobody. */
static int drop_messages(struct story *story)
{
    const unsigned char gone[8] = {WORD(1), WORD(TOP_BIT | 1)}, astray[4] = {WORD(TOP_BIT | 1)};
    int both[2], rep = nn_socket(AF_SP_RAW, NN_REP);
    (void)story;
    open_both(NN_PUB, NN_SUB, "inproc", both);
    subscribe(both[1], "");
    while (nn_get_statistic(both[0], SPMSG_STAT_MESSAGES_DROPPED) == 0)
        CHECK_EQ(nn_send(both[0], story, sizeof *story, 0), sizeof *story);
    CHECK_EQ(send_message(rep, gone, sizeof gone, "lost", 4, 0), 4);
    CHECK_EQ(send_message(rep, astray, sizeof astray, "lost", 4, 0), 4);
    CHECK_CLOSE(both[0], both[1], rep);
    return 0;
}

static void what_is_dropped(void)
{
    struct story told = story("inproc", drop_messages);
    struct trace trace;
    int at = 0;
    tell(&told, told.trace);
    trace_read(&trace, told.trace);
    EXPECT(&trace, at, "opened", "socket=0", "type=rep kind=raw");
    EXPECT(&trace, at, "message-dropped", "socket=1", "count=1 error=Busy");
    EXPECT(&trace, at, "message-dropped", "socket=0", "count=1 error=Busy");
    EXPECT(&trace, at, "message-dropped", "socket=0", "count=1 error=Astray");
    free(trace.text);
}

/* Somebody receives, and then nobody does; and a peer reads nothing. */
static int wait_for_the_kernel(struct story *story)
{
    static char body[1000];
    const char *url = story->url.text;
    int s = bound_pair(url), fd = raw_connect(url);
    CHECK(raw_greet(fd));
    CHECK_PIPES(s, 1);
    CHECK_AGAIN(s);
    CHECK(says(story, " callers-read "));
    CHECK(says(story, " reactor-reads "));
    while (nn_send(s, body, sizeof body, NN_DONTWAIT) > 0)
        continue;
    CHECK_EQ(errno, EAGAIN);
    CHECK(says(story, " kernel-full "));
    set_int(s, NN_LINGER, 20);
    CHECK_CLOSE(s);
    close(fd);
    return 0;
}

static void who_drives_and_what_lingers(void)
{
    for (size_t i = 1; i < 3; i++) {
        struct story told = story(BEYOND_SCHEMES[i], wait_for_the_kernel);
        struct trace trace;
        int at = 0;
        tell(&told, told.trace);
        trace_read(&trace, told.trace);
        EXPECT(&trace, at, "attached", "socket=0", i == 1 ? " process=" : " peer=tcp://127.0.0.1:");
        EXPECT(&trace, at, "callers-read", "socket=0", "endpoint=1");
        EXPECT(&trace, at, "reactor-reads", "socket=0", "endpoint=1");
        EXPECT(&trace, at, "reactor-looks", "socket=0", "endpoint=1");
        EXPECT(&trace, at, "kernel-full", "socket=0", "endpoint=1");
        EXPECT(&trace, at, "closing", "socket=0", "endpoints=1");
        EXPECT(&trace, at, "lingering", "socket=0", "endpoint=1");
        EXPECT(&trace, at, "lingered", "socket=0", "left=some");
        EXPECT(&trace, at, "closed", "socket=0", "");
        free(trace.text);
    }
}

enum { WRITERS = 4, ROUNDS = 200 };

static void writer_address(int writer, char address[112])
{
    memset(address, 'a' + writer, 111);
    memcpy(address, "tcp://", 6);
    address[111] = 0;
}

static void *write_lines(void *argument)
{
    char address[112];
    int s = open_pair();
    writer_address((int)(intptr_t)argument, address);
    for (int i = 0; i < ROUNDS; i++)
        CHECK_ERRNO(nn_bind(s, address), -1, EINVAL);
    CHECK_CLOSE(s);
    return NULL;
}

/* Two threads, and two more of a child, which has the trace from its parent. */
static int write_side_by_side(struct story *story)
{
    struct thread threads[2];
    struct child child = {0, -1};
    int first = open_pair();
    (void)story;
    child.pid = child_fork();
    REQUIRE(child.pid >= 0);
    for (intptr_t i = 0; i < 2; i++)
        thread_start(&threads[i], write_lines, (void *)(i + (child.pid == 0 ? 2 : 0)));
    for (int i = 0; i < 2; i++)
        thread_join(&threads[i]);
    if (child.pid == 0)
        _exit(test.failures > 0);
    CHECK_EQ(child_wait(&child, PATIENCE_MS), 0);
    CHECK_CLOSE(first);
    return 0;
}

static void lines_of_threads_and_processes_do_not_mix(void)
{
    struct story told = story("inproc", write_side_by_side);
    struct trace trace;
    tell(&told, told.trace);
    trace_read(&trace, told.trace);
    int parent = atoi(trace.lines[0] + 6), from_child = 0;
    for (int i = 0; i < trace.count; i++)
        from_child += atoi(trace.lines[i] + 6) != parent;
    CHECK_EQ(from_child, 2 * (ROUNDS + 3));
    CHECK_EQ(trace.count, 4 * (ROUNDS + 3) + 3);
    for (int writer = 0; writer < WRITERS; writer++) {
        char address[112], expected[160];
        int found = 0;
        writer_address(writer, address);
        snprintf(expected, sizeof expected, " address=%s error=Invalid", address);
        for (int at = 0; (at = find(&trace, at, "not-bound", expected, "") + 1) > 0; )
            found++;
        CHECK_EQ(found, ROUNDS);
    }
    free(trace.text);
}

/* Everything that would be traced, without looking at the trace. */
static int just_talk(struct story *story)
{
    int here = bound_pair(story->url.text), s = open_quick();
    CHECK_OK(nn_connect(s, "tcp://127.0.0.1:1"));
    CHECK_OK(nn_connect(s, story->url.text));
    CHECK_TALK(here, s);
    CHECK_ERRNO(nn_bind(s, "tcp://nonsense"), -1, EINVAL);
    CHECK_CLOSE(here, s);
    return 0;
}

static void nothing_is_written_unless_somebody_wants_it(void)
{
    static const char *const values[] = {NULL, "", "0", "2", "yes", "trace", "/no/such/place/log"};
    for (size_t i = 0; i < COUNT_OF(values); i++) {
        struct story told = story("tcp", just_talk);
        int files = count_entries(test_directory());
        tell(&told, values[i]);
        char *errors = read_file(told.errors);
        CHECK_STR(errors, "");
        free(errors);
        /* That file itself. */
        CHECK_EQ(count_entries(test_directory()), files + 1);
    }
}

static void standard_error_is_a_place_for_lines(void)
{
    struct story told = story("tcp", just_talk);
    struct trace trace;
    int at = 0;
    tell(&told, "1");
    trace_read(&trace, told.errors);
    EXPECT(&trace, at, "bound", "socket=0", told.url.text);
    EXPECT(&trace, at, "closed", "socket=0", "");
    EXPECT(&trace, at, "closed", "socket=1", "");
    free(trace.text);
}

/* Nobody reads what is written, which would end a program that does not expect it. */
static int talk_to_nobody(struct story *story)
{
    int ends[2];
    REQUIRE(pipe2(ends, O_CLOEXEC) == 0);
    int errors = dup(2);
    REQUIRE(dup2(ends[1], 2) == 2);
    close(ends[0]);
    int result = just_talk(story);
    REQUIRE(dup2(errors, 2) == 2);
    return result;
}

static void a_reader_who_has_gone_does_no_harm(void)
{
    struct story told = story("tcp", talk_to_nobody);
    tell(&told, "1");
    char *errors = read_file(told.errors);
    CHECK_STR(errors, "");
    free(errors);
}

/* A file is appended to, by one process after the other. */
static void a_second_process_goes_on_behind_the_first(void)
{
    struct story told = story("inproc", just_talk);
    struct trace trace;
    tell(&told, told.trace);
    trace_read(&trace, told.trace);
    int count = trace.count, first = atoi(trace.lines[0] + 6);
    free(trace.text);
    tell(&told, told.trace);
    trace_read(&trace, told.trace);
    CHECK_AT_LEAST(trace.count, count + 1);
    CHECK_EQ(atoi(trace.lines[count - 1] + 6), first);
    CHECK_NE(atoi(trace.lines[count] + 6), first);
    free(trace.text);
}

int main(void)
{
    test_begin("beyond/trace", 100);
    RUN(a_conversation_over_inproc);
    RUN(a_conversation_over_ipc);
    RUN(a_conversation_over_tcp);
    RUN(a_conversation_over_ws);
    RUN(a_name_that_nobody_has);
    RUN(a_message_that_is_too_large);
    RUN(what_is_dropped);
    RUN(who_drives_and_what_lingers);
    RUN(lines_of_threads_and_processes_do_not_mix);
    RUN(nothing_is_written_unless_somebody_wants_it);
    RUN(standard_error_is_a_place_for_lines);
    RUN(a_reader_who_has_gone_does_no_harm);
    RUN(a_second_process_goes_on_behind_the_first);
    return test_end();
}

/* Four processes that talk on all transports and in all patterns, for as long as one likes, while
 * they are killed, stopped and started again, calls of the system fail, descriptors run out and
 * strangers connect.
 *
 *   soak [--minutes N | --seconds N] [--seed N]
 *
 * Times of trouble and quiet times take turns. What is judged:
 *
 *   always            no process dies that was not killed; messages are whole; an answer is the one
 *                     to the question; nobody overtakes on a connection; open sockets are open
 *   in a quiet time   every end of every lane goes on; descriptors and memory are what they were
 *   at the end        every process closes all and leaves nothing behind
 *
 * The same seed gives the same troubles, though not at the same points of the conversations. */

#include "soak.h"

#include "support/address.h"
#include "support/cases.h"
#include "support/check.h"
#include "support/clock.h"
#include "support/directory.h"
#include "support/random.h"
#include "support/resources.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    TROUBLE_MS = 4000,
    GAP_MS = 120,        /* between two troubles */
    QUIET_MS = 30000,    /* what everybody may take to go on */
    END_MS = 60000,
    /* Connections that begin, and sockets that are opened anew, hold some for a moment. */
    DESCRIPTORS_MORE = 8,
    /* What threads keep of freed memory differs from one time to the next. */
    RESIDENT_MORE_KB = 16 * 1024,
    QUIETS_BEFORE_MEASURE = 3,
    /* Each thread has used its stack and its part of the memory by then. */
    QUIETS_BEFORE_MEMORY = 12,
};

const char *const PATTERN_NAMES[PATTERNS] = {"pair", "reqrep", "pubsub", "pipeline", "survey",
                                             "bus", "device"};
const char *const TRANSPORT_NAMES[TRANSPORTS] = {"inproc", "ipc", "tcp", "ws"};

struct soak *soak;

/* What the controller knows of a process, and nobody else needs. */
static struct account {
    int is_stopped;
    int quiets; /* in this life */
    int descriptors;
    long resident_kb;
} accounts[PROCESSES];

static struct {
    int kills, stops, faults, limits, strangers, quiets;
    uint64_t turns;
    long resident_more;
} sum;

int process_of(int lane, int place)
{
    const struct lane *it = &soak->lanes[lane];
    return (it->pattern + it->transport + place) % PROCESSES;
}

static void lane_address(char *text, int transport, int number)
{
    unsigned pid = (unsigned)test.pid;
    /* Nobody else uses this part of the machine's own network. */
    if (transport == TCP || transport == WS)
        snprintf(text, NN_SOCKADDR_MAX, "%s://127.%u.%u.%u:%d", TRANSPORT_NAMES[transport],
                 128 + (pid >> 14 & 63), pid >> 7 & 127, 1 + (pid & 127), 20000 + number);
    else if (transport == IPC)
        snprintf(text, NN_SOCKADDR_MAX, "ipc://%s/%d", test_directory(), number);
    else
        snprintf(text, NN_SOCKADDR_MAX, "inproc://%d", number);
}

static void make_lanes(void)
{
    for (int i = 0; i < LANES; i++) {
        struct lane *lane = &soak->lanes[i];
        lane->pattern = i % PATTERNS;
        lane->transport = i / PATTERNS;
        int is_small = lane->pattern == PAIR || lane->transport == INPROC;
        lane->places = !is_small ? PLACES : lane->pattern == DEVICE ? 3 : 2;
        lane_address(lane->front, lane->transport, 2 * i);
        lane_address(lane->back, lane->transport, 2 * i + 1);
    }
}

/* ---- processes ---- */

static void start(int i)
{
    struct process *it = &soak->processes[i];
    it->incarnation++;
    SHARE(it->calm, 0);
    accounts[i] = (struct account){0};
    fflush(NULL);
    pid_t pid = fork();
    REQUIRE(pid >= 0);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        garbage_end();
        test.failures = 0;
        exit(process_main(i));
    }
    it->pid = pid;
}

static void kill_now(int i)
{
    struct process *it = &soak->processes[i];
    kill(it->pid, SIGKILL);
    REQUIRE(waitpid(it->pid, NULL, 0) == it->pid);
    it->pid = 0;
}

static void go_on(int i)
{
    if (accounts[i].is_stopped)
        kill(soak->processes[i].pid, SIGCONT);
    accounts[i].is_stopped = 0;
}

static void check_alive(void)
{
    static long known;
    long failures = SHARED(soak->failures);
    if (failures != known)
        FAIL("processes have found %ld things wrong", failures);
    known = failures;
    for (int i = 0; i < PROCESSES; i++) {
        int status;
        struct process *it = &soak->processes[i];
        if (it->pid == 0 || waitpid(it->pid, &status, WNOHANG) != it->pid)
            continue;
        FAIL("process %d died by itself, status %#x", i, (unsigned)status);
        it->pid = 0;
        start(i);
    }
}

/* ---- troubles ---- */

static void give_order(int i, enum order order, uint64_t *state)
{
    struct process *it = &soak->processes[i];
    it->order = order;
    it->order_seed = next_random(state);
    it->order_ms = 50 + random_below(state, 800);
    SHARE(it->order_number, it->order_number + 1);
}

/* The first process is never killed, so that its memory can be watched all the time. */
static void trouble(uint64_t *state)
{
    int i = random_below(state, PROCESSES), what = random_below(state, 12);
    struct process *it = &soak->processes[i];
    if (it->pid == 0) {
        start(i);
    } else if (accounts[i].is_stopped) {
        go_on(i);
    } else if (what == 0 && i != 0) {
        kill_now(i);
        sum.kills++;
    } else if (what <= 2) {
        kill(it->pid, SIGSTOP);
        accounts[i].is_stopped = 1;
        sum.stops++;
    } else if (what <= 6) {
        give_order(i, ORDER_FAULT, state);
        sum.faults++;
    } else if (what == 7) {
        give_order(i, ORDER_LIMIT, state);
        sum.limits++;
    } else {
        garbage_come(state);
        sum.strangers++;
    }
}

static void trouble_time(uint64_t *state)
{
    for (int64_t end = now_ms() + TROUBLE_MS; now_ms() < end;) {
        trouble(state);
        nap_ms(random_below(state, GAP_MS));
        check_alive();
    }
}

/* ---- quiet times ---- */

static int all_are_calm(void)
{
    check_alive();
    for (int i = 0; i < PROCESSES; i++)
        if (SHARED(soak->processes[i].calm) != soak->quiet)
            return 0;
    return 1;
}

static uint64_t progress_of(int lane, int place, int process)
{
    return SHARED(soak->processes[process].progress[lane][place]);
}

/* Calls the function for each end that has something to tell; stops when it returns 0. */
static int each_end(int (*look)(int lane, int place, int process))
{
    for (int lane = 0; lane < LANES; lane++)
        for (int place = 0; place < soak->lanes[lane].places; place++)
            for (int process = 0; process < PROCESSES; process++) {
                int is_inproc = soak->lanes[lane].transport == INPROC;
                if (soak->lanes[lane].pattern == DEVICE && place == 0)
                    continue;
                if (!is_inproc && process_of(lane, place) != process)
                    continue;
                if (!look(lane, place, process))
                    return 0;
            }
    return 1;
}

static uint64_t noted[LANES][PLACES][PROCESSES];

static int note(int lane, int place, int process)
{
    noted[lane][place][process] = progress_of(lane, place, process);
    return 1;
}

static int went_on(int lane, int place, int process)
{
    return progress_of(lane, place, process) > noted[lane][place][process];
}

static int tell_if_stuck(int lane, int place, int process)
{
    if (!went_on(lane, place, process))
        FAIL("%s on %s: place %d, in process %d, does not go on",
             PATTERN_NAMES[soak->lanes[lane].pattern],
             TRANSPORT_NAMES[soak->lanes[lane].transport], place, process);
    return 1;
}

static int add_up(int lane, int place, int process)
{
    sum.turns += progress_of(lane, place, process);
    return 1;
}

static void check_descriptors(int i)
{
    struct process *it = &soak->processes[i];
    int most = accounts[i].descriptors + DESCRIPTORS_MORE;
    if (accounts[i].quiets < QUIETS_BEFORE_MEASURE)
        return;
    if (!wait_until(SHARED(it->descriptors) <= most, QUIET_MS))
        FAIL("process %d has %d descriptors, and had %d", i, it->descriptors,
             accounts[i].descriptors);
}

static void check_memory(int i)
{
    long more = SHARED(soak->processes[i].resident_kb) - accounts[i].resident_kb;
    if (accounts[i].quiets <= QUIETS_BEFORE_MEMORY || !memory_can_be_measured())
        return;
    if (more > sum.resident_more)
        sum.resident_more = more;
    if (more > RESIDENT_MORE_KB)
        FAIL("process %d has grown by %ld KiB in %d quiet times", i, more, accounts[i].quiets);
}

static void measure(int i)
{
    if (++accounts[i].quiets < QUIETS_BEFORE_MEASURE)
        accounts[i].descriptors = soak->processes[i].descriptors;
    if (accounts[i].quiets <= QUIETS_BEFORE_MEMORY)
        accounts[i].resident_kb = soak->processes[i].resident_kb;
    check_descriptors(i);
    check_memory(i);
}

static void quiet_time(void)
{
    garbage_end();
    for (int i = 0; i < PROCESSES; i++) {
        go_on(i);
        if (soak->processes[i].pid == 0)
            start(i);
    }
    SHARE(soak->quiet, soak->quiet + 1);
    if (!wait_until(all_are_calm(), QUIET_MS))
        FAIL("a process does not answer");
    each_end(note);
    if (!wait_until(each_end(went_on), QUIET_MS))
        each_end(tell_if_stuck);
    for (int i = 0; i < PROCESSES; i++)
        measure(i);
    check_alive();
    sum.quiets++;
    SHARE(soak->quiet, soak->quiet + 1);
}

static void end_all(void)
{
    SHARE(soak->stop, 1);
    for (int i = 0; i < PROCESSES; i++) {
        int status = -1;
        pid_t pid = soak->processes[i].pid;
        if (!wait_until(waitpid(pid, &status, WNOHANG) == pid, END_MS)) {
            FAIL("process %d does not end", i);
            kill_now(i);
        } else if (status != 0) {
            FAIL("process %d ends with status %#x", i, (unsigned)status);
        }
    }
}

static void everything_goes_on(int seconds)
{
    uint64_t state = soak->seed;
    int64_t end = now_ms() + seconds * INT64_C(1000);
    for (int i = 0; i < PROCESSES; i++)
        start(i);
    do {
        quiet_time();
        trouble_time(&state);
    } while (now_ms() < end && !case_failed());
    quiet_time();
    end_all();
    each_end(add_up);
    printf("seed %llu: %llu turns; %d kills, %d stops, %d faults, %d limits, %d strangers; "
           "%d quiet times; %ld KiB more at most\n", (unsigned long long)soak->seed,
           (unsigned long long)sum.turns, sum.kills, sum.stops, sum.faults, sum.limits,
           sum.strangers, sum.quiets, sum.resident_more);
}

int main(int count, char **words)
{
    int seconds = 60;
    uint64_t seed = (uint64_t)now_us();
    for (int i = 1; i < count; i += 2) {
        if (i + 1 < count && strcmp(words[i], "--minutes") == 0)
            seconds = 60 * atoi(words[i + 1]);
        else if (i + 1 < count && strcmp(words[i], "--seconds") == 0)
            seconds = atoi(words[i + 1]);
        else if (i + 1 < count && strcmp(words[i], "--seed") == 0)
            seed = strtoull(words[i + 1], NULL, 10);
        else {
            fprintf(stderr, "usage: %s [--minutes N | --seconds N] [--seed N]\n", words[0]);
            return 2;
        }
    }
    test_begin("soak/soak", 2 * seconds + 300);
    soak = mmap(NULL, sizeof *soak, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    REQUIRE(soak != MAP_FAILED);
    soak->seed = seed;
    make_lanes();
    printf("seed %llu\n", (unsigned long long)seed);
    if (CASE("everything_goes_on"))
        everything_goes_on(seconds);
    return test_end();
}

/* Every socket type of ours with its peer type in the reference, in nng and in our own library,
 * over each transport, each side once as the one that listens: interop 1 to 5. Prints a table.
 *
 *   matrix [--encrypted AUTHORITY] LIBRARIES PEER [PEER-NNG]
 *
 * LIBRARIES is the directory that holds a directory for our library and perhaps one for the
 * reference, PEER the program on nanomsg's API, PEER-NNG the one on nng's. What is not there is
 * left out. AUTHORITY is the script that makes certificates: with it the transports are those that
 * encrypt, which the reference does not have. The two processes of a cell speak as conversation.c
 * says. The exit code is 0 only when all cells are right. SPMSG_TEST_CASE=req chooses the rows in
 * which our side is a REQ. */

#include "support/address.h"
#include "support/cases.h"
#include "support/check.h"
#include "support/clock.h"
#include "support/directory.h"
#include "support/process.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* How a cell is connected, its address beneath what encrypts, and which of its peers ask for a
 * certificate: those who dial, unless both are to. */
struct transport {
    const char *name;
    const char *scheme;
    const char *reserved;
    int is_mutual;
};

static const struct transport plain[] = {
    {"tcp", "tcp", "tcp", 0},
    {"ipc", "ipc", "ipc", 0},
    {"ws", "ws", "ws", 0},
};
static const struct transport encrypted[] = {
    {"tls+tcp", "tls+tcp", "tcp", 0},
    {"mutual", "tls+tcp", "tcp", 1},
    {"wss", "wss", "tcp", 0},
    {"wss-mutual", "wss", "tcp", 1},
};
/* The wider of the two tables, and a column of what is printed. */
enum { TRANSPORTS = sizeof encrypted / sizeof encrypted[0], COLUMN = 10 };
_Static_assert(sizeof plain <= sizeof encrypted, "there is room for either");

static const struct transport *transports = plain;
static int transport_count = sizeof plain / sizeof plain[0];

/* Protocols 1: who talks to whom. The raw side of a row shows or takes the header. */
static const struct row {
    const char *ours;
    const char *theirs;
} rows[] = {
    {"pair", "pair"},
    {"many-pair", "pair"},
    {"pub", "sub"},
    {"sub", "pub"},
    {"req", "rep"},
    {"rep", "req"},
    {"push", "pull"},
    {"pull", "push"},
    {"surveyor", "respondent"},
    {"respondent", "surveyor"},
    {"bus", "bus"},
    {"req", "raw-rep"},
    {"raw-req", "rep"},
    {"rep", "raw-req"},
    {"raw-rep", "req"},
    {"surveyor", "raw-respondent"},
    {"raw-surveyor", "respondent"},
    {"respondent", "raw-surveyor"},
    {"raw-respondent", "surveyor"},
    {"bus", "raw-bus"},
    {"raw-bus", "bus"},
    {"context-req", "rep"},
    {"context-rep", "req"},
    {"context-surveyor", "respondent"},
    {"context-respondent", "surveyor"},
    {"context-sub", "pub"},
};
enum { ROWS = sizeof rows / sizeof rows[0] };

enum { SPMSG, REFERENCE, NNG, LIBRARIES };

static struct library {
    const char *name;
    const char *peer;       /* NULL when it is not there */
    char environment[4200]; /* what makes the peer find it */
    char file[4200];        /* what it must have found, if we know; else a name with this one */
} libraries[LIBRARIES] = {{.name = "spmsg"}, {.name = "reference"}, {.name = "nng"}};

/* Our side is always the first. */
static const int partners[] = {REFERENCE, NNG, SPMSG};
enum { PARTNERS = sizeof partners / sizeof partners[0] };

enum { WE_LISTEN, WE_DIAL, TURNS };

struct cell {
    int partner;
    struct child ours, theirs;
    struct reserved address;
    struct url url;
};

/* Where the certificates are. */
static char certificates[200] = "SPMSG_PEER_CERTIFICATES=";

/* A peer finds the other one at its standard input. */
static void start(struct child *child, struct library *library, const char *type, const char *side,
                  const struct cell *cell, int is_mutual, int other)
{
    char *words[] = {(char *)library->peer, (char *)type, (char *)side, (char *)cell->url.text,
                     NULL};
    /* The leaks of the others are not ours. */
    char *environment[] = {library->environment, certificates,
                           is_mutual ? "SPMSG_PEER_MUTUAL=1" : "SPMSG_PEER_MUTUAL=0",
                           library == &libraries[SPMSG] ? NULL : "ASAN_OPTIONS=detect_leaks=0",
                           NULL};
    REQUIRE(dup2(other, 0) == 0);
    child_exec(child, words, environment);
    /* When the peer dies, nobody else may hold its end open. */
    close(other);
    other = open("/dev/null", O_RDONLY);
    REQUIRE(dup2(other, 0) == 0);
    close(other);
}

static void start_cell(struct cell *cell, const struct row *row,
                       const struct transport *transport, int turn)
{
    int ends[2];
    cell->address = reserve_url(transport->reserved);
    snprintf(cell->url.text, sizeof cell->url.text, "%s%.*s", transport->scheme,
             (int)sizeof cell->url.text - 16, strstr(cell->address.url.text, "://"));
    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    start(&cell->ours, &libraries[SPMSG], row->ours, turn == WE_LISTEN ? "listen" : "dial", cell,
          transport->is_mutual, ends[0]);
    start(&cell->theirs, &libraries[cell->partner], row->theirs,
          turn == WE_LISTEN ? "dial" : "listen", cell, transport->is_mutual, ends[1]);
}

/* Why the peer did not run on its library until a good end; NULL when it did. */
static const char *finish(struct child *child, const struct library *library, char why[128])
{
    char line[4200];
    int known = child_line(child, line, sizeof line, PATIENCE_MS)
                && (library->file[0] ? strcmp(line, library->file) == 0
                                     : strstr(line, library->name) != NULL);
    int status = child_wait(child, 6 * PATIENCE_MS);
    test.assertions++;
    if (status == 0 && known)
        return NULL;
    if (status == 0)
        snprintf(why, 128, "ran on %.100s", line);
    else if (status > 128)
        snprintf(why, 128, "was ended by signal %d", status - 128);
    else
        snprintf(why, 128, "%s", status < 0 ? "did not end" : "gave up");
    return why;
}

static const char *finish_cell(struct cell *cell, const struct row *row, const char *transport,
                               int turn)
{
    char our_why[128], their_why[128];
    const char *ours = finish(&cell->ours, &libraries[SPMSG], our_why);
    const char *theirs = finish(&cell->theirs, &libraries[cell->partner], their_why);
    release_url(&cell->address);
    if (!ours && !theirs)
        return "ok";
    FAIL("%s on %s, %s: %s; %s on %s: %s; over %s", row->ours, libraries[SPMSG].name,
         turn == WE_LISTEN ? "listening" : "dialing", ours ? ours : "ended well", row->theirs,
         libraries[cell->partner].name, theirs ? theirs : "ended well", transport);
    return "FAIL";
}

/* All cells of a row run at the same time. */
static void run_row(const struct row *row)
{
    static struct cell cells[PARTNERS][TRANSPORTS][TURNS];
    char line[40 + PARTNERS * TRANSPORTS * (COLUMN + 1)];
    int length = snprintf(line, sizeof line, "%-20s%-15s", row->ours, row->theirs);
    for (int p = 0; p < PARTNERS; p++)
        for (int t = 0; t < transport_count && libraries[partners[p]].peer; t++)
            for (int turn = 0; turn < TURNS; turn++) {
                cells[p][t][turn].partner = partners[p];
                start_cell(&cells[p][t][turn], row, &transports[t], turn);
            }
    for (int p = 0; p < PARTNERS; p++)
        for (int t = 0; t < transport_count && libraries[partners[p]].peer; t++) {
            char text[16];
            const char *name = transports[t].name;
            const char *one = finish_cell(&cells[p][t][WE_LISTEN], row, name, WE_LISTEN);
            const char *two = finish_cell(&cells[p][t][WE_DIAL], row, name, WE_DIAL);
            snprintf(text, sizeof text, "%s/%s", one, two);
            length += snprintf(line + length, sizeof line - (size_t)length, " %-*s", COLUMN,
                               text);
        }
    printf("%s\n", line);
}

static void print_heading(void)
{
    printf("\nA cell is one conversation with %s listening / one with %s dialing.\n\n",
           libraries[SPMSG].name, libraries[SPMSG].name);
    printf("%-35s", "");
    for (int p = 0; p < PARTNERS; p++)
        if (libraries[partners[p]].peer)
            printf(" with %-*s", transport_count * (COLUMN + 1) - 6, libraries[partners[p]].name);
    printf("\n%-20s%-15s", libraries[SPMSG].name, "its peer");
    for (int p = 0; p < PARTNERS; p++)
        for (int t = 0; t < transport_count && libraries[partners[p]].peer; t++)
            printf(" %-*s", COLUMN, transports[t].name);
    printf("\n");
}

/* A library that is not there leaves its peer NULL. */
static void find_library(int which, const char *directory, const char *peer)
{
    struct library *library = &libraries[which];
    char path[4200];
    snprintf(path, sizeof path, "%s/%s/libspmsg.so.0", directory, library->name);
    if (!realpath(path, library->file)) {
        printf("%s is not there: its columns are left out\n", library->name);
        return;
    }
    library->peer = peer;
    snprintf(library->environment, sizeof library->environment, "LD_LIBRARY_PATH=%s/%s",
             directory, library->name);
}

/* Everything is encrypted from now on, with certificates of that script. */
static void encrypt(const char *script)
{
    char command[4400];
    size_t length = strlen(certificates);
    transports = encrypted;
    transport_count = TRANSPORTS;
    snprintf(certificates + length, sizeof certificates - length, "%s", test_directory());
    snprintf(command, sizeof command, "sh '%s' '%s'", script, test_directory());
    REQUIRE(system(command) == 0);
}

int main(int count, char **words)
{
    const char *only = getenv("SPMSG_TEST_CASE");
    const char *script = NULL;
    if (count > 2 && strcmp(words[1], "--encrypted") == 0) {
        script = words[2];
        words[2] = words[0];
        count -= 2;
        words += 2;
    }
    if (count != 3 && count != 4) {
        fprintf(stderr, "usage: %s [--encrypted AUTHORITY] LIBRARIES PEER [PEER-NNG]\n",
                words[0]);
        return 2;
    }
    test_begin(script ? "interop/matrix-tls" : "interop/matrix", 290);
    if (script)
        encrypt(script);
    else
        find_library(REFERENCE, words[1], words[2]);
    find_library(SPMSG, words[1], words[2]);
    REQUIRE(libraries[SPMSG].peer != NULL);
    if (count == 4)
        libraries[NNG].peer = words[3];
    else
        printf("nng is not there: its columns are left out\n");
    print_heading();
    for (int i = 0; i < ROWS; i++) {
        if (only && strcmp(only, rows[i].ours) != 0)
            continue;
        test.current = rows[i].ours;
        test.cases++;
        run_row(&rows[i]);
    }
    printf("\n");
    return test_end();
}

/* differential FIRST COUNT PORT [WITHOUT...]: writes the transcripts of COUNT sequences, the seeds
 * of which start with FIRST. PORT is the first of three tcp ports. The operations WITHOUT are left
 * out. See differential.h, and compare.py for what it is good for. */

#include "differential.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char is_left_out[OPERATIONS];

static const struct {
    int weight;
    void (*call)(void);
} CALLS[] = {
    {10, call_socket}, {3, call_close}, {13, call_endpoint}, {3, call_shutdown},
    {2, call_bad_address}, {6, call_set_option}, {5, call_get_option}, {4, call_subscribe},
    {24, call_send}, {20, call_recv}, {8, call_poll}, {5, call_statistic}, {1, call_symbol},
    {1, call_message}, {2, call_device},
};

static void operate(int number)
{
    int choice, total = 0;
    sequence.operation = number;
    sequence.random = sequence.seed * 1000003 + (uint64_t)number * 7919;
    random_word();
    for (size_t i = 0; i < sizeof CALLS / sizeof CALLS[0]; i++)
        total += CALLS[i].weight;
    choice = below(total);
    /* Sockets first, then their connections, so that there is something to talk about. */
    if (number < 4) {
        call_socket();
        return;
    }
    if (number < 9) {
        call_endpoint();
        return;
    }
    for (size_t i = 0; i < sizeof CALLS / sizeof CALLS[0]; i++) {
        choice -= CALLS[i].weight;
        if (choice < 0) {
            CALLS[i].call();
            return;
        }
    }
}

static void run(uint64_t seed)
{
    memset(&sequence, 0, sizeof sequence);
    sequence.seed = seed;
    sequence.has_tcp = seed % 3 == 0;
    forget_words();
    printf("seed %llu\n", (unsigned long long)seed);
    for (int i = 0; i < OPERATIONS; i++) {
        if (is_left_out[i])
            continue;
        printf("%d: ", i);
        operate(i);
        printf("\n");
    }
    printf("end:\n");
    /* Those who ask come last, when nobody is left whom they could ask again. */
    for (int asks = 0; asks < 2; asks++)
        for (int i = 0; i < SLOTS; i++)
            if (sequence.slots[i].is_open && is_of(&sequence.slots[i], NN_REQ) == asks)
                close_slot(&sequence.slots[i]);
    fflush(stdout);
}

int main(int count, char **words)
{
    static char buffer[1 << 16];
    if (count < 4) {
        fprintf(stderr, "usage: differential FIRST COUNT PORT [WITHOUT...]\n");
        return 2;
    }
    setvbuf(stdout, buffer, _IOFBF, sizeof buffer);
    uint64_t first = strtoull(words[1], NULL, 10), number = strtoull(words[2], NULL, 10);
    first_port = atoi(words[3]);
    for (int i = 4; i < count; i++) {
        int without = atoi(words[i]);
        if (without >= 0 && without < OPERATIONS)
            is_left_out[without] = 1;
    }
    alarm(300);
    for (uint64_t i = 0; i < number; i++)
        run(first + i);
    return 0;
}

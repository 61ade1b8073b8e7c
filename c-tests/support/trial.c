#include "support/trial.h"

#include "support/cases.h"
#include "support/resources.h"

#include <stdio.h>
#include <stdlib.h>

struct trial trial;

void trial_begin(const char *name, const char *schemes, int seconds, int count, char **words)
{
    const char *effort = getenv("SPMSG_EFFORT"), *seed = getenv("SPMSG_SEED");
    int next = schemes ? 2 : 1;
    if (next < count)
        effort = words[next++];
    if (next < count)
        seed = words[next++];
    trial.effort = effort && atoi(effort) > 1 ? atoi(effort) : 1;
    trial.seed = seed ? strtoull(seed, NULL, 10) : 1;
    seconds = seconds * trial.effort + (trial.effort > 1 ? 30 : 0);
    if (schemes)
        trial.scheme = test_begin_with(name, schemes, seconds, count, words);
    else
        test_begin(name, seconds);
    trial.before = belongings();
    printf("effort %d, seed %llu\n", trial.effort, (unsigned long long)trial.seed);
}

void nothing_is_left(void)
{
    check_nothing_left(trial.before);
}

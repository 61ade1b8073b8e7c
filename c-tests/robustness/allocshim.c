/* Stands between the library and the allocator of the C library, and lets calls fail. */

#define _GNU_SOURCE
#include "allocshim.h"
#include "caller.h"

#include <errno.h>
#include <sched.h>
#include <stddef.h>
#include <stdint.h>

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *old, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);
extern void __libc_free(void *memory);

/* It is written while `armed` is 0. */
static struct {
    int armed;
    enum alloc_caller caller;
    long nth;
    long count;
    long calls;
    long failed;
} plan;

__attribute__((constructor)) static void begin(void)
{
    find_callers();
}

static int finds_none(const void *caller)
{
    if (!__atomic_load_n(&plan.armed, __ATOMIC_ACQUIRE))
        return 0;
    if (plan.caller == BY_LIBRARY ? !is_library(caller) : is_program(caller))
        return 0;
    long number = __atomic_add_fetch(&plan.calls, 1, __ATOMIC_RELAXED);
    if (number < plan.nth || number - plan.nth >= plan.count)
        return 0;
    __atomic_add_fetch(&plan.failed, 1, __ATOMIC_RELAXED);
    errno = ENOMEM;
    return 1;
}

void alloc_fail(enum alloc_caller caller, long nth, long count)
{
    alloc_end();
    plan.caller = caller;
    plan.nth = nth;
    plan.count = count;
    __atomic_store_n(&plan.calls, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&plan.failed, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&plan.armed, 1, __ATOMIC_RELEASE);
}

long alloc_calls(void)
{
    return __atomic_load_n(&plan.calls, __ATOMIC_RELAXED);
}

long alloc_end(void)
{
    __atomic_store_n(&plan.armed, 0, __ATOMIC_RELEASE);
    return __atomic_load_n(&plan.failed, __ATOMIC_RELAXED);
}

/* ---- what the library has ---- */

/* Addresses, by a hash of theirs: 0 where nothing was, 1 where something was. */
enum { PLACES = 1 << 16 };
static uintptr_t places[PLACES];
static int places_lock;
static long live;

static void lock_places(void)
{
    while (__atomic_exchange_n(&places_lock, 1, __ATOMIC_ACQUIRE))
        sched_yield();
}

static void unlock_places(void)
{
    __atomic_store_n(&places_lock, 0, __ATOMIC_RELEASE);
}

static size_t first_place(uintptr_t memory)
{
    return (size_t)((memory >> 4) * UINT64_C(0x9e3779b97f4a7c15) >> 48) % PLACES;
}

/* A table that is full counts no further, and no test has that much. */
static void *had(void *memory, int is_librarys)
{
    uintptr_t address = (uintptr_t)memory;
    if (!memory || !is_librarys)
        return memory;
    lock_places();
    for (size_t i = 0, at = first_place(address); i < PLACES; i++, at = (at + 1) % PLACES) {
        if (places[at] > 1)
            continue;
        places[at] = address;
        live++;
        break;
    }
    unlock_places();
    return memory;
}

static int forget(void *memory)
{
    uintptr_t address = (uintptr_t)memory;
    int was_there = 0;
    if (!memory)
        return 0;
    lock_places();
    for (size_t i = 0, at = first_place(address); i < PLACES && places[at]; i++) {
        if (places[at] == address) {
            places[at] = 1;
            live--;
            was_there = 1;
            break;
        }
        at = (at + 1) % PLACES;
    }
    unlock_places();
    return was_there;
}

long alloc_live(void)
{
    lock_places();
    long count = live;
    unlock_places();
    return count;
}

/* ---- the functions ---- */

void *malloc(size_t size)
{
    return finds_none(CALLER) ? NULL : had(__libc_malloc(size), is_library(CALLER));
}

void *calloc(size_t count, size_t size)
{
    return finds_none(CALLER) ? NULL : had(__libc_calloc(count, size), is_library(CALLER));
}

static void *aligned(size_t alignment, size_t size, const void *caller)
{
    return finds_none(caller) ? NULL : had(__libc_memalign(alignment, size), is_library(caller));
}

void *aligned_alloc(size_t alignment, size_t size)
{
    return aligned(alignment, size, CALLER);
}

int posix_memalign(void **result, size_t alignment, size_t size)
{
    void *memory = aligned(alignment, size, CALLER);
    if (!memory)
        return ENOMEM;
    *result = memory;
    return 0;
}

/* The old address is forgotten first: as soon as it is free, another thread may get it. */
void *realloc(void *old, size_t size)
{
    if (finds_none(CALLER))
        return NULL;
    int was_there = forget(old);
    void *memory = __libc_realloc(old, size);
    if (!memory && size > 0 && was_there)
        had(old, 1);
    return had(memory, was_there || is_library(CALLER));
}

void free(void *memory)
{
    int error = errno;
    forget(memory);
    __libc_free(memory);
    errno = error;
}

/* Stands between the library and the C library, passes every call on, and lets some fail. */

#define _GNU_SOURCE
#include "caller.h"
#include "faultshim.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* One plan at a time. It is written while `armed` is 0, and read only while that is 1. */
static struct {
    int armed;
    const char *function;
    int error;
    long nth;
    int permille;
    uint64_t seed;
    long calls;
    long failed;
    long bytes; /* that a call takes, where it takes some */
} plan;

static void arm(const char *function, int error, long nth, int permille, uint64_t seed)
{
    fault_end();
    find_callers();
    plan.function = function;
    plan.error = error;
    plan.nth = nth;
    plan.permille = permille;
    plan.seed = seed;
    __atomic_store_n(&plan.calls, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&plan.failed, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&plan.armed, 1, __ATOMIC_RELEASE);
}

void fault_nth(const char *function, int error, long nth)
{
    arm(function, error, nth, 0, 0);
}

void fault_often(const char *function, int error, int permille, uint64_t seed)
{
    arm(function, error, 0, permille, seed);
}

void fault_short(long bytes)
{
    fault_end();
    __atomic_store_n(&plan.bytes, bytes, __ATOMIC_RELEASE);
}

long fault_calls(void)
{
    return __atomic_load_n(&plan.calls, __ATOMIC_RELAXED);
}

long fault_end(void)
{
    __atomic_store_n(&plan.armed, 0, __ATOMIC_RELEASE);
    __atomic_store_n(&plan.bytes, 0, __ATOMIC_RELEASE);
    return __atomic_load_n(&plan.failed, __ATOMIC_RELAXED);
}

/* The fate of a call is a function of the seed and of its number. */
static int is_chosen(long number)
{
    uint64_t z = plan.seed + (uint64_t)number * UINT64_C(0x9e3779b97f4a7c15);
    if (plan.nth > 0)
        return number == plan.nth;
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (int)((z ^ (z >> 31)) % 1000) < plan.permille;
}

/* The error that this call shall have, or 0. */
static int fault_of(const char *function)
{
    if (!__atomic_load_n(&plan.armed, __ATOMIC_ACQUIRE) || strcmp(function, plan.function) != 0)
        return 0;
    if (!is_chosen(__atomic_add_fetch(&plan.calls, 1, __ATOMIC_RELAXED)))
        return 0;
    __atomic_add_fetch(&plan.failed, 1, __ATOMIC_RELAXED);
    return plan.error;
}

/* The same for functions that others call, too, who do not expect them to fail, such as the runtime
 * of a sanitizer. */
static int fault_of_library(const char *function, const void *caller)
{
    return is_library(caller) ? fault_of(function) : 0;
}

#define REAL(name) \
    static __typeof__(&name) real; \
    if (!__atomic_load_n(&real, __ATOMIC_RELAXED)) \
        __atomic_store_n(&real, (__typeof__(&name))(uintptr_t)dlsym(RTLD_NEXT, #name), \
                         __ATOMIC_RELAXED)

/* A function that returns -1 and sets errno. */
#define PASS_IF(type, name, parameters, arguments, fault) \
    type name parameters \
    { \
        REAL(name); \
        int error = fault; \
        if (error == 0) \
            return real arguments; \
        errno = error; \
        return -1; \
    }
#define PASS(type, name, parameters, arguments) \
    PASS_IF(type, name, parameters, arguments, fault_of(#name))
#define PASS_LIBRARY(type, name, parameters, arguments) \
    PASS_IF(type, name, parameters, arguments, fault_of_library(#name, CALLER))

/* A function whose errors are its result. */
#define PASS_RESULT_IF(name, parameters, arguments, fault) \
    int name parameters \
    { \
        REAL(name); \
        int error = fault; \
        return error == 0 ? real arguments : error; \
    }
#define PASS_RESULT(name, parameters, arguments) \
    PASS_RESULT_IF(name, parameters, arguments, fault_of(#name))
#define PASS_RESULT_LIBRARY(name, parameters, arguments) \
    PASS_RESULT_IF(name, parameters, arguments, fault_of_library(#name, CALLER))

PASS(int, accept, (int fd, struct sockaddr *address, socklen_t *size), (fd, address, size))
PASS(int, accept4, (int fd, struct sockaddr *address, socklen_t *size, int flags),
     (fd, address, size, flags))
PASS(int, bind, (int fd, const struct sockaddr *address, socklen_t size), (fd, address, size))
PASS(int, connect, (int fd, const struct sockaddr *address, socklen_t size), (fd, address, size))
PASS(int, epoll_create1, (int flags), (flags))
PASS(int, epoll_ctl, (int set, int operation, int fd, struct epoll_event *event),
     (set, operation, fd, event))
PASS(int, epoll_wait, (int set, struct epoll_event *events, int count, int ms),
     (set, events, count, ms))
PASS(int, eventfd, (unsigned count, int flags), (count, flags))
PASS(int, getsockopt, (int fd, int level, int option, void *value, socklen_t *size),
     (fd, level, option, value, size))
PASS(int, listen, (int fd, int backlog), (fd, backlog))
PASS(int, poll, (struct pollfd *entries, nfds_t count, int ms), (entries, count, ms))
PASS(int, ppoll, (struct pollfd *entries, nfds_t count, const struct timespec *limit,
     const sigset_t *mask), (entries, count, limit, mask))
PASS(ssize_t, read, (int fd, void *bytes, size_t size), (fd, bytes, size))
PASS(ssize_t, recv, (int fd, void *bytes, size_t size, int flags), (fd, bytes, size, flags))
PASS(ssize_t, recvmsg, (int fd, struct msghdr *header, int flags), (fd, header, flags))
PASS(ssize_t, send, (int fd, const void *bytes, size_t size, int flags), (fd, bytes, size, flags))
PASS(int, setsockopt, (int fd, int level, int option, const void *value, socklen_t size),
     (fd, level, option, value, size))
PASS(int, shutdown, (int fd, int how), (fd, how))
PASS(int, socket, (int domain, int type, int protocol), (domain, type, protocol))
PASS(int, unlink, (const char *path), (path))

PASS_LIBRARY(int, chmod, (const char *path, mode_t mode), (path, mode))
PASS_LIBRARY(int, fchmod, (int fd, mode_t mode), (fd, mode))
PASS_LIBRARY(int, fstat64, (int fd, struct stat64 *status), (fd, status))
PASS_LIBRARY(ssize_t, getrandom, (void *bytes, size_t size, unsigned flags),
             (bytes, size, flags))
PASS_LIBRARY(int, getrlimit, (__rlimit_resource_t resource, struct rlimit *limit),
             (resource, limit))
PASS_LIBRARY(int, getsockname, (int fd, struct sockaddr *address, socklen_t *size),
             (fd, address, size))
PASS_LIBRARY(int, lstat64, (const char *path, struct stat64 *status), (path, status))
PASS_LIBRARY(int, sched_getaffinity, (pid_t pid, size_t size, cpu_set_t *set),
             (pid, size, set))
PASS_LIBRARY(int, stat64, (const char *path, struct stat64 *status), (path, status))

PASS_RESULT_LIBRARY(clock_nanosleep, (clockid_t clock, int flags, const struct timespec *time,
            struct timespec *left), (clock, flags, time, left))
PASS_RESULT_LIBRARY(pthread_attr_init, (pthread_attr_t *attributes), (attributes))
PASS_RESULT_LIBRARY(pthread_attr_setstacksize, (pthread_attr_t *attributes, size_t size),
            (attributes, size))
PASS_RESULT_LIBRARY(pthread_setspecific, (pthread_key_t key, const void *value), (key, value))
PASS_RESULT(getaddrinfo, (const char *node, const char *service, const struct addrinfo *hints,
            struct addrinfo **result), (node, service, hints, result))
PASS_RESULT(pthread_create, (pthread_t *thread, const pthread_attr_t *attributes,
            void *(*function)(void *), void *argument),
            (thread, attributes, function, argument))

/* Functions whose further arguments depend on the first, up to so many words. */
#define WORDS(first) \
    va_list list; \
    long a, b, c, d, e; \
    va_start(list, first); \
    a = va_arg(list, long), b = va_arg(list, long), c = va_arg(list, long); \
    d = va_arg(list, long), e = va_arg(list, long); \
    va_end(list)

#define PASS_WORDS(name, parameters, first, second) \
    int name parameters \
    { \
        REAL(name); \
        WORDS(second); \
        int error = fault_of_library(#name, CALLER); \
        if (error == 0) \
            return real(first, second, a, b, c, d, e); \
        errno = error; \
        return -1; \
    }

PASS_WORDS(ioctl, (int fd, unsigned long request, ...), fd, request)
PASS_WORDS(open64, (const char *path, int flags, ...), path, flags)

int prctl(int operation, ...)
{
    REAL(prctl);
    WORDS(operation);
    int error = fault_of_library("prctl", CALLER);
    if (error == 0)
        return real(operation, a, b, c, d, e);
    errno = error;
    return -1;
}

/* Of the calls that have no function of their own the library makes one: it waits, or wakes. To
 * wake cannot fail. */
/* The function whose work the library has the kernel do without it, or NULL. */
static const char *name_of(long number)
{
    switch (number) {
    case SYS_getrandom:
        return "getrandom";
    case SYS_read:
        return "read";
    case SYS_write:
        return "write";
    case SYS_recvfrom:
    case SYS_recvmsg:
        return "recvmsg";
    case SYS_sendmsg:
    case SYS_sendto:
        return "sendmsg";
    default:
        return NULL;
    }
}

static ssize_t send_less(int fd, const struct msghdr *header, long most, int flags);

long syscall(long number, ...)
{
    REAL(syscall);
    WORDS(number);
    va_start(list, number);
    for (int i = 0; i < 5; i++)
        (void)va_arg(list, long);
    long f = va_arg(list, long);
    va_end(list);
    int command = (int)b & FUTEX_CMD_MASK;
    int waits = number == SYS_futex && (command == FUTEX_WAIT || command == FUTEX_WAIT_BITSET);
    const char *name = waits ? "futex" : name_of(number);
    if (number == SYS_write && a <= STDERR_FILENO)
        name = NULL;
    int error = name != NULL ? fault_of_library(name, CALLER) : 0;
    long most = __atomic_load_n(&plan.bytes, __ATOMIC_ACQUIRE);
    if (error == 0 && most > 0 && number == SYS_sendto) {
        c = c < most ? c : most;
    } else if (error == 0 && most > 0 && number == SYS_sendmsg) {
        return send_less((int)a, (const struct msghdr *)b, most, (int)c);
    }
    if (error == 0)
        return real(number, a, b, c, d, e, f);
    errno = error;
    return -1;
}

/* Copies the first bytes of what is to be sent; returns their number. */
static size_t beginning(const struct msghdr *header, char *bytes, size_t size)
{
    size_t count = 0;
    for (size_t i = 0; i < header->msg_iovlen && count < size; i++) {
        const struct iovec *part = &header->msg_iov[i];
        size_t taken = part->iov_len < size - count ? part->iov_len : size - count;
        memcpy(bytes + count, part->iov_base, taken);
        count += taken;
    }
    return count;
}

static ssize_t send_less(int fd, const struct msghdr *header, long most, int flags)
{
    REAL(sendmsg);
    char bytes[64];
    struct iovec part = {bytes, most < (long)sizeof bytes ? (size_t)most : sizeof bytes};
    struct msghdr shorter = *header;
    part.iov_len = beginning(header, bytes, part.iov_len);
    shorter.msg_iov = &part;
    shorter.msg_iovlen = 1;
    return real(fd, &shorter, flags);
}

ssize_t sendmsg(int fd, const struct msghdr *header, int flags)
{
    REAL(sendmsg);
    long most = __atomic_load_n(&plan.bytes, __ATOMIC_ACQUIRE);
    int error = fault_of("sendmsg");
    if (error == 0 && most > 0)
        return send_less(fd, header, most, flags);
    if (error == 0)
        return real(fd, header, flags);
    errno = error;
    return -1;
}

/* Linux gives the descriptor up before it tells of an error. */
int close(int fd)
{
    REAL(close);
    int error = fault_of("close");
    int result = real(fd);
    if (error == 0)
        return result;
    errno = error;
    return -1;
}

/* The standard streams work always, or else a test could not say what went wrong. */
ssize_t write(int fd, const void *bytes, size_t size)
{
    REAL(write);
    int error = fd <= STDERR_FILENO ? 0 : fault_of("write");
    if (error == 0)
        return real(fd, bytes, size);
    errno = error;
    return -1;
}

int fcntl(int fd, int command, ...)
{
    REAL(fcntl);
    va_list arguments;
    va_start(arguments, command);
    void *argument = va_arg(arguments, void *);
    va_end(arguments);
    /* That cannot fail for a descriptor that is open: a Rust library with debug assertions takes it
     * for proof of a double close. */
    int error = command == F_GETFD ? 0 : fault_of("fcntl");
    if (error == 0)
        return real(fd, command, argument);
    errno = error;
    return -1;
}

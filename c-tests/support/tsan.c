/* Names that a newer compiler calls for copies that ThreadSanitizer shall see; the functions of the
 * C library, as the runtime of an older one has them, are seen just as well.
 *
 * Part of each program where the sanitizer is on, because its library is made by the newer one. */

#include <stddef.h>
#include <string.h>

void *__tsan_memcpy(void *to, const void *from, size_t size);
void *__tsan_memmove(void *to, const void *from, size_t size);
void *__tsan_memset(void *to, int byte, size_t size);

__attribute__((weak)) void *__tsan_memcpy(void *to, const void *from, size_t size)
{
    return memcpy(to, from, size);
}

__attribute__((weak)) void *__tsan_memmove(void *to, const void *from, size_t size)
{
    return memmove(to, from, size);
}

__attribute__((weak)) void *__tsan_memset(void *to, int byte, size_t size)
{
    return memset(to, byte, size);
}

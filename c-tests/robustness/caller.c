#define _GNU_SOURCE
#include "caller.h"

#include <link.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Where the code of a file lies. */
struct range {
    uintptr_t from;
    uintptr_t to;
};

static struct range library, program;

static void note_range(struct range *range, const struct dl_phdr_info *info)
{
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *header = &info->dlpi_phdr[i];
        if (header->p_type != PT_LOAD || !(header->p_flags & PF_X))
            continue;
        range->from = info->dlpi_addr + header->p_vaddr;
        range->to = range->from + header->p_memsz;
    }
}

static int note_file(struct dl_phdr_info *info, size_t size, void *data)
{
    int *count = data;
    (void)size;
    /* The program is the first, and has no name. */
    if ((*count)++ == 0)
        note_range(&program, info);
    else if (strstr(info->dlpi_name, "/libspmsg.so"))
        note_range(&library, info);
    return 0;
}

void find_callers(void)
{
    int count = 0;
    dl_iterate_phdr(note_file, &count);
}

static int is_in(struct range range, const void *place)
{
    return (uintptr_t)place >= range.from && (uintptr_t)place < range.to;
}

int is_library(const void *caller)
{
    return is_in(library, caller);
}

int is_program(const void *caller)
{
    return is_in(program, caller);
}

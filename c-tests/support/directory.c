#include "support/directory.h"

#include "support/check.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Empty until somebody asks for it. */
static char path[64];

const char *test_directory(void)
{
    if (!path[0]) {
        const char *base = getenv("TMPDIR");
        /* ipc paths may have 107 bytes in all. */
        if (!base || strlen(base) > 40)
            base = "/tmp";
        snprintf(path, sizeof path, "%s/spmsg-XXXXXX", base);
        REQUIRE(mkdtemp(path) != NULL);
    }
    return path;
}

void directory_remove(void)
{
    struct dirent *entry;
    DIR *directory = path[0] ? opendir(path) : NULL;
    if (!directory)
        return;
    while ((entry = readdir(directory)) != NULL)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0
            && unlinkat(dirfd(directory), entry->d_name, 0) != 0)
            unlinkat(dirfd(directory), entry->d_name, AT_REMOVEDIR);
    closedir(directory);
    rmdir(path);
}

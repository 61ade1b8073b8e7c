#include "support/credentials.h"

#include <nanomsg/nn.h>
#include <spmsg/spmsg.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* They lie in memory: who has no descriptor left could not read them. */
static struct text {
    const char *path;
    int option;
    char *bytes;
    size_t size;
} texts[] = {
    {SPMSG_CERTIFICATES "/here.pem", SPMSG_TLS_CERTIFICATE, NULL, 0},
    {SPMSG_CERTIFICATES "/here.key", SPMSG_TLS_KEY, NULL, 0},
    {SPMSG_CERTIFICATES "/ca.pem", SPMSG_TLS_TRUST, NULL, 0},
};
enum { TEXTS = sizeof texts / sizeof *texts, TEXT_MAX = 8192 };

int is_encrypted(const char *scheme)
{
    size_t length = strcspn(scheme, ":");
    return (length == 7 && memcmp(scheme, "tls+tcp", 7) == 0)
        || (length == 3 && memcmp(scheme, "wss", 3) == 0);
}

void credentials_load(const char *scheme)
{
    static char room[TEXTS][TEXT_MAX];
    if (!is_encrypted(scheme))
        return;
    for (int i = 0; i < TEXTS; i++) {
        FILE *file = fopen(texts[i].path, "r");
        size_t size = file ? fread(room[i], 1, TEXT_MAX, file) : 0;
        if (size == 0 || size == TEXT_MAX) {
            fprintf(stderr, "cannot read %s\n", texts[i].path);
            exit(2);
        }
        fclose(file);
        texts[i].bytes = room[i];
        texts[i].size = size;
    }
}

int dress_by(int (*set)(int s, int level, int option, const void *value, size_t size), int s)
{
    for (int i = 0; i < TEXTS && texts[i].bytes; i++)
        if (set(s, SPMSG_TLS, texts[i].option, texts[i].bytes, texts[i].size) != 0)
            return 0;
    return 1;
}

int dressed(int s)
{
    if (s >= 0 && !dress_by(nn_setsockopt, s)) {
        int error = errno;
        nn_close(s);
        errno = error;
        return -1;
    }
    return s;
}

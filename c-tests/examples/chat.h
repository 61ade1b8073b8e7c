/* A chat for two without a loop: what a loop calls when lines were typed, and when messages came.
 *
 * The programs loop-poll, loop-uv, loop-ev and loop-glib are this with a loop each. Start two of
 * them, which may be different ones:
 *
 *   loop-poll bind tcp://127.0.0.1:5555
 *   loop-uv connect tcp://127.0.0.1:5555
 *
 * Lines that are typed at one are printed by the other. Each ends with its input. */

#ifndef CHAT_H
#define CHAT_H

#include <stddef.h>

struct chat {
    int socket;
    int messages; /* readable while messages wait */
    int input;    /* where lines are typed */
    size_t length;
    char line[512];
};

/* Opens the socket as the words of main say. Returns 0, or -1 after saying why not. */
int chat_open(struct chat *chat, int count, char **words);

/* To be called when `messages` is readable, `input` is. Neither waits. Both return 0, 1 at the end
 * of the input, or -1 after saying what went wrong: then the loop is to end. */
int chat_messages(struct chat *chat);
int chat_input(struct chat *chat);

/* Closes the socket, and `messages` with it, which no loop may watch then. */
void chat_close(struct chat *chat);

#endif

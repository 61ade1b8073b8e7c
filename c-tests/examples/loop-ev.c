/* The chat in a loop of libev. */

#include "chat.h"

#include <ev.h>

#include <stddef.h>

static int result;

static void react(struct ev_loop *loop, int to)
{
    if (to != 0) {
        result = to;
        ev_break(loop, EVBREAK_ALL);
    }
}

static void on_messages(struct ev_loop *loop, ev_io *watcher, int events)
{
    (void)events;
    react(loop, chat_messages(watcher->data));
}

static void on_input(struct ev_loop *loop, ev_io *watcher, int events)
{
    (void)events;
    react(loop, chat_input(watcher->data));
}

int main(int count, char **words)
{
    struct chat chat;
    ev_io messages, input;
    struct ev_loop *loop = ev_default_loop(0);
    if (loop == NULL || chat_open(&chat, count, words) < 0)
        return 2;
    ev_io_init(&messages, on_messages, chat.messages, EV_READ);
    ev_io_init(&input, on_input, chat.input, EV_READ);
    messages.data = input.data = &chat;
    ev_io_start(loop, &messages);
    ev_io_start(loop, &input);
    ev_run(loop, 0);

    /* The descriptor ends with the socket, so the loop lets go of it first. */
    ev_io_stop(loop, &messages);
    ev_io_stop(loop, &input);
    chat_close(&chat);
    return result < 0;
}

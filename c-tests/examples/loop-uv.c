/* The chat in a loop of libuv. */

#include "chat.h"

#include <uv.h>

#include <stdio.h>

static int result;

static void react(uv_poll_t *watcher, int to)
{
    if (to != 0) {
        result = to;
        uv_stop(watcher->loop);
    }
}

static void on_messages(uv_poll_t *watcher, int status, int events)
{
    (void)events;
    react(watcher, status < 0 ? -1 : chat_messages(watcher->data));
}

static void on_input(uv_poll_t *watcher, int status, int events)
{
    (void)events;
    react(watcher, status < 0 ? -1 : chat_input(watcher->data));
}

static int run(uv_loop_t *loop, struct chat *chat)
{
    uv_poll_t messages, input;
    if (uv_poll_init(loop, &messages, chat->messages) < 0
        || uv_poll_init(loop, &input, chat->input) < 0)
        return -1;
    messages.data = input.data = chat;
    uv_poll_start(&messages, UV_READABLE, on_messages);
    uv_poll_start(&input, UV_READABLE, on_input);
    uv_run(loop, UV_RUN_DEFAULT);

    /* The descriptor ends with the socket, so the loop lets go of it first. */
    uv_close((uv_handle_t *)&messages, NULL);
    uv_close((uv_handle_t *)&input, NULL);
    uv_run(loop, UV_RUN_DEFAULT);
    return result;
}

int main(int count, char **words)
{
    struct chat chat;
    if (chat_open(&chat, count, words) < 0)
        return 2;
    int ended = run(uv_default_loop(), &chat);
    chat_close(&chat);
    uv_loop_close(uv_default_loop());
    return ended < 0;
}

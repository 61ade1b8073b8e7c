/* The chat in a main loop of GLib. */

#include "chat.h"

#include <glib-unix.h>
#include <glib.h>

static GMainLoop *loop;
static int result;

static gboolean react(int to)
{
    if (to != 0) {
        result = to;
        g_main_loop_quit(loop);
    }
    return G_SOURCE_CONTINUE;
}

static gboolean on_messages(gint fd, GIOCondition condition, gpointer chat)
{
    (void)fd;
    (void)condition;
    return react(chat_messages(chat));
}

static gboolean on_input(gint fd, GIOCondition condition, gpointer chat)
{
    (void)fd;
    (void)condition;
    return react(chat_input(chat));
}

int main(int count, char **words)
{
    struct chat chat;
    guint messages, input;
    if (chat_open(&chat, count, words) < 0)
        return 2;
    loop = g_main_loop_new(NULL, FALSE);
    messages = g_unix_fd_add(chat.messages, G_IO_IN, on_messages, &chat);
    input = g_unix_fd_add(chat.input, G_IO_IN | G_IO_HUP, on_input, &chat);
    g_main_loop_run(loop);

    /* The descriptor ends with the socket, so the loop lets go of it first. */
    g_source_remove(messages);
    g_source_remove(input);
    g_main_loop_unref(loop);
    chat_close(&chat);
    return result < 0;
}

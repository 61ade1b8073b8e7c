/* The chat in a loop around poll(2). */

#include "chat.h"

#include <poll.h>
#include <stddef.h>

int main(int count, char **words)
{
    struct chat chat;
    int result = 0;
    if (chat_open(&chat, count, words) < 0)
        return 2;
    struct pollfd ready[2] = {{chat.messages, POLLIN, 0}, {chat.input, POLLIN, 0}};
    while (result == 0) {
        if (poll(ready, 2, -1) < 0)
            result = -1;
        if (result == 0 && ready[0].revents)
            result = chat_messages(&chat);
        if (result == 0 && ready[1].revents)
            result = chat_input(&chat);
    }
    chat_close(&chat);
    return result < 0;
}

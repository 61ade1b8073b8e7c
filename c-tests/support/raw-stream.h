/* Streams of bytes for the other end of a connection: tcp and ipc without the library. */

#ifndef SPMSG_SUPPORT_RAW_STREAM_H
#define SPMSG_SUPPORT_RAW_STREAM_H

#include <stddef.h>

/* What a descriptor is used for, as its address says; of WebSocket, which side it is. */
enum raw_role { RAW_PLAIN, RAW_WS_LISTENER, RAW_WS_CLIENT, RAW_WS_SERVER };

/* How a stream has ended, if it has. */
enum raw_end { RAW_OPEN, RAW_EOF, RAW_RESET };

enum raw_role raw_role(int fd);

int raw_listen(const char *url);

/* The next connection, or -1 at the deadline. */
int raw_accept(int listener, int ms);

int raw_connect(const char *url);

/* The peer may close before it has read everything, so success is not checked. */
void raw_send(int fd, const void *bytes, size_t size);

/* How many of the wanted bytes came before the end of the stream or the deadline. */
size_t raw_recv(int fd, void *bytes, size_t size, int ms);

/* Reads until the peer ends the stream, and tells how it did. */
enum raw_end raw_end(int fd, int ms);

/* Closes so that a tcp peer sees a reset. */
void raw_reset(int fd);

/* Nothing has come on the stream, and nothing comes in a short time. */
void check_silence(int fd);

#endif

/* The public functions by name only. Programs are linked with this library so that they ask the
 * loader for libspmsg.so.0; ctest then puts a real library under that name. Nothing here is ever
 * called: a program that met this library by mistake stops at its first call. */

#include <stdlib.h>

#define NAME(function) void function(void); void function(void) { abort(); }

NAME(nn_allocmsg)
NAME(nn_bind)
NAME(nn_close)
NAME(nn_cmsg_nxthdr_)
NAME(nn_connect)
NAME(nn_device)
NAME(nn_errno)
NAME(nn_freemsg)
NAME(nn_get_statistic)
NAME(nn_getsockopt)
NAME(nn_poll)
NAME(nn_reallocmsg)
NAME(nn_recv)
NAME(nn_recvmsg)
NAME(nn_send)
NAME(nn_sendmsg)
NAME(nn_setsockopt)
NAME(nn_shutdown)
NAME(nn_socket)
NAME(nn_strerror)
NAME(nn_symbol)
NAME(nn_symbol_info)
NAME(nn_term)
NAME(spmsg_address)
NAME(spmsg_bind)
NAME(spmsg_connect)
NAME(spmsg_connect_fd)
NAME(spmsg_context)
NAME(spmsg_disconnect)
NAME(spmsg_error_text)
NAME(spmsg_event_text)
NAME(spmsg_events)
NAME(spmsg_listen_fd)
NAME(spmsg_next_event)
NAME(spmsg_version)

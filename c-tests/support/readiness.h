/* Whether a socket can receive or send, as its descriptors say. */

#ifndef SPMSG_SUPPORT_READINESS_H
#define SPMSG_SUPPORT_READINESS_H

#include <nanomsg/nn.h>

/* Whether NN_SNDFD or NN_RCVFD signals within that time (core 8.1). */
int signals(int s, int option, int ms);

#define CAN_RECV(s) signals((s), NN_RCVFD, 0)
#define CAN_SEND(s) signals((s), NN_SNDFD, 0)

#endif

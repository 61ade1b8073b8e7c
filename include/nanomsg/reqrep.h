/* REQREP: one asks, one of many answers.
 *
 * Generated from src/ffi; changes belong there. */

#ifndef REQREP_H_INCLUDED
#define REQREP_H_INCLUDED

#include "nn.h"

#ifdef __cplusplus
extern "C" {
#endif

#define NN_PROTO_REQREP 3

/** Sends a request to one of its peers and receives the reply to it. */
#define NN_REQ (NN_PROTO_REQREP * 16)

/** Receives a request, and sends the reply to whoever asked. */
#define NN_REP ((NN_PROTO_REQREP * 16) + 1)

/** An int, milliseconds, at level NN_REQ: a request without reply is sent again after this time;
 * 60000 unless set. */
#define NN_REQ_RESEND_IVL 1

/** Room for a number or an address. No function takes it. */
typedef union {
  int i;
  void *ptr;
} nn_req_handle;

#ifdef __cplusplus
}
#endif

#endif

/* PIPELINE: work flows from the sockets that push to the sockets that pull.
 *
 * Generated from src/ffi; changes belong there. */

#ifndef PIPELINE_H_INCLUDED
#define PIPELINE_H_INCLUDED

#ifdef __cplusplus
extern "C" {
#endif

#define NN_PROTO_PIPELINE 5

/** Sends each message to one of its peers, whichever can take it. Cannot receive. */
#define NN_PUSH (NN_PROTO_PIPELINE * 16)

/** Receives from all its peers in turn. Cannot send. */
#define NN_PULL ((NN_PROTO_PIPELINE * 16) + 1)

#ifdef __cplusplus
}
#endif

#endif

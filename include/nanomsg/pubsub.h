/* PUBSUB: a publisher speaks to everybody, a subscriber hears the topics that it asked for.
 *
 * Generated from src/ffi; changes belong there. */

#ifndef PUBSUB_H_INCLUDED
#define PUBSUB_H_INCLUDED

#ifdef __cplusplus
extern "C" {
#endif

#define NN_PROTO_PUBSUB 2

/** Sends each message to all its peers. Cannot receive. */
#define NN_PUB (NN_PROTO_PUBSUB * 16)

/** Receives the messages that begin with a topic it subscribed to. Cannot send. */
#define NN_SUB ((NN_PROTO_PUBSUB * 16) + 1)

/** The bytes of a topic, at level NN_SUB. The empty topic stands for all messages. */
#define NN_SUB_SUBSCRIBE 1

/** The bytes of a topic that was subscribed to, at level NN_SUB. */
#define NN_SUB_UNSUBSCRIBE 2

#ifdef __cplusplus
}
#endif

#endif

/* SURVEY: one asks many, and gathers what they answer in time.
 *
 * Generated from src/ffi; changes belong there. */

#ifndef SURVEY_H_INCLUDED
#define SURVEY_H_INCLUDED

#ifdef __cplusplus
extern "C" {
#endif

#define NN_PROTO_SURVEY 6

/** Sends a survey to all its peers and receives their responses until the deadline. */
#define NN_SURVEYOR ((NN_PROTO_SURVEY * 16) + 2)

/** Receives a survey, and sends the response to whoever asked. */
#define NN_RESPONDENT ((NN_PROTO_SURVEY * 16) + 3)

/** An int, milliseconds, at level NN_SURVEYOR: how long responses to a survey are accepted; 1000
 * unless set. */
#define NN_SURVEYOR_DEADLINE 1

#ifdef __cplusplus
}
#endif

#endif

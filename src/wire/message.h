/*
 * message.h - what a server reads of its nodes: fetch (otafetch), status report (otastatus), node description (config).
 *
 * RainMaker's device specification, 3.3 to 3.6.  What nodes write is in report.h, the job document in job.h: the room
 * has both directions of each message, so node and server cannot drift apart.  Reading tolerates what real nodes send:
 * unknown keys, reports cut at 199 bytes, unescaped texts.
 */
#ifndef PLUVIO_WIRE_MESSAGE_H
#define PLUVIO_WIRE_MESSAGE_H

#include "base/err.h"
#include "wire/report.h"

#define MESSAGE_MAX (128 * 1024) /* longer messages of nodes are refused unread */

/* --- fetch ------------------------------------------------------------------------------------ */

struct fetch_message {
    char node_id[NODE_ID_SIZE], fw_version[FW_VERSION_SIZE], network_id[17];
};

enum err fetch_message_read(struct fetch_message *m, struct bytes payload, struct why *why);

/* --- status report ---------------------------------------------------------------------------- */

/* ERR_FORMAT when job id or status cannot be found. */
enum err status_report_read(struct status_report *r, struct bytes payload, struct why *why);

/* How much of the image a node has: the percentage of "Downloaded <n>% Firmware Image", 0 when it begins to download,
 * which a node does after it found another version than its own in the image, 100 when it has all of it; -1 for other
 * texts. */
int status_info_percent(const char *info);

/* Texts that a server must tell apart, since the status word alone does not. */
bool status_info_is_rebooting(const char *info);
bool status_info_is_rollback(const char *info);

/* --- node description ------------------------------------------------------------------------- */

struct node_description {
    char node_id[NODE_ID_SIZE], name[65], fw_version[FW_VERSION_SIZE], type[65], subtype[65], model[65],
        project_name[33], platform[33], network_id[17];
    char key_digests[200];   /* of its eFuses, hex, a blank between them; "" when it tells none */
    uint32_t secure_version; /* attribute "secure-version"; 0 when it tells none */
    int64_t slot_bytes;      /* attribute "ota-slot-size": of the slot that takes updates; 0 when it tells none */
};

enum err node_description_read(struct node_description *d, struct bytes payload, struct why *why);

#endif

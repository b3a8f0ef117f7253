/*
 * ota.h - the node's mind: RainMaker's OTA as a state machine of (state, event, now) -> effects.
 *
 * The caller (rmaker on a chip or in vesp, the simulator) tells what happened and carries out the effects in order:
 *
 *     struct ota_effects todo;
 *     ota_step(&ota, &(struct ota_event){.kind = OTA_JOB_ARRIVED, ...}, now, &todo);
 *     for (i = 0; i < todo.count; i++) carry_out(&todo.at[i]);
 *
 * Invariants:
 *  O1  a pair that is not in the table changes nothing and has no effect but OTA_IGNORE
 *  O2  a job's id is remembered in flash before its download starts, the trial flag before the reboot
 *  O3  a new image is confirmed only by itself, on trial, after its diagnosis succeeded
 *  O4  at most one job runs; a second one is answered, not queued
 *
 * What is true in each state:
 *  IDLE         no job; the node asks by itself
 *  QUEUED       a job was accepted, its id is in flash; the callback has not run yet
 *  WORKING      attempt `attempt` of `attempts_max` runs
 *  REBOOTING    the other slot is selected; the reboot timer runs
 *  ON_TRIAL     this image is new and unconfirmed; the rollback timer runs
 *  ROLLED_BACK  this is the old image again; it has not said so yet
 *
 * Does not know: flash, MQTT, HTTP, threads.
 */
#ifndef PLUVIO_OTA_OTA_H
#define PLUVIO_OTA_OTA_H

#include "base/id.h"
#include "image/image.h"
#include "wire/message.h"

#define OTA_EFFECTS_MAX 6

enum ota_mind_state {
    OTA_IDLE,
    OTA_QUEUED,
    OTA_WORKING,
    OTA_REBOOTING,
    OTA_ON_TRIAL,
    OTA_ROLLED_BACK,
    OTA_MIND_STATES
};

enum ota_event_kind {
    OTA_BOOTED_NORMAL,      /* nothing pending */
    OTA_BOOTED_ON_TRIAL,    /* the running slot is pending verification */
    OTA_BOOTED_ROLLED_BACK, /* the trial flag is set but this image is not on trial */
    OTA_JOB_ARRIVED,        /* .job_id */
    OTA_JOB_UNUSABLE,       /* .text: RainMaker's text for what is missing */
    OTA_GATE_OPEN,          /* the metadata lets the download start */
    OTA_GATE_LATER,         /* .text, .delay_ms */
    OTA_GATE_SHUT,          /* .text: never again */
    OTA_ATTEMPT_OK,
    OTA_ATTEMPT_FAILED,   /* .text: what went wrong */
    OTA_ATTEMPT_REJECTED, /* .text */
    OTA_CALLBACK_DONE,    /* an application's own callback returned without the default workflow */
    OTA_DIAGNOSIS_GOOD,   /* and the server is reachable */
    OTA_DIAGNOSIS_BAD,
    OTA_TRIAL_OVER, /* the rollback timer expired */
    OTA_STARTED,    /* the node is up and connected; once per boot */
    OTA_EVENT_KINDS
};

struct ota_event {
    enum ota_event_kind kind;
    const char *job_id, *text; /* NULL where the kind has none */
    int64_t delay_ms;
};

enum ota_effect_kind {
    OTA_IGNORE,       /* say in the log that the event was not expected */
    OTA_REPORT,       /* .status, .info */
    OTA_SAVE_JOB,     /* write .info (the job id) to flash */
    OTA_RUN_CALLBACK, /* call the application's or the default callback */
    OTA_RUN_ATTEMPT,  /* download into the other slot, attempt .attempt */
    OTA_SAVE_TRIAL,   /* write the trial flag to flash */
    OTA_CLEAR_TRIAL,
    OTA_REBOOT_LATER,  /* after .delay_ms */
    OTA_FETCH_LATER,   /* ask for a job after .delay_ms */
    OTA_START_TRIAL,   /* start the rollback timer of .delay_ms */
    OTA_CONFIRM,       /* mark the running image valid, stop the rollback timer */
    OTA_ROLL_BACK,     /* mark the running image invalid and reboot */
    OTA_POST_STARTING, /* post RMAKER_OTA_EVENT_STARTING */
};

struct ota_effect {
    enum ota_effect_kind kind;
    enum report_status status;
    int64_t delay_ms;
    unsigned attempt;
    char info[STATUS_INFO_SIZE];
};

struct ota_effects {
    struct ota_effect at[OTA_EFFECTS_MAX];
    unsigned count;
};

/* Options with RainMaker's Kconfig names and defaults. */
struct ota_options {
    unsigned attempts_max;   /* MAX_RETRIES, 1..10 */
    int64_t retry_delay_ms;  /* RETRY_DELAY_MINUTES */
    int64_t trial_ms;        /* ROLLBACK_WAIT_PERIOD */
    int64_t reboot_delay_ms; /* 10 s */
    int64_t fetch_delay_ms;  /* 5 s after start and after a confirmation */
    bool has_rollback;       /* BOOTLOADER_APP_ROLLBACK_ENABLE of the application */
    bool is_autofetch;
    const char *protocol; /* "HTTPS" or "MQTT", in the texts */
};

struct ota {
    struct ota_options options;
    enum ota_mind_state state;
    unsigned attempt;
};

void ota_init(struct ota *ota, const struct ota_options *options);

/* One event.  Returns false when the pair is not in the table (O1); `todo` is filled in any case. */
bool ota_step(struct ota *ota, const struct ota_event *event, struct ota_effects *todo);

/* True while a job runs or an image awaits its verdict: RainMaker's `ota_in_progress`. */
bool ota_is_busy(const struct ota *ota);

/* --- pure questions --------------------------------------------------------------------------- */

enum ota_gate { OTA_GATE_IS_OPEN, OTA_GATE_IS_LATER, OTA_GATE_IS_SHUT };

/* RainMaker's metadata gate (device specification 4.4).  `metadata` is the object's text or NULL; `now_s` the node's
 * clock, `minute` the minute of its local day.  Sets text and delay for the answers LATER and SHUT. */
enum ota_gate ota_check_gate(const char *metadata, int64_t now_s, int minute, const char **text, int64_t *delay_ms);

struct ota_header_options {
    bool skip_project_name, skip_version, skip_secure_version;
    uint32_t secure_version; /* the floor, from eFuse */
};

/* NULL when the new image may be installed, else the text of the rejection (4.5). */
const char *ota_check_header(const struct app_desc *running, const struct app_desc *offered,
                             const struct ota_header_options *options);

#endif

/*
 * ota.h - the node's mind: RainMaker's OTA as a state machine of (state, event, now) -> effects.
 *
 * The caller (rmaker on a chip or in vesp, the simulator) tells what happened and carries out the effects in order:
 *
 *     struct ota_effects todo;
 *     ota_step(&ota, &(struct ota_event){.kind = OTA_JOB_ARRIVED, .job_id = id}, &now, &todo);
 *     for (i = 0; i < todo.count; i++) carry_out(&todo, &todo.at[i]);
 *     ... and OTA_TICK when ota_next_ms(&ota) has come.
 *
 * Two machines share the struct: the job (ota.c, its actions in job.c and trial.c) and the mail (mail.c: asking for
 * jobs, and the outbox of final reports).
 *
 * Invariants:
 *  O1  a pair that is not in a table changes nothing and has no effect but OTA_IGNORE
 *  O2  what a lost record would make a lie of is written first: job id before the download, trial flag before the slot
 * is selected, the outbox row before the confirmation O3  a new image is confirmed only by itself, on trial, after its
 * diagnosis succeeded O4  at most one job runs; another one is answered, not queued; the same one is not started twice
 *  O5  the final status of a job is a row of the outbox: it is sent until it is acknowledged, always the same
 *  O6  every state but IDLE has a deadline
 *
 * What is true in each state:
 *  OFF           nothing is known yet; OTA_BOOTED comes first
 *  IDLE          no job; the node asks by itself
 *  QUEUED        a job was accepted, its id is in flash; the callback has not ended yet
 *  CONNECTING    attempt `attempt` began; nothing of the image was looked at
 *  DOWNLOADING   the header was accepted; bytes come
 *  VERIFYING     all bytes are there; what they are is being checked, and the slot selected
 *  REBOOTING     the other slot is selected; the reboot is on its way
 *  ON_TRIAL      this image is new and unconfirmed; the deadline is the rollback timer
 *  CONFIRMING    its row is written, its confirmation is under way
 *  ROLLING_BACK  it was found bad, or nobody found it good in time
 *
 * Does not know: flash, MQTT, HTTP, threads, heap.
 */
#ifndef PLUVIO_OTA_OTA_H
#define PLUVIO_OTA_OTA_H

#include "base/zone.h"
#include "codec/json_view.h"
#include "image/image.h"
#include "wire/report.h"

#define OTA_EFFECTS_MAX 8
#define OTA_ROWS        4   /* final reports kept: those not acknowledged, and the last ones that were */
#define OTA_DUES        4   /* fetches that wait for their time; one more takes the place of its nearest neighbour */
#define OTA_ROW_INFO    112 /* text of a final report; a report of 199 bytes has no room for more */
#define OTA_ROW_BYTES   (4 + 4 + JOB_ID_SIZE + OTA_ROW_INFO)

enum ota_mind_state {
    OTA_OFF,
    OTA_IDLE,
    OTA_QUEUED,
    OTA_CONNECTING,
    OTA_DOWNLOADING,
    OTA_VERIFYING,
    OTA_REBOOTING,
    OTA_ON_TRIAL,
    OTA_CONFIRMING,
    OTA_ROLLING_BACK,
    OTA_MIND_STATES
};

enum ota_event_kind {
    OTA_BOOTED,    /* .saved; first of all */
    OTA_CONNECTED, /* to the broker */
    OTA_DISCONNECTED,
    OTA_STARTED,       /* the node has described itself; once per boot */
    OTA_TICK,          /* ota_next_ms() has come; harmless at any other time */
    OTA_JOB_ARRIVED,   /* .job_id; "" in params mode */
    OTA_JOB_UNUSABLE,  /* .text: what job_offer_read() says; .job_id, "" when it has none */
    OTA_CALLBACK_DONE, /* the application's or the default callback has returned */
    OTA_WORKFLOW,      /* the default workflow begins: .terms (NULL: none) */
    OTA_HEADER_READ,   /* .running, .offered; NULL, NULL: the file is no image of this node's */
    OTA_BYTES,         /* .value of .total (0: unknown) bytes are there */
    OTA_ALL_RECEIVED,
    OTA_IMAGE_GOOD,       /* digests are right; the slot is going to be selected */
    OTA_ATTEMPT_OK,       /* it is selected */
    OTA_FILE_DONE,        /* it was no image of this node's, and whom it is for has it: no reboot */
    OTA_ATTEMPT_FAILED,   /* .text: what went wrong */
    OTA_ATTEMPT_REJECTED, /* .text */
    OTA_DIAGNOSIS_GOOD,   /* and the broker is reached, or the application says so */
    OTA_DIAGNOSIS_BAD,
    OTA_CONFIRMED, /* ESP-IDF's confirmation is in flash */
    OTA_CONFIRM_FAILED,
    OTA_APP_REPORT,     /* the application reports: .status, .text */
    OTA_FETCH_ASKED,    /* .value: after so many milliseconds */
    OTA_PUBACK,         /* .ticket */
    OTA_PUBLISH_FAILED, /* .ticket */
    /* What ota_step() makes of some of them; not for callers. */
    OTA_BOOTED_NORMAL,
    OTA_BOOTED_ON_TRIAL,
    OTA_BOOTED_CONFIRMED,   /* power was cut between the confirmation and its report */
    OTA_BOOTED_ROLLED_BACK, /* the image that was selected is not the one that runs */
    OTA_BOOTED_INTERRUPTED, /* power was cut before the slot was selected */
    OTA_JOB_NEW,
    OTA_JOB_AGAIN,   /* the one that runs */
    OTA_JOB_OVER,    /* one with a final status */
    OTA_JOB_CROWDED, /* the outbox has no room for one more */
    OTA_GATE_OPEN,
    OTA_GATE_LATER,
    OTA_GATE_SHUT,
    OTA_HEADER_GOOD,
    OTA_HEADER_BAD,
    OTA_LAST_FAILED, /* no attempt is left */
    OTA_CYCLE,       /* good, but this build is for testing rollbacks */
    OTA_TIME_UP,     /* the state's deadline */
    OTA_EVENT_KINDS
};

/* Where the image of the trial flag is. */
enum ota_target {
    OTA_TARGET_UNKNOWN, /* another agent wrote the flag */
    OTA_TARGET_RUNS,
    OTA_TARGET_REFUSED, /* in another slot, aborted or invalid */
    OTA_TARGET_UNTRIED, /* in another slot that never booted */
};

enum ota_row_state { OTA_ROW_EMPTY, OTA_ROW_PROVISIONAL, OTA_ROW_PENDING, OTA_ROW_TOLD };

/* One final report.  TOLD ones are kept so that the same job, offered again, is answered and not done again. */
struct ota_row {
    char job_id[JOB_ID_SIZE], info[OTA_ROW_INFO];
    uint8_t state, status;
    bool is_closed; /* the job is over; else (a `failed` that the application reported) it may come again */
    uint8_t age;    /* 0: the newest */
    uint8_t sent;   /* times, since the boot */
    uint32_t ts;    /* of the report; 0: the clock was not set */
    int64_t resend_ms;
};

/* Written to flash, never renumber: OTA_ROW_BYTES of them. */
void ota_row_pack(uint8_t to[static OTA_ROW_BYTES], const struct ota_row *row);

/* A row that is not ours, or spoilt, becomes an empty one. */
void ota_row_unpack(struct ota_row *row, struct bytes from);

/* What flash and bootloader say at boot. */
struct ota_saved {
    bool is_pending_verify, has_trial_flag; /* the flag, or the record of the image that was to be selected */
    enum ota_target target;
    char job_id[JOB_ID_SIZE];                                /* "" when there is none */
    char blame_job_id[JOB_ID_SIZE], blame[STATUS_INFO_SIZE]; /* of a rollback that is told as `failed` */
    uint32_t cycles;                                         /* rollbacks of a test build with this job */
    struct ota_row rows[OTA_ROWS];
};

/* Times in a job's metadata; -1 for what is absent. */
struct ota_terms {
    bool is_given; /* one of the two objects is there, even if it is empty */
    int64_t valid_from_s, valid_until_s, window_start, window_end;
};

struct ota_event {
    enum ota_event_kind kind;
    const char *job_id, *text; /* NULL where the kind has none */
    const struct ota_saved *saved;
    const struct ota_terms *terms;
    const struct app_desc *running, *offered;
    int64_t value, total;
    enum report_status status;
    unsigned ticket;
};

struct ota_now {
    int64_t ms;     /* since boot; never goes back */
    int64_t unix_s; /* the node's clock, set or not */
};

enum ota_effect_kind {
    OTA_IGNORE,   /* say in the log that the event was not expected */
    OTA_REPORT,   /* publish todo->job_id, .status, .info with .ticket, and post the event of .status */
    OTA_POST,     /* post the event of .status and .info, without a report: there is no job to report for */
    OTA_FETCH,    /* publish an otafetch with .ticket */
    OTA_SAVE_JOB, /* write todo->job_id to flash */
    OTA_CLEAR_JOB,
    OTA_SAVE_TRIAL, /* write the trial flag, and which image it is for: the one in the next slot */
    OTA_CLEAR_TRIAL,
    OTA_SAVE_ROW,   /* write todo->row as row .value */
    OTA_SAVE_BLAME, /* write .info as the reason of a rollback of todo->job_id */
    OTA_CLEAR_BLAME,
    OTA_SAVE_CYCLES,    /* write .value as the rollbacks of todo->job_id so far */
    OTA_RUN_CALLBACK,   /* call the application's or the default callback */
    OTA_RUN_ATTEMPT,    /* download into the other slot */
    OTA_ABORT_ATTEMPT,  /* leave it and tell OTA_ATTEMPT_FAILED with .info */
    OTA_POST_STARTING,  /* post RMAKER_OTA_EVENT_STARTING */
    OTA_REBOOT_LATER,   /* after .value milliseconds */
    OTA_ASK_FOR_REBOOT, /* post RMAKER_OTA_EVENT_REQ_FOR_REBOOT: the application decides */
    OTA_RESTART,        /* now: what should have ended has not */
    OTA_CONFIRM,        /* mark the running image valid; tell OTA_CONFIRMED or OTA_CONFIRM_FAILED */
    OTA_ROLL_BACK,      /* mark the running image invalid and reboot */
};

#define OTA_TICKET_NONE  0
#define OTA_TICKET_FETCH 1
#define OTA_TICKET_ROW   2 /* and the row's index */

struct ota_effect {
    enum ota_effect_kind kind;
    enum report_status status;
    unsigned ticket;
    int64_t value;
    const char *info; /* valid as long as the ota_effects it is in, which is not to be copied */
};

struct ota_effects {
    struct ota_effect at[OTA_EFFECTS_MAX];
    unsigned count, info_count;
    char job_id[JOB_ID_SIZE]; /* of every report in it */
    char info[2][STATUS_INFO_SIZE];
    struct ota_row row;
};

/* Options with RainMaker's Kconfig names and defaults. */
struct ota_options {
    unsigned attempts_max;       /* MAX_RETRIES, 1..10 */
    int64_t retry_delay_ms;      /* RETRY_DELAY_MINUTES */
    int64_t trial_ms;            /* ROLLBACK_WAIT_PERIOD */
    int64_t autofetch_period_ms; /* AUTOFETCH_PERIOD, 0: once per boot */
    int progress_percent;        /* PROGRESS_INTERVAL; 0: PROGRESS_SUPPORT is off */
    bool has_rollback;           /* BOOTLOADER_APP_ROLLBACK_ENABLE of the application */
    bool is_autofetch, has_time; /* AUTOFETCH, TIME_SUPPORT */
    bool reports_failed;         /* ROLLBACK_REPORT_FAILED */
    bool keeps_running;          /* DISABLE_AUTO_REBOOT */
    bool tests_rollback;         /* TEST_ROLLBACK */
    uint32_t test_cycles;        /* TEST_ROLLBACK_COUNT, 0: for ever */
    bool skips_project_name, skips_version, skips_secure_version;
    bool refuses_downgrade;  /* ours: a lower version is rejected */
    uint32_t secure_version; /* the floor, from eFuse */
    bool is_params;          /* OTA_USING_PARAMS: no jobs, no outbox, no fetches */
    const char *protocol;    /* "HTTPS" or "MQTT", in the texts */
};

extern const struct ota_options ota_options_default;

enum ota_fetch_state { OTA_FETCH_RESTING, OTA_FETCH_UNACKED, OTA_FETCH_BACKING_OFF, OTA_FETCH_STATES };

struct ota {
    const struct ota_options *options;
    enum ota_mind_state state;
    unsigned attempt, aborts;
    int last_percent;
    int64_t deadline_ms, attempt_end_ms; /* 0: none */
    char job_id[JOB_ID_SIZE];            /* of the job that runs, or that the image on trial came with */
    bool is_of_job;                      /* the image on trial is the one of job_id */
    bool owes_fetch;                     /* a job was put off while another one ran */
    bool is_connected, is_started;
    uint32_t cycles;
    struct zone zone;
    /* mail */
    struct ota_row rows[OTA_ROWS];
    enum ota_fetch_state fetch;
    unsigned fetch_failures;
    int64_t fetch_deadline_ms, due_ms[OTA_DUES], period_ms;
    uint64_t random;
};

/* `options` outlives the mind.  `seed` makes its jitter; no two nodes should have the same. */
void ota_init(struct ota *ota, const struct ota_options *options, uint64_t seed);

/* The node's zone, from now on; UTC until then. */
void ota_set_zone(struct ota *ota, const struct zone *zone);

/* One event.  Returns false when the pair is not in the tables (O1); `todo` is filled in any case. */
bool ota_step(struct ota *ota, const struct ota_event *event, const struct ota_now *now, struct ota_effects *todo);

/* When OTA_TICK is due, on the clock of ota_now.ms; 0: never. */
int64_t ota_next_ms(const struct ota *ota);

/* True while a job runs or an image awaits its verdict: RainMaker's `ota_in_progress`. */
bool ota_is_busy(const struct ota *ota);

/* The JSON of an OTA_REPORT; the length, 0 when there is no job to report for (and an unusable document is not it). */
size_t ota_report_write(char to[static REPORT_SIZE], const struct ota_effects *todo, const struct ota_effect *effect,
                        const char *network_id, int64_t unix_s);

const char *ota_state_name(enum ota_mind_state state);
const char *ota_event_name(enum ota_event_kind kind);

/* --- pure questions --------------------------------------------------------------------------- */

/* Text that is no JSON gives no terms, as the original does: the job goes on.  `room` tokens as json_view_count() says.
 */
void ota_terms_read(struct ota_terms *terms, struct bytes metadata, struct json_token *tokens, unsigned room);

/* RainMaker's metadata gate (device specification 4.4): OTA_GATE_OPEN, or LATER with text and delay, or SHUT with text.
 */
enum ota_event_kind ota_check_terms(const struct ota_terms *terms, const struct zone *zone, int64_t unix_s,
                                    const char **text, int64_t *delay_ms);

/* NULL when the new image may be installed, else the text of the rejection (4.5). */
const char *ota_check_header(const struct app_desc *running, const struct app_desc *offered,
                             const struct ota_options *options);

#endif

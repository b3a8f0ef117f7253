/*
 * play.h - a whole node around the mind, in memory: flash records, bootloader, timers, a broker, a clock.
 *
 * A test tells what happens; everything that the node publishes is one line of `said`:
 *     [<seconds since boot>] <topic> <payload>
 */
#ifndef PLUVIO_TESTS_PLAY_H
#define PLUVIO_TESTS_PLAY_H

#include "ota/ota.h"

#ifndef PLAY_SAID_SIZE
#define PLAY_SAID_SIZE 16384 /* what does not fit is not kept */
#endif
#define PLAY_QUEUE     32
#define PLAY_ATTEMPTS  12
#define PLAY_BOOTED_S  1760000000 /* the clock at the first boot */
#define PLAY_DELAY_MAX 9999999999LL

/* What an attempt meets.  NULL for what it does not come to. */
struct play_attempt {
    const char *begin_fails, *rejects, *download_fails, *verify_fails, *finish_fails; /* at most one of them */
    const char *version, *project;                                                    /* of the image that comes */
    uint32_t secure_version;
    int percents[16]; /* how far it is, read by read; 0 ends the list */
    bool stalls;      /* nothing more comes: only the mind's own deadline ends it */
    bool is_file;
};

struct play_slot {
    char version[33], project[33];
    enum { PLAY_EMPTY, PLAY_NEW, PLAY_PENDING, PLAY_VALID, PLAY_INVALID, PLAY_ABORTED } state;
};

struct play {
    struct ota ota;
    const struct ota_options *options;
    struct ota_now now;
    int64_t up_since_ms;
    /* flash */
    struct play_slot slots[2];
    int running, selected;
    char job_id[JOB_ID_SIZE], blame_job_id[JOB_ID_SIZE], blame[STATUS_INFO_SIZE], cycles_job_id[JOB_ID_SIZE];
    bool has_trial_flag;
    int target; /* slot of the trial flag; -1: none */
    uint32_t cycles;
    uint8_t rows[OTA_ROWS][OTA_ROW_BYTES];
    /* RAM */
    struct ota_terms terms;
    bool has_begun_attempt, wants_attempt, wants_callback, is_aborted;
    int64_t reboot_ms;
    struct {
        enum ota_event_kind kind;
        unsigned ticket;
        char text[STATUS_INFO_SIZE];
    } queue[PLAY_QUEUE];
    unsigned queued;
    /* the world */
    struct play_attempt attempts[PLAY_ATTEMPTS]; /* of this job, in order; the last one is repeated */
    unsigned attempt, attempt_count;
    bool is_connected, loses_acks, loses_messages, diagnosis_is_bad, diagnosis_is_pending, has_own_callback;
    long cut_after; /* effects until the power goes; -1: it stays */
    unsigned cuts, boots, restarts, effects;
    char said[PLAY_SAID_SIZE];
    size_t said_len;
    unsigned events[REPORT_REJECTED + 1], starting_events, reboot_requests, lies;
    char final_status[16], final_job[JOB_ID_SIZE]; /* of the last success or rejected that was published */
};

void play_init(struct play *p, const struct ota_options *options, uint64_t seed);

/* Power on: the bootloader chooses, the mind reads flash.  Connects and starts when the broker is there. */
void play_boot(struct play *p);
void play_power_cut(struct play *p);
void play_connect(struct play *p);
void play_disconnect(struct play *p);

/* A job document comes; `metadata` NULL: none. */
void play_job(struct play *p, const char *job_id, const char *metadata);
void play_document(struct play *p, const char *json);
/* The download that stalls gets all it waits for: it is verified, the slot selected, the node reboots. */
void play_finish(struct play *p);
void play_tell(struct play *p, const struct ota_event *event);

/* Lets time pass, with everything that is due in it.  Until the node has nothing to do, but for so long at most. */
void play_run(struct play *p, int64_t ms);

/* Forgets what was said. */
void play_hush(struct play *p);
int play_count(const struct play *p, const char *text);
const char *play_version(const struct play *p);

#endif

/* States and events in words, for the log. */
#include "ota/ota.h"

const char *ota_state_name(enum ota_mind_state state)
{
    static const char *const names[OTA_MIND_STATES] = {"off",         "idle",        "queued",    "connecting",
                                                       "downloading", "verifying",   "rebooting", "on trial",
                                                       "confirming",  "rolling back"};
    return (unsigned)state < OTA_MIND_STATES ? names[state] : "?";
}

const char *ota_event_name(enum ota_event_kind kind)
{
    static const char *const names[OTA_EVENT_KINDS] = {"booted",
                                                       "connected",
                                                       "disconnected",
                                                       "started",
                                                       "tick",
                                                       "job arrived",
                                                       "job unusable",
                                                       "callback done",
                                                       "workflow",
                                                       "header read",
                                                       "bytes",
                                                       "all received",
                                                       "image good",
                                                       "attempt ok",
                                                       "file done",
                                                       "attempt failed",
                                                       "attempt rejected",
                                                       "diagnosis good",
                                                       "diagnosis bad",
                                                       "confirmed",
                                                       "confirm failed",
                                                       "app report",
                                                       "fetch asked",
                                                       "puback",
                                                       "publish failed",
                                                       "booted normal",
                                                       "booted on trial",
                                                       "booted confirmed",
                                                       "booted rolled back",
                                                       "booted interrupted",
                                                       "job new",
                                                       "job again",
                                                       "job over",
                                                       "job crowded",
                                                       "gate open",
                                                       "gate later",
                                                       "gate shut",
                                                       "header good",
                                                       "header bad",
                                                       "last failed",
                                                       "cycle",
                                                       "time up"};
    return (unsigned)kind < OTA_EVENT_KINDS ? names[kind] : "?";
}

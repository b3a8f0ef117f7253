/*
 * settings.h - what can be set: one table for options, environment and configuration file.
 *
 * The command line wins over PLUVIO_* variables, these over the file, the file over the defaults.
 */
#ifndef PLUVIO_PLUVIOD_SETTINGS_H
#define PLUVIO_PLUVIOD_SETTINGS_H

#include "base/err.h"
#include "base/log.h"

#define HOSTS_MAX 8

struct settings {
    char data[400], config[400], address[64], http_address[64], host[512], mqtt_host[1000], store[600], keys[400],
        broker[2000], broker_ca[400], broker_cert[400], broker_key[400], write_broker[400], blob[600],
        blob_key_file[400], admin_user[257], mosquitto[400], plugin[400], fault[64], log_level[16], max_in_flight[24],
        max_rate[24], max_bytes[24], max_per_network[24], sign_up[8], self_claim[8], mail_program[400],
        max_requests[16], max_logins[16], webhook_loopback[8], four_eyes[8], oidc_issuer[500], oidc_client[200],
        oidc_secret_file[400], oidc_claim[64], oidc_new_users[16], oidc_ca[400];
    int https_port, http_port, node_port, mqtt_port, broker_port, drain;
};

/* Reads everything; ends the process for --help, --version and wrong usage, as argp does. */
enum err settings_read(struct settings *s, int argc, char **argv, struct why *why);

/* The budgets over all jobs.  ERR_CONFIG. */
struct fleet_policy;
enum err settings_budgets(const struct settings *s, struct fleet_policy *to, struct why *why);

enum log_level settings_log_level(const struct settings *s);

#endif

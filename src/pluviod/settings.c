#include "pluviod/settings.h"

#include "base/text.h"
#include "fleet/decide.h"

#include <argp.h>
#include <ctype.h>
#include <errno.h>
#include <ini.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TEXT(field) offsetof(struct settings, field), sizeof(((struct settings *)0)->field)
#define PORT(field) offsetof(struct settings, field), 0

static const struct setting {
    const char *name;
    size_t at, size; /* size 0: a port */
    const char *otherwise, *argument, *help;
    int group;
} table[] = {
    {"config", TEXT(config), "", "FILE",
     "Configuration file: lines `name = value` with the names of these options (default: /etc/pluvio/pluviod.conf, if "
     "it is there)",
     1},
    {"data", TEXT(data), "", "FOLDER",
     "Folder of the database, keys, images and broker files (default: /var/lib/pluvio for root, else "
     "~/.local/share/pluvio)",
     1},
    {"log-level", TEXT(log_level), "info", "LEVEL", "error, warn, info or debug (default: info)", 1},
    {"host", TEXT(host), "localhost", "NAMES",
     "Names and addresses people and nodes reach this server by, comma-separated; the first is put into URLs, all go "
     "into the certificate (default: localhost)",
     2},
    {"address", TEXT(address), "0.0.0.0", "ADDRESS", "Address of the HTTPS, node and MQTT listeners (default: 0.0.0.0)",
     2},
    {"https-port", PORT(https_port), "8443", "PORT", "Dashboard, REST and downloads over HTTPS (default: 8443)", 2},
    {"http-port", PORT(http_port), "8080", "PORT",
     "Dashboard and REST over plain HTTP, for clients that trust no private authority; 0: none (default: 8080)", 2},
    {"http-address", TEXT(http_address), "127.0.0.1", "ADDRESS",
     "Address of the plain HTTP listener; anything but 127.0.0.1 sends passwords in the clear (default: 127.0.0.1)", 2},
    {"node-port", PORT(node_port), "8444", "PORT", "HTTPS for nodes, with their certificates; 0: none (default: 8444)",
     2},
    {"mqtt-port", PORT(mqtt_port), "8883", "PORT", "MQTT over TLS, for nodes (default: 8883)", 2},
    {"mqtt-host", TEXT(mqtt_host), "", "NAMES",
     "Host that nodes are told to connect to, with :PORT when it is not 8883 (default: the first name of --host, or "
     "that "
     "of the broker); with several brokers one for each, comma-separated, in their order",
     2},
    {"keys", TEXT(keys), "", "FOLDER",
     "Folder of the authority's and the server's keys; servers side by side have the same (default: keys in --data)",
     6},
    {"store", TEXT(store), "", "URL",
     "Database: postgres://USER:PASSWORD@HOST/DATABASE, for any number of servers side by side (default: SQLite in "
     "--data)",
     6},
    {"blob", TEXT(blob), "", "URL",
     "Where images lie: an S3-compatible store, "
     "s3+https://HOST[:PORT]/BUCKET[/PREFIX][?region=R&style=path|host&redirect="
     "yes|no] (default: a folder in --data)",
     6},
    {"blob-key-file", TEXT(blob_key_file), "", "FILE",
     "File with the access key's id and the secret, a line each (default: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY)",
     6},
    {"broker", TEXT(broker), "", "URLS",
     "MQTT 5 brokers elsewhere, mqtts://USER:PASSWORD@HOST:PORT, comma-separated: nodes are divided among them, "
     "servers "
     "share them (default: a mosquitto of our own)",
     6},
    {"broker-ca", TEXT(broker_ca), "", "FILE", "Authority of the brokers' certificates (default: our own)", 6},
    {"broker-cert", TEXT(broker_cert), "", "FILE", "Our certificate at brokers that want one", 6},
    {"broker-key", TEXT(broker_key), "", "FILE", "Its key", 6},
    {"drain", PORT(drain), "0", "SECONDS",
     "At the end: answer that we are not ready for so long, before nothing is answered any more (default: 0)", 6},
    {"write-broker", TEXT(write_broker), "", "FOLDER",
     "Write what a mosquitto elsewhere needs (configuration, certificates, plugin), and end; its URL for --broker is "
     "printed",
     6},
    {"broker-port", PORT(broker_port), "8884", "PORT", "With --write-broker: the port for servers (default: 8884)", 6},
    {"admin-user", TEXT(admin_user), "admin@localhost", "NAME",
     "Name of the administrator made at first start (default: admin@localhost)", 3},
    {"sign-up", TEXT(sign_up), "closed", "open|closed",
     "Whether strangers may make themselves end users (default: closed)", 3},
    {"self-claim", TEXT(self_claim), "no", "yes|no",
     "Whether a device may claim a certificate for its MAC address without a user; whoever comes first has it "
     "(default: "
     "no)",
     3},
    {"mail-program", TEXT(mail_program), "", "PROGRAM",
     "Sends letters with verification codes, called as sendmail is: PROGRAM -t, the letter on its standard input "
     "(default: none; codes then go nowhere)",
     3},
    {"four-eyes", TEXT(four_eyes), "no", "yes|no",
     "Whether each job, and each change of one, waits until a second person approves it (default: no)", 3},
    {"webhook-loopback", TEXT(webhook_loopback), "no", "yes|no",
     "Whether webhooks and images by URL may call addresses of this machine (default: no)", 3},
    {"oidc-issuer", TEXT(oidc_issuer), "", "URL",
     "OpenID Connect provider that people sign in by; its client is told https://HOST/v1/oidc/callback (default: none)",
     3},
    {"oidc-client", TEXT(oidc_client), "", "ID", "This server's client id there", 3},
    {"oidc-secret-file", TEXT(oidc_secret_file), "", "FILE", "File whose first line is the client's secret", 3},
    {"oidc-claim", TEXT(oidc_claim), "email", "NAME", "Claim that is the user's name here (default: email)", 3},
    {"oidc-new-users", TEXT(oidc_new_users), "no", "ROLE",
     "Role of users made at their first sign-in: user, viewer, operator or admin; no: none are made (default: no)", 3},
    {"oidc-ca", TEXT(oidc_ca), "", "FILE", "Authority that signed the provider's certificate (default: the system's)",
     3},
    {"mosquitto", TEXT(mosquitto), "mosquitto", "PROGRAM", "The broker's program (default: mosquitto)", 3},
    {"plugin", TEXT(plugin), "", "FILE", "Our broker plugin (default: beside this program)", 3},
    {"max-in-flight", TEXT(max_in_flight), "0", "NODES", "Nodes of all jobs at work at a time; 0: no limit", 4},
    {"max-rate", TEXT(max_rate), "0", "N/s|min|h", "Offers of all jobs: 50/min; 0: no limit", 4},
    {"max-bytes", TEXT(max_bytes), "0", "N/s", "Bytes of images that are offered: 500k/s, 5M/s; 0: no limit", 4},
    {"max-per-network", TEXT(max_per_network), "0", "NODES",
     "Nodes of one local network at work at a time; 0: no limit", 4},
    {"max-requests", TEXT(max_requests), "200", "N", "Requests of one user in a second; 0: no limit (default: 200)", 4},
    {"max-logins", TEXT(max_logins), "5", "N",
     "Requests with passwords or codes from one address in a second; 0: no limit (default: 5)", 4},
    {"fault", TEXT(fault), "", "TEXT",
     "For tests: die by SIGKILL when a status report that contains TEXT has come in from the broker and before "
     "anything is written",
     5},
};

#define COUNT (sizeof table / sizeof table[0])

static bool set(struct settings *s, const struct setting *row, const char *value)
{
    char *to = (char *)s + row->at;
    if (row->size > 0)
        return text_copy(to, row->size, value);
    char *end;
    long port = strtol(value, &end, 10);
    if (*value == '\0' || *end != '\0' || port < 0 || port > 65535)
        return false;
    *(int *)(void *)to = (int)port;
    return true;
}

static const struct setting *find(const char *name)
{
    for (size_t i = 0; i < COUNT; i++)
        if (strcmp(table[i].name, name) == 0)
            return &table[i];
    return NULL;
}

/* --- file and environment --------------------------------------------------------------------- */

struct file_reader {
    struct settings *settings;
    struct why *why;
};

static int take_line(void *user, const char *section, const char *name, const char *value)
{
    struct file_reader *r = user;
    const struct setting *row = find(name);
    if (*section != '\0' || row == NULL || strcmp(name, "config") == 0) {
        why_set(r->why, ERR_CONFIG, "there is no setting %s%s%s", section, *section ? "." : "", name);
        return 0;
    }
    if (!set(r->settings, row, value)) {
        why_set(r->why, ERR_CONFIG, "%s = %s is not valid", name, value);
        return 0;
    }
    return 1;
}

static enum err read_file(struct settings *s, const char *path, bool must_exist, struct why *why)
{
    struct file_reader r = {s, why};
    if (access(path, R_OK) != 0)
        return must_exist ? why_set(why, ERR_CONFIG, "configuration %s: %s", path, strerror(errno)) : ERR_NONE;
    why->text[0] = '\0';
    int line = ini_parse(path, take_line, &r);
    if (line == 0)
        return ERR_NONE;
    return why->text[0] ? why_add(why, ERR_CONFIG, "%s line %d", path, line)
                        : why_set(why, ERR_CONFIG, "%s line %d is malformed", path, line);
}

static const char *variable(const struct setting *row)
{
    char name[64] = "PLUVIO_";
    size_t n = strlen(name);
    for (const char *c = row->name; *c && n + 1 < sizeof name; c++)
        name[n++] = *c == '-' ? '_' : (char)toupper((unsigned char)*c);
    name[n] = '\0';
    return getenv(name);
}

static enum err read_environment(struct settings *s, struct why *why)
{
    for (size_t i = 0; i < COUNT; i++) {
        const char *value = variable(&table[i]);
        if (value != NULL && !set(s, &table[i], value))
            return why_set(why, ERR_CONFIG, "environment: %s=%s is not valid", table[i].name, value);
    }
    return ERR_NONE;
}

/* --- command line ----------------------------------------------------------------------------- */

#define KEY_FIRST 0x100

struct command_line {
    const char *values[COUNT];
};

static error_t take_option(int key, char *arg, struct argp_state *state)
{
    struct command_line *line = state->input;
    if (key >= KEY_FIRST && key < KEY_FIRST + (int)COUNT) {
        line->values[key - KEY_FIRST] = arg;
        return 0;
    }
    if (key == ARGP_KEY_ARG)
        argp_error(state, "there is nothing to do with \"%s\"", arg);
    return ARGP_ERR_UNKNOWN;
}

static void read_command_line(struct command_line *line, int argc, char **argv)
{
    static const char *const titles[] = {NULL,
                                         "General:",
                                         "Where it listens:",
                                         "Accounts and parts:",
                                         "Budgets over all jobs:",
                                         "Tests:",
                                         "More than one machine:"};
    struct argp_option options[COUNT + 8];
    size_t n = 0;
    int group = 0;
    memset(options, 0, sizeof options);
    for (size_t i = 0; i < COUNT; i++) {
        if (table[i].group != group) {
            group = table[i].group;
            options[n++] = (struct argp_option){.doc = titles[group], .group = group};
        }
        options[n++] =
            (struct argp_option){table[i].name, KEY_FIRST + (int)i, table[i].argument, 0, table[i].help, group};
    }
    struct argp argp = {
        options,
        take_option,
        NULL,
        "Pluvio's server: over-the-air updates for ESP32 fleets, speaking ESP RainMaker's OTA.\n\n"
        "Starts everything on one machine: REST and dashboard, downloads, and an MQTT broker as its child. At first "
        "start it "
        "makes its data folder, a certificate authority and an administrator, whose password is written to "
        "FOLDER/admin-password.\n\n`pluviod migrate FROM TO` moves an installation to another database; `pluviod "
        "migrate --help`.\v"
        "Every option can be given in the configuration file under its name, or in the environment as PLUVIO_NAME "
        "(PLUVIO_HTTPS_PORT). The command line wins over the environment, the environment over the file.",
        NULL,
        NULL,
        NULL,
    };
    argp_parse(&argp, argc, argv, 0, NULL, line);
}

static void default_data(struct settings *s)
{
    const char *home = getenv("HOME");
    if (geteuid() == 0)
        text_copy(s->data, sizeof s->data, "/var/lib/pluvio");
    else
        snprintf(s->data, sizeof s->data, "%s/.local/share/pluvio", home ? home : ".");
}

enum err settings_read(struct settings *s, int argc, char **argv, struct why *why)
{
    struct command_line line = {{NULL}};
    argp_program_version = "pluviod " PLUVIO_VERSION;
    read_command_line(&line, argc, argv);
    memset(s, 0, sizeof *s);
    for (size_t i = 0; i < COUNT; i++)
        set(s, &table[i], table[i].otherwise);
    default_data(s);
    const char *config = line.values[0] ? line.values[0] : variable(&table[0]);
    enum err err = read_file(s, config ? config : "/etc/pluvio/pluviod.conf", config != NULL, why);
    if (err == ERR_NONE)
        err = read_environment(s, why);
    for (size_t i = 0; err == ERR_NONE && i < COUNT; i++)
        if (line.values[i] != NULL && !set(s, &table[i], line.values[i]))
            err = why_set(why, ERR_USAGE, "--%s=%s is not valid", table[i].name, line.values[i]);
    return err;
}

enum log_level settings_log_level(const struct settings *s)
{
    static const char *const names[] = {"error", "warn", "info", "debug"};
    for (int i = 0; i < 4; i++)
        if (strcmp(names[i], s->log_level) == 0)
            return (enum log_level)i;
    return LOG_INFO;
}

/* The budgets are words of the rollout language, so one reader knows them all. */
enum err settings_budgets(const struct settings *s, struct fleet_policy *to, struct why *why)
{
    static const char none[] = "0";
    const struct {
        const char *value, *statement, *option;
    } words[] = {{s->max_rate, "rate", "max-rate"},
                 {s->max_bytes, "bytes", "max-bytes"},
                 {s->max_in_flight, "in-flight", "max-in-flight"}};
    char text[PLAN_SIZE] = "", *end;
    struct rollout r;
    enum err err = ERR_NONE;
    for (size_t i = 0; err == ERR_NONE && i < sizeof words / sizeof words[0]; i++) {
        if (strcmp(words[i].value, none) == 0)
            continue;
        snprintf(text, sizeof text, "%s %s", words[i].statement, words[i].value);
        if ((err = rollout_read(&r, text, why)) != ERR_NONE)
            return why_add(why, ERR_CONFIG, "%s", words[i].option);
        to->per_hour = r.rate.per_hour ? r.rate.per_hour : to->per_hour;
        to->bytes_per_second = r.bytes_per_second ? r.bytes_per_second : to->bytes_per_second;
        to->max_in_flight = r.max_in_flight ? r.max_in_flight : to->max_in_flight;
    }
    to->network_max = (unsigned)strtoul(s->max_per_network, &end, 10);
    return *end == '\0' && s->max_per_network[0]
               ? ERR_NONE
               : why_set(why, ERR_CONFIG, "max-per-network must be a number of nodes");
}

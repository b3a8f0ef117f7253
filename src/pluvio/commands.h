/* commands.h - the commands of pluvio, and what they print with. */
#ifndef PLUVIO_PLUVIO_COMMANDS_H
#define PLUVIO_PLUVIO_COMMANDS_H

#include "pluvio/client.h"
#include "pluvio/options.h"

enum err command_login(int argc, char **argv, struct why *why);
enum err command_image_inspect(int argc, char **argv, struct why *why);
enum err command_image_pack(int argc, char **argv, struct why *why);
enum err command_image_upload(int argc, char **argv, struct why *why);
enum err command_image_list(int argc, char **argv, struct why *why);
enum err command_node_add(int argc, char **argv, struct why *why);
enum err command_node_list(int argc, char **argv, struct why *why);
enum err command_job_start(int argc, char **argv, struct why *why);
enum err command_job_list(int argc, char **argv, struct why *why);
enum err command_job_watch(int argc, char **argv, struct why *why);
enum err command_job_cancel(int argc, char **argv, struct why *why);

/* Follows a job to its end and draws it; ERR_JOB_FAILED when not every node succeeded. */
enum err watch_job(struct client *c, const char *job_id, bool is_json, struct why *why);

enum err read_file(const char *path, struct buf *to, struct why *why);
enum err write_file(const char *path, struct bytes data, int mode, struct why *why);

void print_json(const struct json *doc);
const char *text_of(const struct json *object, const char *key); /* "" when absent */
int64_t int_of(const struct json *object, const char *key);      /* 0 when absent */

/* Escape sequences on a terminal, "" elsewhere or with NO_COLOR. */
enum style { STYLE_NONE, STYLE_BOLD, STYLE_DIM, STYLE_GREEN, STYLE_RED, STYLE_YELLOW, STYLE_BLUE };
const char *style(enum style s);

#endif

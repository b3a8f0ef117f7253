/* commands.h - the commands of pluvio, and what they print with. */
#ifndef PLUVIO_PLUVIO_COMMANDS_H
#define PLUVIO_PLUVIO_COMMANDS_H

#include "pluvio/client.h"
#include "pluvio/files.h"
#include "pluvio/options.h"

#define COMMAND(name) enum err command_##name(int argc, char **argv, struct why *why)
COMMAND(login);
COMMAND(image_inspect);
COMMAND(image_pack);
COMMAND(image_encrypt);
COMMAND(image_decrypt);
COMMAND(image_upload);
COMMAND(image_list);
COMMAND(image_attach);
COMMAND(image_files);
COMMAND(sign_key);
COMMAND(sign_public);
COMMAND(sign_digest);
COMMAND(sign_image);
COMMAND(sign_verify);
COMMAND(sign_info);
COMMAND(partition_show);
COMMAND(partition_make);
COMMAND(partition_csv);
COMMAND(otadata_show);
COMMAND(otadata_make);
COMMAND(otadata_erase);
COMMAND(otadata_select);
COMMAND(nvs_show);
COMMAND(nvs_get);
COMMAND(nvs_make);
COMMAND(nvs_csv);
COMMAND(nvs_keys);
COMMAND(nvs_encrypt);
COMMAND(nvs_decrypt);
COMMAND(flash_show);
COMMAND(flash_split);
COMMAND(flash_join);
COMMAND(node_add);
COMMAND(node_fctry);
COMMAND(node_list);
COMMAND(simulator_add);
COMMAND(logout);
COMMAND(whoami);
COMMAND(org_add);
COMMAND(org_list);
COMMAND(org_delete);
COMMAND(user_add);
COMMAND(user_list);
COMMAND(user_edit);
COMMAND(user_delete);
COMMAND(token_add);
COMMAND(token_list);
COMMAND(token_delete);
COMMAND(key_add);
COMMAND(key_list);
COMMAND(image_sign);
COMMAND(webhook_add);
COMMAND(webhook_list);
COMMAND(webhook_delete);
COMMAND(webhook_deliveries);
COMMAND(webhook_replay);
COMMAND(audit_list);
COMMAND(audit_verify);
COMMAND(authority_add);
COMMAND(authority_list);
COMMAND(authority_delete);
COMMAND(node_activate);
COMMAND(node_deactivate);
COMMAND(key_delete);
COMMAND(node_delete);
COMMAND(simulator_list);
COMMAND(simulator_delete);
COMMAND(node_tag);
COMMAND(node_untag);
COMMAND(node_show);
COMMAND(group_delete);
COMMAND(image_archive);
COMMAND(image_delete);
COMMAND(getnodes);
COMMAND(getnodeconfig);
COMMAND(getnodestatus);
COMMAND(getparams);
COMMAND(setparams);
COMMAND(removenode);
COMMAND(otaupgrade);
COMMAND(why);
COMMAND(job_start);
COMMAND(job_plan);
COMMAND(job_pause);
COMMAND(job_edit);
COMMAND(job_resume);
COMMAND(job_approve);
COMMAND(job_why);
COMMAND(job_clusters);
COMMAND(job_exclude);
COMMAND(job_retry);
COMMAND(group_add);
COMMAND(group_list);
COMMAND(job_list);
COMMAND(job_watch);
COMMAND(job_cancel);
#undef COMMAND

/* Follows a job to its end and draws it; ERR_JOB_FAILED when not every node succeeded. */
enum err watch_job(struct client *c, const char *job_id, bool is_json, struct why *why);

/* Reads an image file piece by piece, never whole; `options` as for image_reader_init().  The verdict on the image, or
 * ERR_IO. */
struct image_facts;
enum err read_image(const char *path, unsigned options, struct image_facts *facts, struct why *why);

/* node.crt, node.key and ca.crt of an answer with credentials. */
enum err write_credential_files(const struct json *node, const char *folder, struct why *why);

void print_json(const struct json *doc);
const char *text_of(const struct json *object, const char *key); /* "" when absent */
int64_t int_of(const struct json *object, const char *key);      /* 0 when absent */

/* Escape sequences on a terminal, "" elsewhere or with NO_COLOR. */
enum style { STYLE_NONE, STYLE_BOLD, STYLE_DIM, STYLE_GREEN, STYLE_RED, STYLE_YELLOW, STYLE_BLUE };
const char *style(enum style s);

#endif

/*
 * err.h - every error of the house: a code to act on, a story to read.
 *
 * One list makes the enum, the texts, the HTTP status and RainMaker error code that REST answers with, and the exit
 * status of the programs.  A function returns the code and writes the story into `struct why`; each caller upward
 * prefixes what it was doing:
 *
 *     if (slot_read(...) != ERR_NONE)
 *         return why_add(why, "load %s", label);      -> "load ota_0: read 24 bytes at 0x1e0000: end of flash"
 *
 * RainMaker's numbers are those of its published REST API; codes of our own, where RainMaker has no word, are 19xxxx.
 */
#ifndef PLUVIO_BASE_ERR_H
#define PLUVIO_BASE_ERR_H

#include <stdarg.h>

/*  code, text, HTTP status, RainMaker's error_code (0: none), exit status */
#define ERR_LIST(X)                                                                                                    \
    X(ERR_NONE, "no error", 200, 0, 0)                                                                                 \
    X(ERR_INTERNAL, "internal error", 500, 190000, 70)                                                                 \
    X(ERR_NO_MEMORY, "out of memory", 500, 190001, 71)                                                                 \
    X(ERR_IO, "input or output failed", 500, 190002, 74)                                                               \
    X(ERR_STORE, "database operation failed", 500, 190003, 74)                                                         \
    X(ERR_STORE_AWAY, "the database cannot be reached, try again", 503, 190046, 75)                                    \
    X(ERR_BUSY, "busy, try again", 503, 190004, 75)                                                                    \
    X(ERR_NETWORK, "network operation failed", 502, 190005, 69)                                                        \
    X(ERR_USAGE, "wrong usage", 400, 190006, 64)                                                                       \
    X(ERR_CONFIG, "wrong configuration", 500, 190007, 78)                                                              \
    X(ERR_CRYPTO, "cryptographic operation failed", 500, 190008, 70)                                                   \
    X(ERR_END, "end of input", 400, 190009, 65)                                                                        \
    X(ERR_FORMAT, "malformed input", 400, 190010, 65)                                                                  \
    X(ERR_TOO_BIG, "too big", 413, 190011, 65)                                                                         \
    X(ERR_NOT_FOUND, "not found", 404, 190012, 66)                                                                     \
    X(ERR_EXISTS, "exists already", 400, 190013, 73)                                                                   \
    X(ERR_UNAUTHORIZED, "not authorised", 401, 190014, 77)                                                             \
    X(ERR_FORBIDDEN, "not allowed", 403, 190015, 77)                                                                   \
    X(ERR_METHOD, "method not allowed", 405, 190016, 65)                                                               \
    X(ERR_RANGE, "range not satisfiable", 416, 190017, 65)                                                             \
    X(ERR_FLASH, "flash operation failed", 500, 190018, 74)                                                            \
    X(ERR_DIGEST, "digest does not match", 400, 190019, 65)                                                            \
    X(ERR_NO_SPACE, "no space left", 500, 190020, 74)                                                                  \
    X(ERR_TYPE, "another type is stored", 400, 190021, 65)                                                             \
    X(ERR_TIMEOUT, "took too long", 504, 190022, 75)                                                                   \
    X(ERR_RATE, "too many requests", 429, 100070, 75)                                                                  \
    X(ERR_JOB_FAILED, "the job did not succeed", 400, 190023, 1)                                                       \
    X(ERR_KEY, "the key is not usable", 400, 190024, 65)                                                               \
    X(ERR_SIGNATURE, "no signature by a trusted key is right", 400, 104003, 65)                                        \
    /* images (what a maker can act on, one code a rule) */                                                            \
    X(ERR_IMAGE_MAGIC, "not an ESP image", 400, 104003, 65)                                                            \
    X(ERR_IMAGE_HEADER, "image header is wrong", 400, 104003, 65)                                                      \
    X(ERR_IMAGE_CHIP, "image is for another chip", 400, 104003, 65)                                                    \
    X(ERR_IMAGE_REVISION, "image is for other revisions of the chip", 400, 104003, 65)                                 \
    X(ERR_IMAGE_EFUSE_REVISION, "image is for other revisions of the chip's eFuse block", 400, 104003, 65)             \
    X(ERR_IMAGE_SEGMENTS, "image has too many segments", 400, 104003, 65)                                              \
    X(ERR_IMAGE_SEGMENT_LEN, "image has a segment of an impossible length", 400, 104003, 65)                           \
    X(ERR_IMAGE_FIRST_SEGMENT, "image's first segment cannot hold an app descriptor", 400, 104003, 65)                 \
    X(ERR_IMAGE_MAPPING, "image has a segment that its address cannot map", 400, 104003, 65)                           \
    X(ERR_IMAGE_LOAD, "image has a segment that does not lie in memory", 400, 104003, 65)                              \
    X(ERR_IMAGE_WRAPS, "image passes the end of the address space", 400, 104003, 65)                                   \
    X(ERR_IMAGE_SLOT, "the slot cannot be used", 400, 104003, 65)                                                      \
    X(ERR_IMAGE_TOO_LONG, "image is longer than the slot", 400, 104003, 65)                                            \
    X(ERR_IMAGE_SECURE_VERSION, "image's secure version is too low", 400, 104003, 65)                                  \
    X(ERR_IMAGE_CRC, "image CRC does not match", 400, 104003, 65)                                                      \
    X(ERR_IMAGE_TRUNCATED, "image is cut off", 400, 104003, 65)                                                        \
    X(ERR_IMAGE_CHECKSUM, "image checksum does not match", 400, 104003, 65)                                            \
    X(ERR_IMAGE_DIGEST, "image SHA-256 does not match", 400, 104003, 65)                                               \
    X(ERR_IMAGE_DESC, "image has no app descriptor", 400, 104003, 65)                                                  \
    X(ERR_IMAGE_MERGED, "this is a merged flash dump, not an update", 400, 104003, 65)                                 \
    X(ERR_IMAGE_BOOTLOADER, "this is a bootloader, not an application", 400, 104003, 65)                               \
    /* REST, RainMaker's numbers */                                                                                    \
    X(ERR_BODY, "request body is not valid", 400, 100006, 65)                                                          \
    X(ERR_LOGIN, "user name or password is wrong", 400, 101009, 77)                                                    \
    X(ERR_USER_NAME, "user_name is missing", 400, 101001, 65)                                                          \
    X(ERR_USER_MAIL, "user_name is neither an e-mail address nor a phone number", 400, 101002, 65)                     \
    X(ERR_USER_PASSWORD, "password or verification_code is missing", 400, 101003, 65)                                  \
    X(ERR_PASSWORD_RULE, "the password is too simple", 400, 101004, 65)                                                \
    X(ERR_USER_EXISTS, "a user of that name exists", 400, 101006, 73)                                                  \
    X(ERR_VERIFIED, "the user is verified already", 400, 101011, 65)                                                   \
    X(ERR_CODE, "the verification code is wrong", 400, 101012, 77)                                                     \
    X(ERR_NOT_VERIFIED, "the user is not verified yet", 400, 101015, 77)                                               \
    X(ERR_CODE_TRIES, "too many tries with a code", 400, 101057, 75)                                                   \
    X(ERR_LOGIN_TRIES, "too many tries to log in", 400, 101058, 75)                                                    \
    X(ERR_REFRESH, "refresh token is not valid", 400, 101017, 77)                                                      \
    X(ERR_IMAGE_MISSING, "firmware image is missing", 400, 104001, 65)                                                 \
    X(ERR_IMAGE_NAME, "image name is missing", 400, 104002, 65)                                                        \
    X(ERR_IMAGE_VERSION, "firmware version is missing", 400, 104004, 65)                                               \
    X(ERR_IMAGE_MODEL, "model is missing", 400, 104005, 65)                                                            \
    X(ERR_IMAGE_TAKEN, "an image of that name is used by a job", 400, 104008, 73)                                      \
    X(ERR_IMAGE_TYPE, "image_type is not one that is taken", 400, 136006, 65)                                          \
    X(ERR_SIGN_KEY_EXISTS, "a key of that name exists", 400, 136002, 73)                                               \
    X(ERR_SIGN_IMAGE, "there is no image of that id to sign", 400, 136005, 66)                                         \
    X(ERR_SIGN_KEY_NAME, "a key's name is missing or not valid", 400, 136011, 65)                                      \
    X(ERR_SIGN_KEY_SPEC, "key_spec is not one that is made", 400, 136014, 65)                                          \
    X(ERR_SIGN_KEY_NONE, "there is no key of that name", 404, 136019, 66)                                              \
    X(ERR_SIGN_KEYS_MANY, "more than three keys", 400, 136020, 65)                                                     \
    X(ERR_SIGN_KEY_UNKNOWN, "one of the keys is not known", 400, 136021, 66)                                           \
    X(ERR_SIGN_KEY_TWICE, "a key is named twice", 400, 136022, 65)                                                     \
    X(ERR_SIGN_BOOTLOADER, "there is no boot loader to sign", 400, 136028, 66)                                         \
    X(ERR_SIGN_RAW, "a raw image cannot be signed", 400, 136032, 65)                                                   \
    X(ERR_IMAGE_IN_USE, "image is used by a job", 400, 104016, 65)                                                     \
    X(ERR_IMAGE_IN_ACTIVE_USE, "image is used by an active job", 400, 104020, 65)                                      \
    X(ERR_IMAGE_5MB, "image is larger than 5 MB", 400, 104010, 65)                                                     \
    X(ERR_IMAGE_BASE64, "image is not valid base64", 400, 104011, 65)                                                  \
    X(ERR_IMAGE_NOT_FOUND, "image not found", 400, 104015, 66)                                                         \
    X(ERR_IMAGE_ID, "ota_image_id is missing", 400, 104018, 65)                                                        \
    X(ERR_IMAGE_MD5, "md5_checksum is no MD5 in base64", 400, 104039, 65)                                              \
    X(ERR_PACKAGE_NAME, "the package's name is not <project>_<version>.zip", 400, 112000, 65)                          \
    X(ERR_PACKAGE_LONG_NAME, "the package's name is too long", 400, 112001, 65)                                        \
    X(ERR_PACKAGE_NO_BIN, "the package has no firmware of its project", 400, 112004, 65)                               \
    X(ERR_PACKAGE_NO_ZIP, "the package is no .zip", 400, 112013, 65)                                                   \
    X(ERR_PACKAGE_300MB, "the package is larger than 300 MB", 400, 112014, 65)                                         \
    X(ERR_FILE_NOT_FOUND, "file not found", 404, 190043, 66)                                                           \
    X(ERR_UPLOAD_OFFSET, "the upload goes on at another byte", 409, 190044, 65)                                        \
    X(ERR_ARCHIVE_FLAG, "archive flag is missing", 400, 104022, 65)                                                    \
    X(ERR_ARCHIVED_ALREADY, "image is archived already", 400, 104023, 65)                                              \
    X(ERR_ARCHIVED_NOT, "image is not archived", 400, 104024, 65)                                                      \
    X(ERR_ARCHIVE_VALUE, "archive flag is neither true nor false", 400, 104026, 65)                                    \
    X(ERR_IMAGE_200MB, "image is larger than 200 MB", 400, 104030, 65)                                                 \
    X(ERR_IMAGE_UNREADABLE, "the image's header cannot be read", 400, 104031, 65)                                      \
    X(ERR_IMAGE_NOT_UPLOADED, "nothing was uploaded", 400, 104032, 65)                                                 \
    X(ERR_IMAGE_OR_URL, "give exactly one of ota_image_id and ota_image_url", 400, 104033, 65)                         \
    X(ERR_IMAGE_ARCHIVED, "image is archived", 400, 104034, 65)                                                        \
    X(ERR_JOB_NAME, "job name is missing", 400, 105001, 65)                                                            \
    X(ERR_JOB_TARGETS, "job has no targets", 400, 105002, 65)                                                          \
    X(ERR_JOB_EXISTS, "a job of that name exists", 400, 105005, 73)                                                    \
    X(ERR_JOB_NOT_FOUND, "job not found", 400, 105012, 66)                                                             \
    X(ERR_JOB_ID, "ota_job_id is missing", 400, 105014, 65)                                                            \
    X(ERR_JOB_OVER, "job is cancelled, expired or unknown", 404, 105015, 66)                                           \
    X(ERR_JOB_GROUPS, "more than 10 groups", 400, 105028, 65)                                                          \
    X(ERR_JOB_NODES, "more than 100 nodes", 400, 105029, 65)                                                           \
    X(ERR_JOB_NOT_OVER, "job is neither finished nor cancelled", 404, 105032, 65)                                      \
    X(ERR_JOB_NO_NODES, "no valid nodes", 400, 105048, 66)                                                             \
    X(ERR_JOB_FINISHED, "job is finished", 400, 105051, 65)                                                            \
    X(ERR_JOB_NO_NODE, "the job is not for that node", 400, 105036, 66)                                                \
    X(ERR_JOB_RULE, "a rule goes with neither nodes nor groups", 400, 105052, 65)                                      \
    X(ERR_JOB_TIMEOUT, "timeout must be at most 30 days", 400, 105055, 65)                                             \
    X(ERR_JOB_TIMEOUT_APPROVAL, "a job with user approval takes no timeout", 400, 105056, 65)                          \
    X(ERR_JOB_NOTIFY, "notify needs user_approval", 400, 105057, 65)                                                   \
    X(ERR_JOB_URL_SIGNING, "an image by URL cannot be signed", 400, 105067, 65)                                        \
    X(ERR_JOB_KEYS, "give either key_names or auto_select_key", 400, 105068, 65)                                       \
    X(ERR_JOB_AUTO_KEY_PUSH, "auto_select_key and force_push exclude each other", 400, 105069, 65)                     \
    X(ERR_JOB_PUSH_UNSIGNED, "a force push needs an image that was signed before", 400, 105070, 65)                    \
    X(ERR_JOB_IMAGE_ACCESS, "image access is for jobs with user approval", 400, 105073, 65)                            \
    X(ERR_JOB_SERIAL_TASK, "ota_task_duration is missing", 400, 105074, 65)                                            \
    X(ERR_JOB_SERIAL_WAIT, "give both min_wait and max_wait, or neither", 400, 105075, 65)                             \
    X(ERR_NO_NETWORK, "the node tells no network id", 400, 105076, 65)                                                 \
    X(ERR_TRAFFIC, "too much traffic, try again later", 423, 105078, 75)                                               \
    X(ERR_JOB_APPROVAL, "jobs with user approval are not pushed", 400, 105079, 65)                                     \
    X(ERR_NO_STATUS, "no status yet", 404, 105024, 66)                                                                 \
    X(ERR_JOB_PUSH_APPROVAL, "force_push and user_approval exclude each other", 400, 190030, 65)                       \
    X(ERR_JOB_CROSSED, "a rule that stops the job is still crossed", 400, 190031, 65)                                  \
    X(ERR_JOB_NOT_PAUSED, "the job is not paused", 400, 190032, 65)                                                    \
    X(ERR_JOB_HELD, "the job waits for a second person", 400, 190041, 65)                                              \
    X(ERR_JOB_NOT_HELD, "the job waits for nobody", 400, 190042, 65)                                                   \
    X(ERR_QUERY, "the query cannot be read", 400, 190033, 65)                                                          \
    X(ERR_PLAN, "the rollout cannot be read", 400, 190034, 65)                                                         \
    X(ERR_NODE_OFFLINE, "the node is not connected", 400, 102001, 75)                                                  \
    X(ERR_NOT_THE_USERS, "the node does not belong to the user", 400, 103020, 77)                                      \
    X(ERR_AUTOMATION, "no such automation", 400, 190045, 66)                                                           \
    X(ERR_STATUS_NOT_THE_USERS, "the status is not for the user to see", 400, 100010, 77)                              \
    X(ERR_NO_MAPPING, "the node is not mapped to the user", 400, 103013, 77)                                           \
    X(ERR_MAP_REQUEST, "no such request", 400, 190040, 66)                                                             \
    X(ERR_TAGS_MIXED, "tags takes either AND or OR", 400, 135011, 65)                                                  \
    X(ERR_NODE_TAGS, "a tag is not key:value, or there are too many", 400, 190035, 65)                                 \
    X(ERR_GROUP_NAME, "a text of the group is missing or too long", 400, 190036, 65)                                   \
    X(ERR_GROUP_EXISTS, "a group of that name exists", 400, 108007, 73)                                                \
    X(ERR_GROUP_NOT_FOUND, "group not found", 400, 108023, 66)                                                         \
    X(ERR_GROUP_NONE, "there are no groups", 404, 108027, 66)                                                          \
    X(ERR_GROUP_NO_NAME, "no group of that name", 404, 108029, 66)                                                     \
    X(ERR_GROUP_NO_RULE, "the group has no rule", 400, 108065, 65)                                                     \
    X(ERR_GROUP_CHILDREN, "too many sub-groups", 400, 108073, 65)                                                      \
    X(ERR_GROUP_SAME_RULE, "a group of the same rule exists", 400, 108075, 73)                                         \
    X(ERR_GROUP_RULE_NODES, "a dynamic group takes no nodes", 400, 108076, 65)                                         \
    X(ERR_GROUP_RULE_PARENT, "a dynamic group has no parent and is none", 400, 108149, 65)                             \
    X(ERR_GROUP_DEPTH, "groups lie too deep in each other", 400, 190037, 65)                                           \
    X(ERR_GROUP_HAS_GROUPS, "the group has groups in it", 400, 190038, 65)                                             \
    X(ERR_GROUP_IN_USE, "the group is used by an active job", 400, 190039, 65)                                         \
    X(ERR_JOB_PRIORITY, "priority must be 1 to 10", 400, 105054, 65)                                                   \
    X(ERR_NO_JOB, "no update for this node", 400, 105061, 66)                                                          \
    X(ERR_JOB_INACTIVE, "job is not active", 400, 105081, 65)                                                          \
    X(ERR_NODE_ID, "node_id is missing or not valid", 400, 105018, 65)                                                 \
    X(ERR_NODE_NOT_FOUND, "node not found", 404, 105019, 66)

#define ERR_ENUM(code, text, http, rainmaker, exit_status) code,
enum err { ERR_LIST(ERR_ENUM) ERR_COUNT };
#undef ERR_ENUM

/* The story of the last failure.  Text that does not fit is cut; it is always terminated. */
struct why {
    char text[320];
};

/* The fixed sentence, its name, HTTP status (200 for ERR_NONE), RainMaker code and exit status of a code. */
const char *err_text(enum err code);
const char *err_name(enum err code); /* "ERR_IMAGE_CHECKSUM", for scripts */
int err_http_status(enum err code);
int err_rainmaker_code(enum err code);
int err_exit_status(enum err code);

/* Writes the story and returns `code`, so that it can end a function.  `why` may be NULL: the story is not kept. */
enum err why_set(struct why *why, enum err code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Prefixes the story with what the caller was doing and returns `code`. */
enum err why_add(struct why *why, enum err code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* The story, or the code's fixed sentence when there is none. */
const char *why_text(const struct why *why, enum err code);

#endif

#include "pluvio/client.h"

#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SESSION_MAX 8192

void client_init(struct client *c)
{
    const char *given = getenv("PLUVIO_SESSION"), *config = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    memset(c, 0, sizeof *c);
    if (given != NULL)
        text_copy(c->path, sizeof c->path, given);
    else if (config != NULL)
        snprintf(c->path, sizeof c->path, "%s/pluvio/session.json", config);
    else
        snprintf(c->path, sizeof c->path, "%s/.config/pluvio/session.json", home ? home : ".");
}

static void take(const struct json *doc, const char *key, char *to, size_t size)
{
    text_copy(to, size, json_text(json_get(doc, key)));
}

/* An API token in the environment takes the session's place: for scripts. */
static bool take_environment(struct client *c)
{
    const char *token = getenv("PLUVIO_TOKEN"), *server = getenv("PLUVIO_SERVER"), *ca = getenv("PLUVIO_CA_FILE");
    if (server != NULL)
        text_copy(c->server, sizeof c->server, server);
    if (ca != NULL)
        text_copy(c->ca_file, sizeof c->ca_file, ca);
    if (token == NULL)
        return false;
    text_copy(c->access, sizeof c->access, token);
    c->refresh[0] = '\0';
    return c->server[0] != '\0';
}

enum err client_open(struct client *c, struct why *why)
{
    char text[SESSION_MAX];
    struct json *doc;
    client_init(c);
    int fd = open(c->path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text);
    if (fd >= 0)
        close(fd);
    if (n < 0 && take_environment(c))
        return ERR_NONE;
    if (n < 0)
        return why_set(why, ERR_UNAUTHORIZED,
                       "not logged in: run `pluvio login --server URL` first, or set PLUVIO_SERVER and PLUVIO_TOKEN");
    if (json_parse(bytes_of(text, (size_t)n), &doc, why) != ERR_NONE)
        return why_add(why, ERR_CONFIG, "session %s", c->path);
    take(doc, "server", c->server, sizeof c->server);
    take(doc, "ca_file", c->ca_file, sizeof c->ca_file);
    take(doc, "access", c->access, sizeof c->access);
    take(doc, "refresh", c->refresh, sizeof c->refresh);
    take(doc, "user", c->user, sizeof c->user);
    json_free(doc);
    take_environment(c);
    return c->access[0] ? ERR_NONE
                        : why_set(why, ERR_UNAUTHORIZED, "logged out: run `pluvio login --server %s` first", c->server);
}

static void make_folders(const char *path)
{
    char folder[512];
    text_copy(folder, sizeof folder, path);
    for (char *slash = folder + 1; (slash = strchr(slash, '/')) != NULL; *slash++ = '/') {
        *slash = '\0';
        mkdir(folder, 0700); /* those that exist stay as they are; a real failure shows when the file is written */
    }
}

enum err client_save(const struct client *c, struct why *why)
{
    struct buf text = {0};
    struct json_out out;
    json_out_init(&out, &text);
    json_out_object(&out, NULL);
    json_out_text(&out, "server", c->server);
    json_out_text(&out, "ca_file", c->ca_file);
    json_out_text(&out, "user", c->user);
    json_out_text(&out, "access", c->access);
    json_out_text(&out, "refresh", c->refresh);
    json_out_end_object(&out);
    make_folders(c->path);
    int fd = open(c->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    bool is_good = fd >= 0 && write(fd, text.at, text.len) == (ssize_t)text.len;
    if (fd >= 0)
        is_good &= close(fd) == 0;
    buf_deinit(&text);
    return is_good ? ERR_NONE : why_set(why, ERR_IO, "write %s: %s", c->path, strerror(errno));
}

/* --- calls ------------------------------------------------------------------------------------ */

static enum err call_once(struct client *c, const char *method, const char *path, const char *body,
                          struct http_answer *answer, struct why *why)
{
    struct buf url = {0}, token = {0}, organisation = {0};
    const char *org = getenv("PLUVIO_ORGANISATION");
    if (org != NULL)
        buf_addf(&organisation, "Pluvio-Organisation: %s", org);
    buf_addf(&url, "%s%s", c->server, path);
    buf_addf(&token, "Authorization: %s", c->access);
    struct http_call call = {.method = method,
                             .url = url.at,
                             .body_fd = -1,
                             .ca_file = c->ca_file,
                             .headers = {"Content-Type: application/json", c->access[0] ? token.at : NULL,
                                         c->access[0] ? organisation.at : NULL}};
    if (body != NULL)
        call.body = bytes_of_text(body);
    enum err err = http_call(&call, answer, why);
    buf_deinit(&url);
    buf_deinit(&token);
    buf_deinit(&organisation);
    return err;
}

static bool is_network_hint_needed(const struct client *c)
{
    return strncmp(c->server, "https://", 8) == 0 && c->ca_file[0] == '\0';
}

static enum err read_answer(struct client *c, struct http_answer *answer, struct json **doc, struct why *why)
{
    enum err err = json_parse(buf_bytes(&answer->body), doc, NULL);
    const char *text = json_text(json_get(*doc, "description"));
    if (answer->status >= 200 && answer->status < 300 && err == ERR_NONE)
        return ERR_NONE;
    if (answer->status == 401)
        why_set(why, err = ERR_UNAUTHORIZED, "%s refuses the session of %s: run `pluvio login` again", c->server,
                c->user);
    else if (text != NULL)
        why_set(why, err = ERR_USAGE, "%s", text);
    else
        why_set(why, err = ERR_NETWORK, "%s answered %d, and not in JSON: is it a Pluvio server?", c->server,
                answer->status);
    json_free(*doc);
    *doc = NULL;
    return err;
}

static bool renew(struct client *c)
{
    struct http_answer answer;
    struct json *doc = NULL;
    char body[256];
    if (c->refresh[0] == '\0')
        return false;
    snprintf(body, sizeof body, "{\"refreshtoken\":\"%s\"}", c->refresh);
    c->access[0] = '\0';
    bool is_good = call_once(c, "POST", "/v1/login2", body, &answer, NULL) == ERR_NONE && answer.status == 200 &&
                   json_parse(buf_bytes(&answer.body), &doc, NULL) == ERR_NONE;
    if (is_good)
        take(doc, "accesstoken", c->access, sizeof c->access);
    json_free(doc);
    buf_deinit(&answer.body);
    return is_good && client_save(c, NULL) == ERR_NONE;
}

enum err client_call(struct client *c, const char *method, const char *path, const char *body, struct json **doc,
                     struct why *why)
{
    struct http_answer answer;
    *doc = NULL;
    enum err err = call_once(c, method, path, body, &answer, why);
    if (err == ERR_NONE && answer.status == 401 && c->access[0] && renew(c)) {
        buf_deinit(&answer.body);
        err = call_once(c, method, path, body, &answer, why);
    }
    if (err != ERR_NONE)
        return is_network_hint_needed(c)
                   ? why_add(why, err, "if the server has an authority of its own, log in with --ca FILE")
                   : err;
    err = read_answer(c, &answer, doc, why);
    buf_deinit(&answer.body);
    return err;
}

#define PIECE_BYTES    (4LL * 1024 * 1024)
#define UPLOAD_RETRIES 5

/* --- upload ----------------------------------------------------------------------------------- */

static void show_progress(void *arg, int64_t sent, int64_t total)
{
    (void)arg;
    if (total > 0 && isatty(STDERR_FILENO))
        fprintf(stderr, "\r  uploading %3d%%", (int)(sent * 100 / total));
}

/* What is left of one upload. */
struct uploading {
    struct client *c;
    const char *url;
    int fd;
    int64_t at, size;
};

static void show_piece(void *arg, int64_t sent, int64_t total)
{
    const struct uploading *u = arg;
    (void)total;
    show_progress(NULL, u->at + sent, u->size);
}

/* Sends one piece, and moves on to where the server says that it is. */
static enum err send_piece(struct uploading *u, struct why *why)
{
    char offset[60];
    struct http_answer answer;
    struct json *doc = NULL;
    int64_t left = u->size - u->at;
    snprintf(offset, sizeof offset, "Upload-Offset: %" PRId64, u->at);
    struct http_call call = {.method = "PATCH",
                             .url = u->url,
                             .body_fd = u->fd,
                             .body_len = left < PIECE_BYTES ? left : PIECE_BYTES,
                             .ca_file = u->c->ca_file,
                             .wanted = "Upload-Offset",
                             .headers = {"Content-Type: application/octet-stream", offset},
                             .on_progress = show_piece,
                             .progress_arg = u};
    if (lseek(u->fd, u->at, SEEK_SET) != u->at)
        return why_set(why, ERR_IO, "read the file: %s", strerror(errno));
    enum err err = http_call(&call, &answer, why);
    if (err == ERR_NONE && answer.status != 200)
        err = read_answer(u->c, &answer, &doc, why);
    if (err == ERR_NONE)
        u->at = strtoll(answer.wanted, NULL, 10);
    json_free(doc);
    buf_deinit(&answer.body);
    return err;
}

static enum err ask_offset(struct uploading *u, struct why *why)
{
    struct http_answer answer;
    struct http_call call = {
        .method = "HEAD", .url = u->url, .body_fd = -1, .ca_file = u->c->ca_file, .wanted = "Upload-Offset"};
    enum err err = http_call(&call, &answer, why);
    if (err == ERR_NONE && answer.status != 200)
        err =
            why_set(why, ERR_NETWORK, "%s does not say how far the upload is: status %d", u->c->server, answer.status);
    if (err == ERR_NONE)
        u->at = strtoll(answer.wanted, NULL, 10);
    buf_deinit(&answer.body);
    return err;
}

/* In pieces: what the network cuts off goes on where the server has it. */
static enum err send_pieces(struct uploading *u, struct why *why)
{
    int failures = 0;
    enum err err = ERR_NONE;
    do {
        err = send_piece(u, why);
        while (err == ERR_NETWORK && failures < UPLOAD_RETRIES) {
            sleep(1U << failures++);
            err = ask_offset(u, why);
        }
    } while (err == ERR_NONE && u->at < u->size);
    return err;
}

enum err client_upload(struct client *c, const char *url, const char *file, struct why *why)
{
    struct stat st;
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0) {
        if (fd >= 0)
            close(fd);
        return why_set(why, ERR_IO, "read %s: %s", file, strerror(errno));
    }
    struct uploading u = {c, url, fd, 0, st.st_size};
    enum err err = send_pieces(&u, why);
    close(fd);
    if (isatty(STDERR_FILENO))
        fprintf(stderr, "\r                    \r");
    return err;
}

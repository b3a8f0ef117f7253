#include "pluvio/commands.h"

#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#define SERVER_DEFAULT "http://127.0.0.1:8080"

static bool read_line(FILE *from, char *to, size_t size)
{
    if (fgets(to, (int)size, from) == NULL)
        return false;
    to[strcspn(to, "\r\n")] = '\0';
    return *to != '\0';
}

static bool ask_password(char *to, size_t size)
{
    struct termios shown, hidden;
    bool is_terminal = tcgetattr(STDIN_FILENO, &shown) == 0;
    fputs("Password: ", stderr);
    if (is_terminal) {
        hidden = shown;
        hidden.c_lflag &= ~(tcflag_t)ECHO;
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &hidden);
    }
    bool is_read = read_line(stdin, to, size);
    if (is_terminal) {
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &shown);
        fputs("\n", stderr);
    }
    return is_read;
}

/* The file that pluviod writes at first start: user name, then password; a file with a password alone will do. */
static bool read_credentials(const char *path, char *user, size_t user_size, char *password, size_t size)
{
    char first[300] = "", second[300] = "";
    bool is_standard = strcmp(path, "-") == 0;
    FILE *file = is_standard ? stdin : fopen(path, "re");
    if (file == NULL)
        return false;
    bool is_read = read_line(file, first, sizeof first);
    bool is_pair = is_read && read_line(file, second, sizeof second);
    if (!is_standard)
        fclose(file);
    text_copy(password, size, is_pair ? second : first);
    if (is_pair && *user == '\0')
        text_copy(user, user_size, first);
    return is_read;
}

static enum err keep_session(struct client *c, const char *body, struct why *why)
{
    struct json *doc;
    enum err err = client_call(c, "POST", "/v1/login2", body, &doc, why);
    if (err != ERR_NONE)
        return err;
    text_copy(c->access, sizeof c->access, text_of(doc, "accesstoken"));
    text_copy(c->refresh, sizeof c->refresh, text_of(doc, "refreshtoken"));
    json_free(doc);
    return client_save(c, why);
}

/* The browser shows a code, which the person brings. */
static enum err sign_in_by_provider(struct client *c, struct why *why)
{
    char code[100] = "";
    struct buf body = {0};
    struct json_out out;
    struct json *doc = NULL;
    printf("Open this page in a browser, and sign in:\n\n  %s/v1/oidc/login?show_code=true\n\nThe code it shows: ",
           c->server);
    fflush(stdout);
    if (!read_line(stdin, code, sizeof code))
        return why_set(why, ERR_USAGE, "no code was given");
    json_out_init(&out, &body);
    json_out_object(&out, NULL);
    json_out_text(&out, "oidc_code", code);
    json_out_end_object(&out);
    enum err err = keep_session(c, body.at, why);
    buf_deinit(&body);
    if (err == ERR_NONE)
        err = client_call(c, "GET", "/v1/user", NULL, &doc, why);
    if (err == ERR_NONE)
        text_copy(c->user, sizeof c->user, text_of(doc, "user_name"));
    json_free(doc);
    return err ? err : client_save(c, why);
}

static enum err log_in(struct client *c, const char *password, struct why *why)
{
    struct buf body = {0};
    struct json_out out;
    json_out_init(&out, &body);
    json_out_object(&out, NULL);
    json_out_text(&out, "user_name", c->user);
    json_out_text(&out, "password", password);
    json_out_end_object(&out);
    enum err err = keep_session(c, body.at, why);
    buf_deinit(&body);
    return err;
}

enum err command_login(int argc, char **argv, struct why *why)
{
    static const struct option_row rows[] = {
        {"server", 's', "URL", "The server (default: " SERVER_DEFAULT ")"},
        {"user", 'u', "NAME", "User name"},
        {"password-file", 'p', "FILE",
         "Read the password from a file (- is standard input); pluviod's FOLDER/admin-password has the user name too"},
        {"oidc", 'o', NULL, "Sign in by the server's OpenID Connect provider, in a browser"},
        {"ca", 'c', "FILE", "The authority that signed the server's certificate (FOLDER/keys/ca.crt)"},
        {NULL, 0, NULL, NULL},
    };
    static const struct command_line line = {rows, "", "Log in to a server and remember the session.", 0, 0};
    struct options o;
    struct client c;
    char password[300] = "", resolved[4096];
    options_parse(&o, argc, argv, &line);
    client_init(&c);
    text_copy(c.server, sizeof c.server, option(&o, "server") ? option(&o, "server") : SERVER_DEFAULT);
    while (c.server[0] && c.server[strlen(c.server) - 1] == '/')
        c.server[strlen(c.server) - 1] = '\0';
    text_copy(c.user, sizeof c.user, option(&o, "user"));
    if (option(&o, "ca") != NULL &&
        (realpath(option(&o, "ca"), resolved) == NULL || !text_copy(c.ca_file, sizeof c.ca_file, resolved)))
        return why_set(why, ERR_IO, "the authority %s cannot be read", option(&o, "ca"));
    const char *file = option(&o, "password-file");
    if (option(&o, "oidc") != NULL) {
        enum err signed_in = sign_in_by_provider(&c, why);
        if (signed_in == ERR_NONE)
            printf("\nLogged in to %s as %s.\n", c.server, c.user);
        return signed_in;
    }
    if (file != NULL && !read_credentials(file, c.user, sizeof c.user, password, sizeof password))
        return why_set(why, ERR_IO, "no password in %s", file);
    if (c.user[0] == '\0')
        return why_set(why, ERR_USAGE, "say who: --user NAME");
    if (file == NULL && !ask_password(password, sizeof password))
        return why_set(why, ERR_USAGE, "no password was given");
    enum err err = log_in(&c, password, why);
    if (err == ERR_NONE)
        printf("Logged in to %s as %s.\n", c.server, c.user);
    return err;
}

enum err command_logout(int argc, char **argv, struct why *why)
{
    static const struct option_row rows[] = {{NULL, 0, NULL, NULL}};
    static const struct command_line line = {rows, "", "End all of your sessions, and forget this one.", 0, 0};
    struct options o;
    struct client c;
    struct json *doc = NULL;
    options_parse(&o, argc, argv, &line);
    enum err err = client_open(&c, why);
    if (err == ERR_NONE)
        err = client_call(&c, "POST", "/v1/logout2", "{}", &doc, why);
    json_free(doc);
    if (err != ERR_NONE)
        return err;
    c.access[0] = c.refresh[0] = '\0';
    printf("Logged out.\n");
    return client_save(&c, why);
}

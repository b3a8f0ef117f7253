#include "pluviod/fetch.h"

#include "net/http_call.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define TIMEOUT_MS 120000

static enum err fetch(struct rest_fetch *port, const char *url, const char *path, struct why *why)
{
    struct fetcher *f = (struct fetcher *)port;
    struct http_answer answer;
    struct http_call call = {
        .method = "GET", .url = url, .body_fd = -1, .timeout_ms = TIMEOUT_MS, .refuses_own_hosts = !f->calls_own_hosts};
    enum err err = http_call(&call, &answer, why);
    if (err == ERR_NONE && answer.status != 200)
        err = why_set(why, ERR_NETWORK, "%.120s answers %d", url, answer.status);
    int fd = err == ERR_NONE ? open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600) : -1;
    bool is_kept = fd >= 0 && write(fd, answer.body.at, answer.body.len) == (ssize_t)answer.body.len;
    if (fd >= 0)
        is_kept &= close(fd) == 0;
    if (err == ERR_NONE && !is_kept)
        err = why_set(why, ERR_NO_SPACE, "keep what was fetched: %s", strerror(errno));
    buf_deinit(&answer.body);
    return err;
}

void fetch_init(struct fetcher *f, bool calls_own_hosts)
{
    *f = (struct fetcher){{fetch}, calls_own_hosts};
}

#include "net/http_call.h"
#include "test.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

static void names_are_escaped_for_a_query(void **state)
{
    struct buf to = {0};
    (void)state;
    http_escape(&to, "a b&c=d/\xc3\xa9~_-.9");
    assert_string_equal(to.at, "a%20b%26c%3Dd%2F%C3%A9~_-.9");
    buf_deinit(&to);
}

struct server {
    int listener;
    char request[4096];
};

static void *answer_once(void *arg)
{
    struct server *s = arg;
    static const char answer[] = "HTTP/1.1 418 Teapot\r\nContent-Length: 5\r\nConnection: close\r\n\r\nshort";
    int c = accept(s->listener, NULL, NULL);
    ssize_t n = 0;
    while (strstr(s->request, "\r\n\r\n") == NULL || strstr(s->request, "body") == NULL) {
        ssize_t got = read(c, s->request + n, sizeof s->request - 1 - (size_t)n);
        if (got <= 0)
            break;
        n += got;
    }
    assert_int_equal(write(c, answer, sizeof answer - 1), sizeof answer - 1);
    close(c);
    return NULL;
}

static void any_answer_is_an_answer(void **state)
{
    struct server s = {.listener = socket(AF_INET, SOCK_STREAM, 0)};
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof in;
    char url[64];
    struct http_answer answer;
    pthread_t thread;
    (void)state;
    assert_int_equal(bind(s.listener, (struct sockaddr *)&in, sizeof in), 0);
    assert_int_equal(listen(s.listener, 1), 0);
    getsockname(s.listener, (struct sockaddr *)&in, &len);
    pthread_create(&thread, NULL, answer_once, &s);
    snprintf(url, sizeof url, "http://127.0.0.1:%d/x", ntohs(in.sin_port));
    struct http_call call = {
        .method = "PUT", .url = url, .headers = {"X-Test: yes"}, .body = bytes_of_text("body"), .body_fd = -1};
    assert_int_equal(http_call(&call, &answer, NULL), ERR_NONE);
    pthread_join(thread, NULL);
    close(s.listener);
    assert_int_equal(answer.status, 418);
    assert_string_equal(answer.body.at, "short");
    assert_memory_equal(s.request, "PUT /x HTTP/1.1\r\n", 17);
    assert_non_null(strstr(s.request, "X-Test: yes\r\n"));
    buf_deinit(&answer.body);
}

static void no_answer_is_an_error_with_a_story(void **state)
{
    struct http_answer answer;
    struct why why = {{0}};
    struct http_call call = {.method = "GET", .url = "http://127.0.0.1:1/", .body_fd = -1};
    (void)state;
    assert_int_equal(http_call(&call, &answer, &why), ERR_NETWORK);
    assert_non_null(strstr(why.text, "http://127.0.0.1:1/"));
    call.url = "file:///etc/passwd";
    assert_int_equal(http_call(&call, &answer, &why), ERR_NETWORK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_escaped_for_a_query),
        cmocka_unit_test(any_answer_is_an_answer),
        cmocka_unit_test(no_answer_is_an_error_with_a_story),
    };
    return cmocka_run_group_tests_name("net", tests, NULL, NULL);
}

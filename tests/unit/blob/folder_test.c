#include "blob/folder.h"
#include "test.h"

#include <unistd.h>

static void bytes_appear_whole_and_go(void **state)
{
    struct blob_folder b;
    char folder[64], file[100], sha[65], read_back[8] = "";
    int fd;
    int64_t size;
    (void)state;
    memset(sha, 'a', 64);
    sha[64] = '\0';
    snprintf(folder, sizeof folder, "/tmp/pluvio-blob-%d", (int)getpid());
    assert_int_equal(blob_folder_open(&b, folder, NULL), ERR_NONE);
    snprintf(file, sizeof file, "%s/upload", folder);
    FILE *out = fopen(file, "w");
    fputs("image", out);
    fclose(out);
    assert_int_equal(b.port.ops->open(&b.port, sha, &fd, &size, NULL), ERR_NOT_FOUND);
    assert_int_equal(b.port.ops->take(&b.port, file, sha, NULL), ERR_NONE);
    assert_int_not_equal(access(file, F_OK), 0);
    assert_int_equal(b.port.ops->open(&b.port, sha, &fd, &size, NULL), ERR_NONE);
    assert_int_equal(size, 5);
    assert_int_equal(read(fd, read_back, 5), 5);
    assert_string_equal(read_back, "image");
    close(fd);
    assert_int_equal(b.port.ops->remove(&b.port, sha, NULL), ERR_NONE);
    assert_int_equal(b.port.ops->remove(&b.port, sha, NULL), ERR_NONE);
    assert_int_equal(b.port.ops->open(&b.port, sha, &fd, &size, NULL), ERR_NOT_FOUND);
    assert_int_equal(b.port.ops->open(&b.port, "../../etc/passwd", &fd, &size, NULL), ERR_NOT_FOUND);
    assert_int_equal(rmdir(folder), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(bytes_appear_whole_and_go)};
    return cmocka_run_group_tests_name("blob folder", tests, NULL, NULL);
}

/* Replays a corpus: every file of the folders that are named. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INPUT_MAX (1 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void replay(const char *path)
{
    /* A block of its own size for each input, so that the sanitizer sees a read past it. */
    uint8_t *all = malloc(INPUT_MAX);
    FILE *f = fopen(path, "rb");
    size_t n = f && all ? fread(all, 1, INPUT_MAX, f) : 0;
    uint8_t *exact = malloc(n ? n : 1);
    if (f == NULL || all == NULL || exact == NULL) {
        fprintf(stderr, "cannot read %s\n", path);
        exit(1);
    }
    memcpy(exact, all, n);
    fclose(f);
    LLVMFuzzerTestOneInput(exact, n);
    free(exact);
    free(all);
}

int main(int argc, char **argv)
{
    unsigned count = 0;
    for (int i = 1; i < argc; i++) {
        DIR *folder = opendir(argv[i]);
        if (folder == NULL) {
            fprintf(stderr, "cannot open %s\n", argv[i]);
            return 1;
        }
        for (struct dirent *e; (e = readdir(folder)) != NULL;) {
            char path[4096];
            if (e->d_name[0] == '.')
                continue;
            snprintf(path, sizeof path, "%s/%s", argv[i], e->d_name);
            replay(path);
            count++;
        }
        closedir(folder);
    }
    printf("%u inputs replayed\n", count);
    return count > 0 ? 0 : 1;
}

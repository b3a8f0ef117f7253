/*
 * Ten thousand nodes' minds in one process, side by side on one virtual clock, each through a whole update: fetch, job,
 * download with progress, reboot, trial, confirmation, acknowledged report.  minds [COUNT]
 */
#include "../unit/ota/play.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SECONDS 60

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
    static const int percents[] = {10, 20, 30, 40, 50, 60, 70, 80, 90};
    size_t count = argc > 1 ? strtoul(argv[1], NULL, 10) : 10000, done = 0, effects = 0;
    struct play *nodes = calloc(count, sizeof *nodes);
    struct ota_options options = ota_options_default;
    options.progress_percent = 10;
    if (nodes == NULL)
        return 71;
    double from = now_s();
    for (size_t i = 0; i < count; i++) {
        play_init(&nodes[i], &options, i + 1);
        memcpy(nodes[i].attempts[0].percents, percents, sizeof percents);
        play_boot(&nodes[i]);
    }
    for (int second = 0; second < SECONDS; second++)
        for (size_t i = 0; i < count; i++) {
            if (second == 6 + (int)(i % 20)) {
                play_job(&nodes[i], "ZRhABWWP2GC6DN6yWvvSoK", "{\"download_window\":{\"start\":0,\"end\":1439}}");
                play_hush(&nodes[i]);
            }
            play_run(&nodes[i], 1000);
        }
    double took = now_s() - from;
    for (size_t i = 0; i < count; i++) {
        done += strcmp(play_version(&nodes[i]), "2.0") == 0 && strcmp(nodes[i].final_status, "success") == 0 &&
                nodes[i].ota.rows[0].state == OTA_ROW_TOLD;
        effects += nodes[i].effects;
    }
    printf("minds                      %zu of %zu through a whole update in %.2f s, %zu effects   [limit 5 s]\n", done,
           count, took, effects);
    printf("memory per mind            %zu bytes   [limit 2048]\n", sizeof(struct ota));
    free(nodes);
    return done == count ? 0 : 1;
}

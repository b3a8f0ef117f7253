/* Goal: local time by a POSIX text is what the C library makes of the same text, at every change of the clock. */
#include "base/zone.h"
#include "test.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char *const zones[] = {"UTC0",
                                    "CST-8",
                                    "CET-1CEST,M3.5.0,M10.5.0/3",
                                    "EST5EDT,M3.2.0,M11.1.0",
                                    "<+1030>-10:30<+11>-11,M10.1.0,M4.1.0",
                                    "IST-1GMT0,M10.5.0,M3.5.0/1",
                                    "<-03>3<-02>,M3.5.0/-2,M10.5.0/-1",
                                    "NZST-12NZDT,M9.5.0,M4.1.0/3",
                                    "ABC3:30:15DEF,J60/0,J300/24",
                                    "XYZ-5QRS,59,299/4:30:00",
                                    "<+0545>-5:45",
                                    "IST-2IDT,M3.4.4/26,M10.5.0",
                                    "EET-2EEST,M3.5.0/0,M10.5.0/0"};

static void like_the_c_library(void **state)
{
    unsigned count = 0;
    (void)state;
    for (size_t z = 0; z < sizeof zones / sizeof zones[0]; z++) {
        struct zone zone;
        assert_true(zone_parse(&zone, zones[z]));
        setenv("TZ", zones[z], 1);
        tzset();
        /* 1970 to 2110 in odd steps: every hour of the day, every day of the year, leap years and 2100, which is none
         */
        for (int64_t at = 0; at < 4417977600; at += 13337, count++) {
            struct tm local;
            time_t t = (time_t)at;
            localtime_r(&t, &local);
            if (local.tm_gmtoff != zone_offset_s(&zone, at) ||
                local.tm_hour * 60 + local.tm_min != zone_minute(&zone, at))
                fail_msg("%s at %lld: %d s ahead, the C library says %ld", zones[z], (long long)at,
                         (int)zone_offset_s(&zone, at), local.tm_gmtoff);
        }
        /* second by second around each change */
        for (int64_t at = 1704067200; at < 1735689600; at += 3600)
            if (zone_offset_s(&zone, at) != zone_offset_s(&zone, at + 3600))
                for (int64_t s = at; s <= at + 3600; s++, count++) {
                    struct tm local;
                    time_t t = (time_t)s;
                    localtime_r(&t, &local);
                    assert_int_equal(local.tm_gmtoff, zone_offset_s(&zone, s));
                }
    }
    print_message("%u moments in %zu zones\n", count, sizeof zones / sizeof zones[0]);
    unsetenv("TZ");
}

static void other_texts_are_none(void **state)
{
    static const char *const bad[] = {"",
                                      "UTC",
                                      "U1",
                                      "Asia/Shanghai",
                                      "CST",
                                      "CST-25",
                                      "CST-8:60",
                                      "CST-8 ",
                                      "<+0>0",
                                      "<+08-8",
                                      "CET-1CEST,",
                                      "CET-1CEST,M3.5.0",
                                      "CET-1CEST,M13.5.0,M10.5.0",
                                      "CET-1CEST,M3.6.0,M10.5.0",
                                      "CET-1CEST,M3.5.7,M10.5.0",
                                      "CET-1CEST,J0,J1",
                                      "CET-1CEST,366,1",
                                      "CET-1CEST,M3.5.0/168,M10.5.0",
                                      "CET-1CEST,M3.5.0,M10.5.0x",
                                      "CET-1CE,M3.5.0,M10.5.0",
                                      "-1",
                                      "CET-99999999999"};
    struct zone zone;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (zone_parse(&zone, bad[i]))
            fail_msg("\"%s\" is taken for a zone", bad[i]);
        assert_int_equal(zone_offset_s(&zone, 1760000000), 0);
    }
    char longest[100];
    memset(longest, 'A', sizeof longest);
    strcpy(longest + 80, "0");
    assert_false(zone_parse(&zone, longest));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(like_the_c_library),
        cmocka_unit_test(other_texts_are_none),
    };
    return cmocka_run_group_tests_name("zone", tests, NULL, NULL);
}

#include "store/trouble.h"

#include "base/clock.h"

#define LOG_EVERY_US (60 * US_PER_S)

bool trouble_note(struct trouble *trouble, int64_t now_us)
{
    bool begins = trouble->failures == 0;
    trouble->failures++;
    if (!begins && now_us - trouble->logged_at_us < LOG_EVERY_US) {
        return false;
    }
    trouble->logged_at_us = now_us;
    return true;
}

uint64_t trouble_end(struct trouble *trouble)
{
    uint64_t failures = trouble->failures;
    trouble->failures = 0;
    return failures;
}

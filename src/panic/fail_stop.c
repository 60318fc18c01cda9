#include "panic/fail_stop.h"

#include <unistd.h>

#include "base/log.h"

void fail_stop_on_data_loss(enum status status, const char *where)
{
    if (status != STATUS_DATA_LOSS) {
        return;
    }
    log_error("fail-stop", log_str("where", where),
              log_str("why",
                      "the store reported an I/O error; ending without acknowledging. Check the disk, then "
                      "start again: nothing acknowledged is lost"));
    _exit(FAIL_STOP_EXIT);
}

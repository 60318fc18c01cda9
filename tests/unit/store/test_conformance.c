/* What every kind of store must do: each test runs over all of them. */
#include "conformance.h"

int main(void)
{
    int failed = run_write_conformance();
    failed += run_list_conformance();
    failed += run_read_conformance();
    failed += run_feed_conformance();
    return failed;
}

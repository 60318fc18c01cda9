/* GET /metrics as tests need it: the page, and single samples of it. */
#ifndef HARNESS_SCRAPE_H
#define HARNESS_SCRAPE_H

#include <stdbool.h>

/* The page; the caller frees it. Fails the test unless the answer is 200 and of the format's type. */
char *scrape(const char *url);

/* Does the page have this sample? `sample` is its name with its labels, `up{job="x"}`. */
bool scrape_has(const char *page, const char *sample);
/* Its value; fails the test when the page does not have it. */
double scrape_value(const char *page, const char *sample);

/* The same of a page asked for now. */
double scrape_now(const char *url, const char *sample);

/* Fails the test unless each histogram's buckets never fall, the last is +Inf, and its count is the same. */
void scrape_check_histograms(const char *page);

#endif

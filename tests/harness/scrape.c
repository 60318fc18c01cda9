#include "harness/scrape.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/http_client.h"
#include "harness/test.h"

char *scrape(const char *url)
{
    struct http_answer answer;
    http_call(url, "GET", "/metrics", "", NULL, &answer);
    if (answer.status != 200) {
        fail_msg("expected the page, got %s%s", answer.head, answer.body);
    }
    assert_string_equal(http_header(&answer, "Content-Type"), "text/plain; version=0.0.4; charset=utf-8");
    assert_true(answer.length > 0 && answer.body[answer.length - 1] == '\n');
    return answer.body;
}

/* What stands behind the sample and its blank, NULL when there is none. */
static const char *find(const char *page, const char *sample)
{
    size_t length = strlen(sample);
    const char *line = page;
    while (line != NULL && *line != 0) {
        if (strncmp(line, sample, length) == 0 && line[length] == ' ') {
            return line + length + 1;
        }
        line = strchr(line, '\n');
        line = line != NULL ? line + 1 : NULL;
    }
    return NULL;
}

bool scrape_has(const char *page, const char *sample)
{
    return find(page, sample) != NULL;
}

double scrape_value(const char *page, const char *sample)
{
    const char *text = find(page, sample);
    if (text == NULL) {
        fail_msg("the page has no %s", sample);
        return 0;
    }
    char *end;
    double value = strtod(text, &end);
    assert_true(end != text && *end == '\n');
    return value;
}

double scrape_now(const char *url, const char *sample)
{
    char *page = scrape(url);
    double value = scrape_value(page, sample);
    free(page);
    return value;
}

static bool ends_with(const char *name, size_t length, const char *end)
{
    size_t n = strlen(end);
    return length >= n && strncmp(name + length - n, end, n) == 0;
}

/* The buckets of one histogram and one set of labels follow each other; +Inf ends them, then sum and count.
 */
void scrape_check_histograms(const char *page)
{
    double before = 0;
    double infinite = -1;
    size_t n = 0;
    for (const char *line = page; *line != 0; line = strchr(line, '\n') + 1) {
        const char *blank = line + strcspn(line, " \n");
        if (line[0] == '#' || *blank != ' ') {
            continue;
        }
        char name[256];
        snprintf(name, sizeof(name), "%.*s", (int)(blank - line), line);
        double value = strtod(blank, NULL);
        if (strstr(name, "_bucket{") != NULL) {
            assert_true(value >= before);
            before = value;
            infinite = strstr(name, "le=\"+Inf\"") != NULL ? value : -1;
        } else if (ends_with(name, strcspn(name, "{"), "_count")) {
            assert_true(infinite >= 0 && value == infinite);
            before = 0;
            n++;
        }
    }
    assert_true(n > 0);
}

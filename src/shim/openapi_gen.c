/*
 * Build tool: writes the OpenAPI 3.1 document as C (shim/openapi.h).
 *
 *     openapi_gen openapi.yaml.in > openapi_document.c
 *
 * The template has what people write; each of its lines that begins with '@' names a part that comes from
 * what the server is built from, so that it cannot say anything else: methods, messages, enums and their
 * comments from the descriptors, HTTP statuses from the shim's own table. How the schemas of messages are
 * written is openapi_schemas.c.
 *
 * Every Connect path is a POST; methods without side effects have a GET too. Both are told all statuses that
 * the table maps errors to: a handler may fail with any of them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shim/gzip.h"
#include "shim/http_status.h"
#include "shim/openapi_schemas.h"

#define PACK_MEMORY_MAX ((size_t)256 * 1024)

static void fail(const char *what, const char *name)
{
    fprintf(stderr, "openapi_gen: %s: %s\n", name, what);
    exit(EXIT_FAILURE);
}

/* ---- statuses ---- */

/* What the edge itself refuses, beside what handlers fail with. */
static const struct {
    int http_status;
    const char *text;
} edge_refusals[] = {
    {400, "or it is not HTTP as it should be"},
    {403, "or the page of an origin that is not allowed"},
    {408, "the request did not arrive in time"},
    {413, "the body is too long"},
    {415, "the body's type or coding is not one that is taken"},
    {431, "the head is too long"},
    {503, "or the server is stopping, or has every call under way"},
    {505, "not HTTP/1.1"},
};

static const char *refusal_text(int http_status)
{
    for (size_t i = 0; i < sizeof(edge_refusals) / sizeof(edge_refusals[0]); i++) {
        if (edge_refusals[i].http_status == http_status) {
            return edge_refusals[i].text;
        }
    }
    return NULL;
}

/* Whether an operation can be answered with it as an error. */
static bool is_error(int http_status)
{
    for (unsigned code = STATUS_OK + 1; code < STATUS_COUNT; code++) {
        if (http_status_of((enum status)code) == http_status) {
            return true;
        }
    }
    return refusal_text(http_status) != NULL;
}

/* "`invalid_argument`, `out_of_range`: text" */
static void put_reasons(FILE *out, int http_status)
{
    const char *comma = "";
    for (unsigned code = STATUS_OK + 1; code < STATUS_COUNT; code++) {
        if (http_status_of((enum status)code) == http_status) {
            fprintf(out, "%s`%s`", comma, connect_code_of((enum status)code));
            comma = ", ";
        }
    }
    const char *text = refusal_text(http_status);
    if (text != NULL) {
        fprintf(out, "%s%s", comma, text);
    }
}

static void put_response_head(FILE *out, const char *kind, int http_status)
{
    fprintf(out, "    %s%d:\n      description: \"%s: ", kind, http_status, http_phrase(http_status));
    put_reasons(out, http_status);
    fputs(".\"\n", out);
    if (http_status == 429 || http_status == 503) {
        fputs("      headers:\n        Retry-After:\n"
              "          $ref: '#/components/headers/RetryAfter'\n",
              out);
    }
    fputs("      content:\n        application/json:\n          schema:\n", out);
}

static void put_responses(FILE *out)
{
    for (size_t i = 0; i < HTTP_STATUSES; i++) {
        int http_status = http_status_at(i);
        if (!is_error(http_status)) {
            continue;
        }
        put_response_head(out, "Error", http_status);
        fputs("            $ref: '#/components/schemas/Error'\n        application/problem+json:\n"
              "          schema:\n            $ref: '#/components/schemas/Problem'\n",
              out);
        put_response_head(out, "Connect", http_status);
        if (refusal_text(http_status) == NULL) {
            fputs("            $ref: '#/components/schemas/ConnectError'\n", out);
        } else {
            fputs("            anyOf:\n              - $ref: '#/components/schemas/ConnectError'\n"
                  "              - $ref: '#/components/schemas/Error'\n",
                  out);
        }
    }
}

/* Of an operation: "Error" or "Connect". */
static void put_response_list(FILE *out, const char *kind)
{
    for (size_t i = 0; i < HTTP_STATUSES; i++) {
        if (is_error(http_status_at(i))) {
            fprintf(out, "        '%d':\n          $ref: '#/components/responses/%s%d'\n", http_status_at(i),
                    kind, http_status_at(i));
        }
    }
}

static void put_plain_responses(FILE *out)
{
    put_response_list(out, "Error");
}

static void put_code_schema(FILE *out)
{
    fputs("    Code:\n      description: The kind of error, as in the Connect protocol.\n      enum:\n", out);
    for (unsigned code = STATUS_OK + 1; code < STATUS_COUNT; code++) {
        fprintf(out, "        - %s\n", connect_code_of((enum status)code));
    }
}

/* ---- methods ---- */

static void put_tags(FILE *out)
{
    const struct descriptor_table *table = &descriptor_table_builtin;
    for (size_t i = 0; i < table->n_services; i++) {
        const struct descriptor_service *service = &table->services[i];
        fprintf(out, "  - name: %s\n", service->name);
        openapi_description(
            out, 4, service->comment[0] != 0 ? service->comment : "A service, after the Connect protocol.");
    }
}

/* The first sentence of the comment. */
static void put_summary(FILE *out, const struct descriptor_method *method)
{
    const char *text = method->comment[0] != 0 ? method->comment : method->name;
    fputs("      summary: \"", out);
    for (size_t i = 0; text[i] != 0; i++) {
        if (text[i] == '"' || text[i] == '\\') {
            fputc('\\', out);
        }
        fputc(text[i] == '\n' ? ' ' : text[i], out);
        if (text[i] == '.' && (text[i + 1] == ' ' || text[i + 1] == '\n')) {
            break;
        }
    }
    fputs("\"\n", out);
}

static void put_operation(FILE *out, const char *verb, const struct descriptor_service *service,
                          const struct descriptor_method *method)
{
    fprintf(out, "    %s:\n      tags: [%s]\n      operationId: %s.%s.%s\n", verb, service->name,
            service->name, method->name, verb);
    put_summary(out, method);
    openapi_description(out, 6, method->comment);
    fputs("      parameters:\n", out);
}

static void put_answer(FILE *out, const struct descriptor_method *method)
{
    fprintf(out,
            "      responses:\n        '200':\n          description: The answer.\n          content:\n"
            "            application/json:\n              schema:\n"
            "                $ref: '#/components/schemas/%s'\n            application/proto: {}\n",
            method->output->descriptor->name);
    put_response_list(out, "Connect");
}

static void put_post(FILE *out, const struct descriptor_service *service,
                     const struct descriptor_method *method)
{
    put_operation(out, "post", service, method);
    fprintf(out,
            "        - $ref: '#/components/parameters/ConnectProtocolVersion'\n"
            "        - $ref: '#/components/parameters/ConnectTimeoutMs'\n"
            "      requestBody:\n        required: true\n        content:\n          application/json:\n"
            "            schema:\n              $ref: '#/components/schemas/%s'\n"
            "          application/proto: {}\n",
            method->input->descriptor->name);
    put_answer(out, method);
}

static void put_get(FILE *out, const struct descriptor_service *service,
                    const struct descriptor_method *method)
{
    put_operation(out, "get", service, method);
    fprintf(out,
            "        - $ref: '#/components/parameters/ConnectVersion'\n"
            "        - $ref: '#/components/parameters/Encoding'\n"
            "        - $ref: '#/components/parameters/Base64'\n"
            "        - $ref: '#/components/parameters/ConnectTimeoutMs'\n"
            "        - name: message\n          in: query\n          required: true\n"
            "          description: The request.\n          content:\n            application/json:\n"
            "              schema:\n                $ref: '#/components/schemas/%s'\n",
            method->input->descriptor->name);
    put_answer(out, method);
}

static void put_method_paths(FILE *out)
{
    const struct descriptor_table *table = &descriptor_table_builtin;
    for (size_t i = 0; i < table->n_services; i++) {
        const struct descriptor_service *service = &table->services[i];
        for (size_t j = 0; j < service->n_methods; j++) {
            const struct descriptor_method *method = &service->methods[j];
            fprintf(out, "  /%s/%s:\n", service->name, method->name);
            put_post(out, service, method);
            if (method->idempotency == DESCRIPTOR_NO_SIDE_EFFECTS) {
                put_get(out, service, method);
            }
        }
    }
}

static void put_schemas(FILE *out)
{
    put_code_schema(out);
    openapi_schemas(out, &descriptor_table_builtin);
}

/* ---- the document ---- */

static void put_part(FILE *out, const char *name)
{
    static const struct {
        const char *name;
        void (*put)(FILE *out);
    } parts[] = {
        {"tags", put_tags},           {"plain-responses", put_plain_responses},
        {"responses", put_responses}, {"method-paths", put_method_paths},
        {"schemas", put_schemas},
    };
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        if (strcmp(parts[i].name, name) == 0) {
            parts[i].put(out);
            return;
        }
    }
    fail("no such part", name);
}

static void put_line(FILE *out, char *line)
{
    static const char version[] = "@version";
    char *place = strstr(line, version);
    if (line[0] == '@') {
        line[strcspn(line, "\n")] = 0;
        put_part(out, line + 1);
    } else if (place != NULL) {
        *place = 0;
        fprintf(out, "%s" PANICD_VERSION "%s", line, place + strlen(version));
    } else {
        fputs(line, out);
    }
}

static void print_as_c(const char *name, const char *text, size_t length)
{
    printf("const char %s[] =\n    \"", name);
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c == '\n') {
            fputs(i + 1 < length ? "\\n\"\n    \"" : "\\n", stdout);
        } else if (c == '"' || c == '\\' || c == '?' || c < 0x20 || c >= 0x7f) {
            printf("\\%03o", c);
        } else {
            putchar(c);
        }
    }
    printf("\";\nconst size_t %s_length = sizeof(%s) - 1;\n", name, name);
}

/* Packed here, so that nobody has to do it while requests wait. */
static void print_document(const char *text, size_t length)
{
    struct arena arena;
    const char *packed;
    size_t packed_length;
    arena_init(&arena, NULL, 0, 2 * length + PACK_MEMORY_MAX);
    if (gzip_deflate(text, length, &arena, &packed, &packed_length) != STATUS_OK) {
        fail("cannot be packed", "the document");
    }
    puts("#include \"shim/openapi.h\"");
    print_as_c("openapi_document", text, length);
    print_as_c("openapi_packed", packed, packed_length);
    arena_reset(&arena);
}

int main(int argc, char **argv)
{
    FILE *template = argc == 2 ? fopen(argv[1], "r") : NULL;
    if (template == NULL) {
        fail("usage: openapi_gen TEMPLATE, a file that can be read", argc == 2 ? argv[1] : "arguments");
        return EXIT_FAILURE;
    }
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);
    char line[1024];
    while (out != NULL && fgets(line, sizeof(line), template) != NULL) {
        put_line(out, line);
    }
    bool is_read = ferror(template) == 0;
    fclose(template);
    if (out == NULL || !is_read || fclose(out) != 0) {
        fail("cannot be read, or no memory", argv[1]);
        return EXIT_FAILURE;
    }
    print_document(text, length);
    free(text);
    return fflush(stdout) == 0 && ferror(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/*
 * Build tool: writes the side table of json/descriptor_table.h as C.
 *
 *     table_gen DESCRIPTOR_SET SYMBOL > table.c
 *
 * DESCRIPTOR_SET comes from `protoc --descriptor_set_out --include_imports --include_source_info`. Every
 * message and enum is named by the symbol that protoc-c gives its descriptor ("a.FooBar.Baz" →
 * a__foo_bar__baz__descriptor); were protoc-c to name them otherwise one day, the table would not link, which
 * is better than a table that says nothing.
 *
 * Fields are written in the order of their numbers, which is protobuf-c's. Messages, enums and services are
 * sorted by name, for the binary search at run time. What is allocated lives until the process ends.
 */
#include <ctype.h>
#include <google/protobuf/descriptor.pb-c.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json/descriptor_table.h"

#define MESSAGES_MAX 2048
#define SERVICES_MAX 256
#define ENUMS_MAX 512
#define PATH_MAX_LENGTH 32
#define NAME_SIZE 512

/* A path of SourceCodeInfo.Location: field numbers and indices from the file down to the thing. */
struct path {
    int32_t steps[PATH_MAX_LENGTH];
    size_t length;
};

struct message {
    char name[NAME_SIZE];
    const Google__Protobuf__FileDescriptorProto *file;
    const Google__Protobuf__DescriptorProto *proto;
    struct path path;
};

struct service {
    char name[NAME_SIZE];
    const Google__Protobuf__FileDescriptorProto *file;
    const Google__Protobuf__ServiceDescriptorProto *proto;
    struct path path;
};

struct enumeration {
    char name[NAME_SIZE];
    const Google__Protobuf__FileDescriptorProto *file;
    const Google__Protobuf__EnumDescriptorProto *proto;
    struct path path;
};

static struct message messages[MESSAGES_MAX];
static size_t n_messages;
static struct service services[SERVICES_MAX];
static size_t n_services;
static struct enumeration enums[ENUMS_MAX];
static size_t n_enums;

static void fail(const char *what, const char *name)
{
    fprintf(stderr, "table_gen: %s: %s\n", name, what);
    exit(EXIT_FAILURE);
}

static struct path path_below(const struct path *path, int32_t field, size_t index)
{
    struct path below = *path;
    if (below.length + 2 > PATH_MAX_LENGTH) {
        fail("messages nested too deeply", "path");
    }
    below.steps[below.length++] = field;
    below.steps[below.length++] = (int32_t)index;
    return below;
}

static void full_name(char name[NAME_SIZE], const char *scope, const char *own)
{
    int length = snprintf(name, NAME_SIZE, "%s%s%s", scope, scope[0] != 0 ? "." : "", own);
    if (length < 0 || length >= NAME_SIZE) {
        fail("name too long", own);
    }
}

static void collect_enum(const Google__Protobuf__FileDescriptorProto *file, const char *scope,
                         const Google__Protobuf__EnumDescriptorProto *proto, struct path path)
{
    if (n_enums == ENUMS_MAX) {
        fail("too many enums", proto->name);
    }
    struct enumeration *enumeration = &enums[n_enums++];
    *enumeration = (struct enumeration){.file = file, .proto = proto, .path = path};
    full_name(enumeration->name, scope, proto->name);
}

/* Recursion ends with the path: path_below() fails when it is full. */
// NOLINTNEXTLINE(misc-no-recursion)
static void collect_message(const Google__Protobuf__FileDescriptorProto *file, const char *scope,
                            const Google__Protobuf__DescriptorProto *proto, struct path path)
{
    if (n_messages == MESSAGES_MAX) {
        fail("too many messages", proto->name);
    }
    if (proto->n_field > DESCRIPTOR_FIELDS_MAX) {
        fail("more fields than DESCRIPTOR_FIELDS_MAX", proto->name);
    }
    struct message *message = &messages[n_messages++];
    *message = (struct message){.file = file, .proto = proto, .path = path};
    full_name(message->name, scope, proto->name);
    char inner_scope[NAME_SIZE];
    memcpy(inner_scope, message->name, NAME_SIZE);
    for (size_t i = 0; i < proto->n_nested_type; i++) {
        collect_message(file, inner_scope, proto->nested_type[i], path_below(&path, 3, i));
    }
    for (size_t i = 0; i < proto->n_enum_type; i++) {
        collect_enum(file, inner_scope, proto->enum_type[i], path_below(&path, 4, i));
    }
}

static void collect_file(const Google__Protobuf__FileDescriptorProto *file)
{
    static const struct path root;
    const char *package = file->package != NULL ? file->package : "";
    for (size_t i = 0; i < file->n_message_type; i++) {
        collect_message(file, package, file->message_type[i], path_below(&root, 4, i));
    }
    for (size_t i = 0; i < file->n_enum_type; i++) {
        collect_enum(file, package, file->enum_type[i], path_below(&root, 5, i));
    }
    for (size_t i = 0; i < file->n_service; i++) {
        if (n_services == SERVICES_MAX) {
            fail("too many services", file->name);
        }
        struct service *service = &services[n_services++];
        *service = (struct service){.file = file, .proto = file->service[i], .path = path_below(&root, 6, i)};
        full_name(service->name, package, file->service[i]->name);
    }
}

/* ".a.B", as descriptors name types, to the index of a.B in messages[]. */
static size_t message_index(const char *type_name)
{
    for (size_t i = 0; i < n_messages; i++) {
        if (strcmp(messages[i].name, type_name + 1) == 0) {
            return i;
        }
    }
    fail("unknown message type", type_name);
    return 0;
}

static void print_quoted(const char *text)
{
    putchar('"');
    for (; *text != 0; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\' || c < 0x20 || c >= 0x7f) {
            printf("\\%03o", c);
        } else {
            putchar(c);
        }
    }
    putchar('"');
}

static const char *find_comment(const Google__Protobuf__FileDescriptorProto *file, const struct path *path)
{
    const Google__Protobuf__SourceCodeInfo *info = file->source_code_info;
    for (size_t i = 0; info != NULL && i < info->n_location; i++) {
        const Google__Protobuf__SourceCodeInfo__Location *location = info->location[i];
        if (location->n_path == path->length && location->leading_comments != NULL &&
            memcmp(location->path, path->steps, path->length * sizeof(path->steps[0])) == 0) {
            return location->leading_comments;
        }
    }
    return "";
}

/* protoc keeps the blank between the slashes and the text on each line, and the last line break. */
static void print_comment(const Google__Protobuf__FileDescriptorProto *file, const struct path *path)
{
    const char *comment = find_comment(file, path);
    char *text = malloc(strlen(comment) + 1);
    if (text == NULL) {
        fail("out of memory", file->name);
        return;
    }
    size_t length = 0;
    bool line_start = true;
    for (; *comment != 0; comment++) {
        if (line_start && *comment == ' ') {
            line_start = false;
            continue;
        }
        line_start = *comment == '\n';
        text[length++] = *comment;
    }
    while (length > 0 && isspace((unsigned char)text[length - 1])) {
        length--;
    }
    text[length] = 0;
    print_quoted(text);
    free(text);
}

/* The symbol that protoc-c derives from a full name: '_' before the first of each run of capitals within a
 * part. */
static void print_descriptor_symbol(const char *name)
{
    bool after_upper = true;
    for (; *name != 0; name++) {
        unsigned char c = (unsigned char)*name;
        if (c == '.') {
            fputs("__", stdout);
            after_upper = true;
            continue;
        }
        bool upper = isupper(c) != 0;
        if (upper && !after_upper) {
            putchar('_');
        }
        putchar(tolower(c));
        after_upper = upper;
    }
    fputs("__descriptor", stdout);
}

struct field {
    const Google__Protobuf__FieldDescriptorProto *proto;
    size_t index;
};

static int compare_fields(const void *a, const void *b)
{
    const struct field *left = a;
    const struct field *right = b;
    return left->proto->number < right->proto->number ? -1 : left->proto->number > right->proto->number;
}

static void print_fields(size_t index)
{
    const struct message *message = &messages[index];
    size_t n_fields = message->proto->n_field;
    if (n_fields == 0) {
        return;
    }
    struct field sorted[DESCRIPTOR_FIELDS_MAX];
    for (size_t i = 0; i < n_fields; i++) {
        sorted[i] = (struct field){.proto = message->proto->field[i], .index = i};
    }
    qsort(sorted, n_fields, sizeof(sorted[0]), compare_fields);
    printf("static const struct descriptor_field fields_%zu[] = { /* %s */\n", index, message->name);
    for (size_t i = 0; i < n_fields; i++) {
        const Google__Protobuf__FieldDescriptorProto *field = sorted[i].proto;
        struct path path = path_below(&message->path, 2, sorted[i].index);
        fputs("    {", stdout);
        print_quoted(field->json_name);
        if (field->type == GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_MESSAGE) {
            printf(", &messages[%zu], ", message_index(field->type_name));
        } else {
            fputs(", NULL, ", stdout);
        }
        print_comment(message->file, &path);
        fputs("},\n", stdout);
    }
    fputs("};\n", stdout);
}

static const char *well_known_of(const struct message *message)
{
    static const struct {
        const char *name;
        const char *constant;
    } names[] = {
        {"google.protobuf.Any", "WELL_KNOWN_ANY"},
        {"google.protobuf.Duration", "WELL_KNOWN_DURATION"},
        {"google.protobuf.FieldMask", "WELL_KNOWN_FIELD_MASK"},
        {"google.protobuf.ListValue", "WELL_KNOWN_LIST_VALUE"},
        {"google.protobuf.Struct", "WELL_KNOWN_STRUCT"},
        {"google.protobuf.Timestamp", "WELL_KNOWN_TIMESTAMP"},
        {"google.protobuf.Value", "WELL_KNOWN_VALUE"},
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(message->name, names[i].name) == 0) {
            return names[i].constant;
        }
    }
    return strcmp(message->file->name, "google/protobuf/wrappers.proto") == 0 ? "WELL_KNOWN_WRAPPER"
                                                                              : "WELL_KNOWN_NONE";
}

static void print_message(size_t index)
{
    const struct message *message = &messages[index];
    const Google__Protobuf__MessageOptions *options = message->proto->options;
    fputs("    {&", stdout);
    print_descriptor_symbol(message->name);
    if (message->proto->n_field > 0) {
        printf(", fields_%zu", index);
    } else {
        fputs(", NULL", stdout);
    }
    printf(", %s, %s, ", well_known_of(message),
           options != NULL && options->has_map_entry && options->map_entry ? "true" : "false");
    print_comment(message->file, &message->path);
    fputs("},\n", stdout);
}

static void print_enum_values(size_t index)
{
    const struct enumeration *enumeration = &enums[index];
    printf("static const struct descriptor_enum_value values_%zu[] = { /* %s */\n", index, enumeration->name);
    for (size_t i = 0; i < enumeration->proto->n_value; i++) {
        struct path path = path_below(&enumeration->path, 2, i);
        fputs("    {", stdout);
        print_quoted(enumeration->proto->value[i]->name);
        fputs(", ", stdout);
        print_comment(enumeration->file, &path);
        fputs("},\n", stdout);
    }
    fputs("};\n", stdout);
}

static void print_enums(void)
{
    for (size_t i = 0; i < n_enums; i++) {
        print_enum_values(i);
    }
    if (n_enums == 0) {
        return;
    }
    printf("static const struct descriptor_enum enums[%zu] = {\n", n_enums);
    for (size_t i = 0; i < n_enums; i++) {
        fputs("    {&", stdout);
        print_descriptor_symbol(enums[i].name);
        fputs(", ", stdout);
        print_comment(enums[i].file, &enums[i].path);
        printf(", values_%zu, %zu},\n", i, enums[i].proto->n_value);
    }
    fputs("};\n", stdout);
}

static const char *idempotency_of(const Google__Protobuf__MethodDescriptorProto *method)
{
    if (method->options == NULL || !method->options->has_idempotency_level) {
        return "DESCRIPTOR_IDEMPOTENCY_UNKNOWN";
    }
    switch (method->options->idempotency_level) {
    case GOOGLE__PROTOBUF__METHOD_OPTIONS__IDEMPOTENCY_LEVEL__NO_SIDE_EFFECTS:
        return "DESCRIPTOR_NO_SIDE_EFFECTS";
    case GOOGLE__PROTOBUF__METHOD_OPTIONS__IDEMPOTENCY_LEVEL__IDEMPOTENT:
        return "DESCRIPTOR_IDEMPOTENT";
    default:
        return "DESCRIPTOR_IDEMPOTENCY_UNKNOWN";
    }
}

static void print_methods(size_t index)
{
    const struct service *service = &services[index];
    if (service->proto->n_method == 0) {
        return;
    }
    printf("static const struct descriptor_method methods_%zu[] = { /* %s */\n", index, service->name);
    for (size_t i = 0; i < service->proto->n_method; i++) {
        const Google__Protobuf__MethodDescriptorProto *method = service->proto->method[i];
        struct path path = path_below(&service->path, 2, i);
        fputs("    {", stdout);
        print_quoted(method->name);
        printf(", %s, &messages[%zu], &messages[%zu], ", idempotency_of(method),
               message_index(method->input_type), message_index(method->output_type));
        print_comment(service->file, &path);
        fputs("},\n", stdout);
    }
    fputs("};\n", stdout);
}

static void print_service(size_t index)
{
    const struct service *service = &services[index];
    fputs("    {", stdout);
    print_quoted(service->name);
    if (service->proto->n_method > 0) {
        printf(", methods_%zu, %zu, ", index, service->proto->n_method);
    } else {
        fputs(", NULL, 0, ", stdout);
    }
    print_comment(service->file, &service->path);
    fputs("},\n", stdout);
}

static void print_table(const Google__Protobuf__FileDescriptorSet *set, const char *symbol)
{
    for (size_t i = 0; i < set->n_file; i++) {
        const char *name = set->file[i]->name;
        printf("#include \"%.*s.pb-c.h\"\n", (int)(strlen(name) - strlen(".proto")), name);
    }
    fputs("#include \"json/descriptor_table.h\"\n", stdout);
    printf("static const struct descriptor_message messages[%zu];\n", n_messages);
    for (size_t i = 0; i < n_messages; i++) {
        print_fields(i);
    }
    printf("static const struct descriptor_message messages[%zu] = {\n", n_messages);
    for (size_t i = 0; i < n_messages; i++) {
        print_message(i);
    }
    fputs("};\n", stdout);
    print_enums();
    for (size_t i = 0; i < n_services; i++) {
        print_methods(i);
    }
    if (n_services > 0) {
        printf("static const struct descriptor_service services[%zu] = {\n", n_services);
        for (size_t i = 0; i < n_services; i++) {
            print_service(i);
        }
        fputs("};\n", stdout);
    }
    printf("extern const struct descriptor_table %s;\n", symbol);
    printf("const struct descriptor_table %s = {messages, %zu, %s, %zu, %s, %zu};\n", symbol, n_messages,
           n_enums > 0 ? "enums" : "NULL", n_enums, n_services > 0 ? "services" : "NULL", n_services);
}

static int compare_messages(const void *a, const void *b)
{
    const struct message *left = a;
    const struct message *right = b;
    return strcmp(left->name, right->name);
}

static int compare_services(const void *a, const void *b)
{
    const struct service *left = a;
    const struct service *right = b;
    return strcmp(left->name, right->name);
}

static int compare_enums(const void *a, const void *b)
{
    const struct enumeration *left = a;
    const struct enumeration *right = b;
    return strcmp(left->name, right->name);
}

static Google__Protobuf__FileDescriptorSet *read_set(const char *file_name)
{
    static uint8_t data[8 << 20];
    FILE *file = fopen(file_name, "rb");
    if (file == NULL) {
        fail("cannot be opened", file_name);
        return NULL;
    }
    size_t length = fread(data, 1, sizeof(data), file);
    bool whole = length < sizeof(data) && ferror(file) == 0;
    fclose(file);
    Google__Protobuf__FileDescriptorSet *set =
        whole ? google__protobuf__file_descriptor_set__unpack(NULL, length, data) : NULL;
    if (set == NULL) {
        fail("not a FileDescriptorSet", file_name);
    }
    return set;
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fail("usage: table_gen DESCRIPTOR_SET SYMBOL", "arguments");
    }
    Google__Protobuf__FileDescriptorSet *set = read_set(argv[1]);
    for (size_t i = 0; i < set->n_file; i++) {
        collect_file(set->file[i]);
    }
    qsort(messages, n_messages, sizeof(messages[0]), compare_messages);
    qsort(enums, n_enums, sizeof(enums[0]), compare_enums);
    qsort(services, n_services, sizeof(services[0]), compare_services);
    print_table(set, argv[2]);
    google__protobuf__file_descriptor_set__free_unpacked(set, NULL);
    if (fflush(stdout) != 0 || ferror(stdout) != 0) {
        fail("cannot write", "standard output");
    }
    return EXIT_SUCCESS;
}

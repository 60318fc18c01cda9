#include "everything.h"

#include <string.h>

#include "json/descriptor_table.h"

extern const struct descriptor_table json_test_table;

static void assert_table_fits_its_descriptors(const struct descriptor_table *table)
{
    assert_true(table->n_messages > 0);
    for (size_t i = 0; i < table->n_messages; i++) {
        const struct descriptor_message *message = &table->messages[i];
        assert_true(i == 0 || strcmp(table->messages[i - 1].descriptor->name, message->descriptor->name) < 0);
        assert_ptr_equal(descriptor_table_message(message->descriptor->name)->descriptor,
                         message->descriptor);
        for (unsigned j = 0; j < message->descriptor->n_fields; j++) {
            const ProtobufCFieldDescriptor *field = &message->descriptor->fields[j];
            assert_ptr_equal(message->fields[j].message != NULL ? message->fields[j].message->descriptor
                                                                : NULL,
                             field->type == PROTOBUF_C_TYPE_MESSAGE ? field->descriptor : NULL);
        }
    }
    assert_true(table->n_enums > 0);
    for (size_t i = 0; i < table->n_enums; i++) {
        const struct descriptor_enum *enumeration = &table->enums[i];
        assert_true(i == 0 ||
                    strcmp(table->enums[i - 1].descriptor->name, enumeration->descriptor->name) < 0);
        for (size_t j = 0; j < enumeration->n_values; j++) {
            assert_non_null(protobuf_c_enum_descriptor_get_value_by_name(enumeration->descriptor,
                                                                         enumeration->values[j].name));
        }
    }
}

static void test_tables_fit_their_descriptors(void **state)
{
    (void)state;
    assert_table_fits_its_descriptors(&descriptor_table_builtin);
    assert_table_fits_its_descriptors(&json_test_table);
}

static void test_json_names_stand_beside_their_fields(void **state)
{
    (void)state;
    const struct descriptor_message *panic = descriptor_table_message("panic.v1.Panic");
    for (unsigned i = 0; i < panic->descriptor->n_fields; i++) {
        if (strcmp(panic->descriptor->fields[i].name, "create_time") == 0) {
            assert_string_equal(panic->fields[i].json_name, "createTime");
            assert_string_equal(panic->fields[i].comment, "When panicd took it in.");
            assert_int_equal(panic->fields[i].message->well_known, WELL_KNOWN_TIMESTAMP);
            return;
        }
    }
    fail_msg("no create_time");
}

static void test_map_entries_are_marked(void **state)
{
    (void)state;
    assert_true(descriptor_table_message("google.protobuf.Struct.FieldsEntry")->is_map_entry);
    assert_false(descriptor_table_message("google.protobuf.Struct")->is_map_entry);
}

static void test_idempotency_of_methods(void **state)
{
    (void)state;
    assert_int_equal(descriptor_table_idempotency("panic.v1.PanicService", "GetPanic"),
                     DESCRIPTOR_NO_SIDE_EFFECTS);
    assert_int_equal(descriptor_table_idempotency("panic.v1.PanicService", "CreatePanic"),
                     DESCRIPTOR_IDEMPOTENT);
    assert_int_equal(descriptor_table_idempotency("json.test.v1.EverythingService", "Append"),
                     DESCRIPTOR_IDEMPOTENCY_UNKNOWN);
    assert_int_equal(descriptor_table_idempotency("panic.v1.PanicService", "NoSuch"),
                     DESCRIPTOR_IDEMPOTENCY_UNKNOWN);
    assert_int_equal(descriptor_table_idempotency("no.Such", "GetPanic"), DESCRIPTOR_IDEMPOTENCY_UNKNOWN);
}

static void test_service_has_methods_with_types_and_comments(void **state)
{
    (void)state;
    const struct descriptor_service *service = descriptor_table_service("json.test.v1.EverythingService");
    assert_non_null(service);
    assert_string_equal(service->comment, "Says what it is for.\n\n\"Quoted\", with a second paragraph.");
    assert_int_equal(service->n_methods, 3);
    assert_string_equal(service->methods[0].name, "Read");
    assert_string_equal(service->methods[0].comment, "Reads it.");
    assert_ptr_equal(service->methods[0].input->descriptor, &json__test__v1__everything__descriptor);
    assert_ptr_equal(service->methods[0].output->descriptor, &json__test__v1__nested__descriptor);
    assert_string_equal(service->methods[1].comment, "");
}

static void test_enum_has_its_values_in_order_with_comments(void **state)
{
    (void)state;
    const struct descriptor_enum *color = json_test_table.enums;
    while (strcmp(color->descriptor->name, "json.test.v1.Color") != 0) {
        color++;
        assert_true(color < json_test_table.enums + json_test_table.n_enums);
    }
    assert_string_equal(color->comment, "How it looks.");
    assert_int_equal(color->n_values, 3);
    assert_string_equal(color->values[0].comment, "");
    assert_string_equal(color->values[1].name, "COLOR_RED");
    assert_string_equal(color->values[1].comment, "Like fire.");
    assert_string_equal(color->values[2].name, "COLOR_BLUE");
}

static void test_unknown_names_are_not_found(void **state)
{
    (void)state;
    assert_null(descriptor_table_message(""));
    assert_null(descriptor_table_message("panic.v1.NoSuch"));
    assert_null(descriptor_table_service("panic.v1.Panic"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        everything_test(test_tables_fit_their_descriptors),
        everything_test(test_json_names_stand_beside_their_fields),
        everything_test(test_map_entries_are_marked),
        everything_test(test_idempotency_of_methods),
        everything_test(test_service_has_methods_with_types_and_comments),
        everything_test(test_enum_has_its_values_in_order_with_comments),
        everything_test(test_unknown_names_are_not_found),
    };
    return cmocka_run_group_tests(tests, setup_everything, NULL);
}

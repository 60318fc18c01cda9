#include "unit/panic/metadata.h"

#include <assert.h>

static void *take(struct arena *arena, size_t size)
{
    void *memory = arena_alloc_zero(arena, size);
    assert(memory != NULL);
    return memory;
}

Google__Protobuf__Value *make_unset(struct arena *arena)
{
    Google__Protobuf__Value *value = take(arena, sizeof(*value));
    google__protobuf__value__init(value);
    return value;
}

Google__Protobuf__Value *make_number(struct arena *arena, double number)
{
    Google__Protobuf__Value *value = make_unset(arena);
    value->kind_case = GOOGLE__PROTOBUF__VALUE__KIND_NUMBER_VALUE;
    value->number_value = number;
    return value;
}

Google__Protobuf__Value *make_text(struct arena *arena, const char *text)
{
    Google__Protobuf__Value *value = make_unset(arena);
    value->kind_case = GOOGLE__PROTOBUF__VALUE__KIND_STRING_VALUE;
    value->string_value = (char *)text;
    return value;
}

Google__Protobuf__Value *make_bool(struct arena *arena, bool yes)
{
    Google__Protobuf__Value *value = make_unset(arena);
    value->kind_case = GOOGLE__PROTOBUF__VALUE__KIND_BOOL_VALUE;
    value->bool_value = yes;
    return value;
}

Google__Protobuf__Value *make_null(struct arena *arena, int number)
{
    Google__Protobuf__Value *value = make_unset(arena);
    value->kind_case = GOOGLE__PROTOBUF__VALUE__KIND_NULL_VALUE;
    value->null_value = (Google__Protobuf__NullValue)number;
    return value;
}

Google__Protobuf__Value *make_list(struct arena *arena, size_t n, Google__Protobuf__Value **values)
{
    Google__Protobuf__ListValue *list = take(arena, sizeof(*list));
    google__protobuf__list_value__init(list);
    list->n_values = n;
    list->values = take(arena, (n + 1) * sizeof(Google__Protobuf__Value *));
    for (size_t i = 0; i < n; i++) {
        list->values[i] = values[i];
    }
    Google__Protobuf__Value *value = make_unset(arena);
    value->kind_case = GOOGLE__PROTOBUF__VALUE__KIND_LIST_VALUE;
    value->list_value = list;
    return value;
}

Google__Protobuf__Struct *make_object(struct arena *arena, size_t n, const struct member *members)
{
    Google__Protobuf__Struct *object = take(arena, sizeof(*object));
    google__protobuf__struct__init(object);
    object->n_fields = n;
    object->fields = take(arena, (n + 1) * sizeof(Google__Protobuf__Struct__FieldsEntry *));
    for (size_t i = 0; i < n; i++) {
        object->fields[i] = take(arena, sizeof(*object->fields[i]));
        google__protobuf__struct__fields_entry__init(object->fields[i]);
        object->fields[i]->key = (char *)members[i].key;
        object->fields[i]->value = members[i].value;
    }
    return object;
}

Google__Protobuf__Value *make_object_value(struct arena *arena, size_t n, const struct member *members)
{
    Google__Protobuf__Value *value = make_unset(arena);
    value->kind_case = GOOGLE__PROTOBUF__VALUE__KIND_STRUCT_VALUE;
    value->struct_value = make_object(arena, n, members);
    return value;
}

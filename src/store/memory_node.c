/*
 * Copying into the memory store. A node's texts and content are packed behind it in the order in
 * which the struct's fields name them; sizes are computed by the same expressions that the packing advances
 * by.
 */
#include "store/memory_node.h"

#include <stdlib.h>
#include <string.h>

/* Appends the text (NULL stays NULL) to a block that has room for it; returns the copy. */
static const char *pack_text(char **next, const char *text)
{
    if (text == NULL) {
        return NULL;
    }
    size_t size = strlen(text) + 1;
    char *copy = memcpy(*next, text, size);
    *next += size;
    return copy;
}

static struct bytes pack_bytes(char **next, const struct bytes *bytes)
{
    char *copy = *next;
    if (bytes->length > 0) {
        memcpy(copy, bytes->data, bytes->length);
    }
    *next += bytes->length;
    return (struct bytes){.data = (const uint8_t *)copy, .length = bytes->length};
}

static size_t text_size(const char *text)
{
    return text != NULL ? strlen(text) + 1 : 0;
}

bool panic_texts_copy(struct store_panic *panic, char **ret_texts)
{
    size_t size = text_size(panic->responder_id) + text_size(panic->outcome);
    *ret_texts = NULL;
    if (size == 0) {
        return true;
    }
    char *texts = malloc(size);
    if (texts == NULL) {
        return false;
    }
    *ret_texts = texts;
    char *next = texts;
    panic->responder_id = pack_text(&next, panic->responder_id);
    panic->outcome = pack_text(&next, panic->outcome);
    return true;
}

struct panic_node *panic_node_new(const struct store_panic *panic)
{
    struct panic_node *node = malloc(sizeof(*node) + text_size(panic->tenant) + panic->content.length);
    if (node == NULL) {
        return NULL;
    }
    *node = (struct panic_node){.panic = *panic};
    node->created_event = (struct store_event){.version = 1,
                                               .at_us = panic->create_time_us,
                                               .type = STORE_CREATED_TYPE,
                                               .actor = STORE_CREATED_ACTOR,
                                               .to_stage = panic->stage};
    node->events_end = &node->events;
    char *next = node->fixed;
    node->panic.tenant = pack_text(&next, panic->tenant);
    node->panic.content = pack_bytes(&next, &panic->content);
    if (!panic_texts_copy(&node->panic, &node->texts)) {
        free(node);
        return NULL;
    }
    return node;
}

struct store_key panic_node_key(const struct panic_node *node)
{
    struct store_key key = {
        .id = node->panic.id, .seq = node->created.seq, .next_action_at_us = node->panic.next_action_at_us};
    memcpy(key.tenant, node->panic.tenant, strlen(node->panic.tenant) + 1);
    return key;
}

void panic_node_free(struct panic_node *node)
{
    if (node == NULL) {
        return;
    }
    while (node->events != NULL) {
        struct event_node *event = node->events;
        node->events = event->next;
        free(event);
    }
    free(node->texts);
    free(node);
}

struct event_node *event_node_new(const struct store_event *event, uint64_t version)
{
    struct event_node *node = malloc(sizeof(*node) + text_size(event->type) + text_size(event->actor));
    if (node == NULL) {
        return NULL;
    }
    *node = (struct event_node){.event = *event};
    node->event.version = version;
    char *next = node->texts;
    node->event.type = pack_text(&next, event->type);
    node->event.actor = pack_text(&next, event->actor);
    return node;
}

struct responder_node *responder_node_new(const struct store_responder *responder)
{
    struct responder_node *node = malloc(sizeof(*node) + text_size(responder->tenant) +
                                         text_size(responder->id) + responder->content.length);
    if (node == NULL) {
        return NULL;
    }
    *node = (struct responder_node){.responder = *responder};
    char *next = node->fixed;
    node->responder.tenant = pack_text(&next, responder->tenant);
    node->responder.id = pack_text(&next, responder->id);
    node->responder.content = pack_bytes(&next, &responder->content);
    return node;
}

bool node_parts_init(struct node_parts *parts, const struct store_op *op)
{
    switch (op->kind) {
    case STORE_CREATE:
        parts->panic = panic_node_new(op->panic);
        return parts->panic != NULL;
    case STORE_UPDATE:
        parts->update = *op->panic;
        parts->event = op->event != NULL ? event_node_new(op->event, op->panic->version) : NULL;
        return panic_texts_copy(&parts->update, &parts->texts) && (op->event == NULL || parts->event != NULL);
    case STORE_PUT_RESPONDER:
        parts->responder = responder_node_new(op->responder);
        return parts->responder != NULL;
    }
    return false;
}

void node_parts_release(struct node_parts *parts)
{
    panic_node_free(parts->panic);
    free(parts->texts);
    free(parts->event);
    free(parts->responder);
}

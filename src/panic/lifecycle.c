/*
 * See lifecycle.h for the table. Each command has one function that fills in what the command changes; what
 * every change has in common (version, time, event) is done by lifecycle_apply, so that no command can forget
 * it.
 */
#include "panic/lifecycle.h"

#include "panic/v1/panic.pb-c.h"

#define STAGE(name) ((uint8_t)PANIC__V1__PANIC_STAGE__PANIC_STAGE_##name)
#define STATUS(name) ((uint8_t)PANIC__V1__PANIC_STATUS__PANIC_STATUS_##name)

bool lifecycle_is_open(const struct store_panic *panic)
{
    return panic->stage != STAGE(RESOLVED);
}

bool lifecycle_needs_responder(const struct store_panic *panic)
{
    return panic->stage == STAGE(RECEIVED) || panic->stage == STAGE(UNASSIGNED);
}

bool lifecycle_is_due(const struct store_panic *panic, int64_t now_us)
{
    return lifecycle_is_open(panic) &&
           (panic->next_action_at_us <= now_us || panic->next_action_at_us >= now_us + LIFECYCLE_HORIZON_US);
}

static int64_t retry_delay_us(const struct store_panic *panic)
{
    int64_t delay = LIFECYCLE_RETRY_MIN_US;
    for (uint32_t i = 0; i < panic->attempts && delay < LIFECYCLE_RETRY_MAX_US; i++) {
        delay *= 2;
    }
    return delay < LIFECYCLE_RETRY_MAX_US ? delay : LIFECYCLE_RETRY_MAX_US;
}

static const char *assign(struct store_panic *panic, const struct lifecycle_command *command, int64_t now_us)
{
    panic->status = STATUS(ACTIVE);
    panic->stage = STAGE(ACCEPTED);
    panic->waiting = 0;
    panic->responder_id = command->responder_id;
    panic->assigned = true;
    panic->assign_time_us = panic->update_time_us;
    panic->distance_m = command->distance_m;
    panic->next_action_at_us = now_us + LIFECYCLE_REVIEW_US;
    return "assigned";
}

static const char *put_off(struct store_panic *panic, enum lifecycle_queue queue, int64_t now_us)
{
    panic->next_action_at_us = now_us + retry_delay_us(panic);
    panic->stage = STAGE(UNASSIGNED);
    panic->waiting = (uint8_t)queue;
    if (panic->attempts < UINT32_MAX) {
        panic->attempts++;
    }
    return "no_responder";
}

struct store_panic lifecycle_create(const char *tenant, const struct id *id, struct bytes content,
                                    enum lifecycle_queue queue, bool responder_free, int64_t now_us)
{
    struct store_panic panic = {
        .tenant = tenant,
        .id = *id,
        .version = 1,
        .status = STATUS(PROCESSING),
        .stage = STAGE(RECEIVED),
        .create_time_us = now_us,
        .update_time_us = now_us,
        .next_action_at_us = now_us + LIFECYCLE_FIRST_LOOK_US,
        .content = content,
    };
    if (!responder_free) {
        put_off(&panic, queue, now_us);
    }
    return panic;
}

static const char *review(struct store_panic *panic, int64_t now_us)
{
    panic->next_action_at_us = now_us + LIFECYCLE_REVIEW_US;
    return "review";
}

static const char *resolve(struct store_panic *panic, const struct lifecycle_command *command)
{
    panic->status = STATUS(RESOLVED);
    panic->stage = STAGE(RESOLVED);
    panic->waiting = 0;
    panic->assigned = false;
    panic->next_action_at_us = 0;
    panic->outcome = command->outcome;
    return "resolved";
}

static bool is_legal(const struct store_panic *panic, enum lifecycle_kind kind)
{
    switch (kind) {
    case LIFECYCLE_ASSIGN:
    case LIFECYCLE_NO_RESPONDER:
        return lifecycle_needs_responder(panic);
    case LIFECYCLE_REVIEW:
        return panic->stage == STAGE(ACCEPTED);
    case LIFECYCLE_RESOLVE:
        return lifecycle_is_open(panic);
    }
    return false;
}

static const char *change(struct store_panic *panic, const struct lifecycle_command *command, int64_t now_us)
{
    switch (command->kind) {
    case LIFECYCLE_ASSIGN:
        return assign(panic, command, now_us);
    case LIFECYCLE_NO_RESPONDER:
        return put_off(panic, command->queue, now_us);
    case LIFECYCLE_REVIEW:
        return review(panic, now_us);
    case LIFECYCLE_RESOLVE:
        return resolve(panic, command);
    }
    return "";
}

enum status lifecycle_apply(const struct store_panic *panic, const struct lifecycle_command *command,
                            int64_t now_us, struct store_panic *ret_panic, struct store_event *ret_event)
{
    if (!is_legal(panic, command->kind)) {
        return STATUS_FAILED_PRECONDITION;
    }
    struct store_panic next = *panic;
    next.version = panic->version + 1;
    next.update_time_us = now_us > panic->update_time_us ? now_us : panic->update_time_us;
    /* From now_us, whatever was recorded: after a clock that was ahead the panic would stay due for ever. */
    const char *type = change(&next, command, now_us);
    *ret_event = (struct store_event){.at_us = next.update_time_us,
                                      .type = type,
                                      .actor = command->actor,
                                      .from_stage = panic->stage,
                                      .to_stage = next.stage};
    *ret_panic = next;
    return STATUS_OK;
}

#include "shim/routes.h"

#include <string.h>

#include "shim/connect.h"
#include "shim/events_routes.h"
#include "shim/metrics_page.h"
#include "shim/openapi.h"
#include "shim/panic_routes.h"

struct route {
    const char *path;
    /* NULL, or what stands behind the path, with anything without a '/' between the two. */
    const char *suffix;
    /* enum http_method, or-ed, and as Allow says it. */
    unsigned methods;
    /* Anything without a further '/' may stand behind the path. */
    bool is_prefix;
    /* A stream of events, by calls of `method`. */
    bool is_stream;
    const char *allow;
    /* Or one of the two. Answered at once, on the loop's thread, must not block: */
    void (*answer)(const struct edge *edge, const struct request *request, struct arena *arena,
                   struct answer *ret_answer);
    /* Or a call of a method: */
    const struct exchange_kind *kind;
    struct rpc_method *(*method)(const struct edge *edge);
};

#define READ_METHODS (HTTP_GET | HTTP_HEAD)
#define READ_ALLOW "GET, HEAD"
#define OK_BODY "{\"status\":\"OK\"}"
#define NOT_SERVING_BODY "{\"status\":\"NOT_SERVING\"}"

static void answer_alive(const struct edge *edge, const struct request *request, struct arena *arena,
                         struct answer *answer)
{
    (void)edge;
    (void)request;
    (void)arena;
    answer_body(answer, 200, "application/json", OK_BODY, strlen(OK_BODY));
}

static void answer_ready(const struct edge *edge, const struct request *request, struct arena *arena,
                         struct answer *answer)
{
    (void)request;
    (void)arena;
    if (atomic_load_explicit(&edge->health->serving, memory_order_acquire)) {
        answer_body(answer, 200, "application/json", OK_BODY, strlen(OK_BODY));
        return;
    }
    answer_body(answer, 503, "application/json", NOT_SERVING_BODY, strlen(NOT_SERVING_BODY));
    answer_add_header(answer, "Retry-After", "1");
}

static void answer_metrics(const struct edge *edge, const struct request *request, struct arena *arena,
                           struct answer *answer)
{
    (void)request;
    metrics_page_answer(edge->metrics, arena, answer);
}

static void answer_openapi(const struct edge *edge, const struct request *request, struct arena *arena,
                           struct answer *answer)
{
    (void)edge;
    (void)request;
    (void)arena;
    answer_body(answer, 200, "application/yaml", openapi_document, openapi_document_length);
    answer->packed = openapi_packed;
    answer->packed_length = openapi_packed_length;
}

static struct rpc_method *create_panic(const struct edge *edge)
{
    return edge->create_panic;
}

static struct rpc_method *get_panic(const struct edge *edge)
{
    return edge->get_panic;
}

static struct rpc_method *list_events(const struct edge *edge)
{
    return edge->list_events;
}

static const struct route routes[] = {
    {.path = "/panic",
     .methods = HTTP_POST,
     .allow = "POST",
     .kind = &panic_routes_create,
     .method = create_panic},
    {.path = "/panic/",
     .is_prefix = true,
     .methods = READ_METHODS,
     .allow = READ_ALLOW,
     .kind = &panic_routes_get,
     .method = get_panic},
    {.path = "/panic/",
     .suffix = "/events",
     .methods = HTTP_GET,
     .allow = "GET",
     .is_stream = true,
     .method = list_events},
    {.path = "/events", .methods = HTTP_GET, .allow = "GET", .is_stream = true, .method = list_events},
    {.path = "/health", .methods = READ_METHODS, .allow = READ_ALLOW, .answer = answer_alive},
    {.path = "/livez", .methods = READ_METHODS, .allow = READ_ALLOW, .answer = answer_alive},
    {.path = "/readyz", .methods = READ_METHODS, .allow = READ_ALLOW, .answer = answer_ready},
    {.path = "/metrics", .methods = READ_METHODS, .allow = READ_ALLOW, .answer = answer_metrics},
    {.path = "/openapi.yaml", .methods = READ_METHODS, .allow = READ_ALLOW, .answer = answer_openapi},
};

void edge_init(struct edge *edge, const struct rpc_router *router)
{
    static const char create[] = "/panic.v1.PanicService/CreatePanic";
    static const char get[] = "/panic.v1.PanicService/GetPanic";
    static const char events[] = "/panic.v1.PanicService/ListEvents";
    edge->router = router;
    edge->create_panic = rpc_router_find(router, create, sizeof(create) - 1);
    edge->get_panic = rpc_router_find(router, get, sizeof(get) - 1);
    edge->list_events = rpc_router_find(router, events, sizeof(events) - 1);
}

static bool matches(const struct route *route, const char *path)
{
    if (!route->is_prefix && route->suffix == NULL) {
        return strcmp(route->path, path) == 0;
    }
    size_t length = strlen(route->path);
    if (strncmp(route->path, path, length) != 0) {
        return false;
    }
    size_t name_length = strcspn(path + length, "/");
    const char *behind = path + length + name_length;
    return name_length > 0 && strcmp(behind, route->suffix != NULL ? route->suffix : "") == 0;
}

static void refuse(const struct request *request, int http_status, enum status status, const char *text,
                   struct arena *arena, struct answer *answer)
{
    answer_error(answer, answer_plain_style(request_header(request, "Accept")), http_status, status, text,
                 arena);
}

static void plan_route(const struct edge *edge, const struct route *route, const struct request *request,
                       struct arena *arena, struct plan *plan)
{
    if ((request->method & route->methods) == 0) {
        answer_add_header(&plan->answer, "Allow", route->allow);
        refuse(request, 405, STATUS_UNIMPLEMENTED, "this path does not take this method", arena,
               &plan->answer);
    } else if (route->answer != NULL) {
        route->answer(edge, request, arena, &plan->answer);
    } else if (route->method(edge) == NULL) {
        refuse(request, 0, STATUS_UNIMPLEMENTED, "not implemented by this server", arena, &plan->answer);
    } else if (route->is_stream) {
        plan->method = route->method(edge);
        plan->is_stream = events_routes_plan(request, arena, plan);
    } else {
        plan->kind = route->kind;
        plan->method = route->method(edge);
        plan->is_read = (route->methods & HTTP_POST) == 0;
    }
}

void routes_plan(const struct edge *edge, const struct request *request, struct arena *arena,
                 struct plan *plan)
{
    *plan = (struct plan){0};
    if (cors_check(&edge->origins, request) == CORS_REFUSED) {
        refuse(request, 0, STATUS_PERMISSION_DENIED, "pages of this origin may not call this server", arena,
               &plan->answer);
        return;
    }
    if (cors_is_preflight(request)) {
        cors_answer_preflight(&plan->answer);
        return;
    }
    for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
        if (matches(&routes[i], request->path)) {
            plan_route(edge, &routes[i], request, arena, plan);
            return;
        }
    }
    if (!connect_plan(edge, request, arena, plan)) {
        refuse(request, 0, STATUS_NOT_FOUND, "there is nothing at this path", arena, &plan->answer);
    }
}

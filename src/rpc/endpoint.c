#include "rpc/endpoint.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"

#define PEM_MAX (256 * 1024)

static const struct {
    const char *prefix;
    enum endpoint_kind kind;
} schemes[] = {
    {"tcp://", ENDPOINT_TCP},
    {"tls+tcp://", ENDPOINT_TLS},
    {"ipc://", ENDPOINT_IPC},
    {"inproc://", ENDPOINT_INPROC},
};

/* All digits, at most 65535. */
static bool parse_port(const char *text, unsigned *ret_port)
{
    unsigned port = 0;
    size_t length = strlen(text);
    for (size_t i = 0; i < length; i++) {
        if (text[i] < '0' || text[i] > '9') {
            return false;
        }
        port = port * 10 + (unsigned)(text[i] - '0');
    }
    *ret_port = port;
    return length > 0 && length <= 5 && port <= 65535;
}

/* HOST:PORT, [HOST]:PORT, *:PORT or :PORT. */
static bool parse_authority(const char *authority, struct endpoint *endpoint)
{
    const char *colon = strrchr(authority, ':');
    if (colon == NULL || strpbrk(authority, "/?#@ ") != NULL) {
        return false;
    }
    size_t length = (size_t)(colon - authority);
    bool brackets = length >= 2 && authority[0] == '[' && colon[-1] == ']';
    if (brackets) {
        authority++;
        length -= 2;
    }
    if (memchr(authority, '[', length) != NULL || (!brackets && memchr(authority, ':', length) != NULL)) {
        return false;
    }
    memcpy(endpoint->host, authority, length);
    endpoint->host[length] = 0;
    if (strcmp(endpoint->host, "*") == 0) {
        endpoint->host[0] = 0;
    }
    return parse_port(colon + 1, &endpoint->port);
}

enum status endpoint_parse(const char *url, struct endpoint *ret, struct diag *diag)
{
    size_t i = 0;
    const size_t n = sizeof(schemes) / sizeof(schemes[0]);
    while (i < n && strncmp(url, schemes[i].prefix, strlen(schemes[i].prefix)) != 0) {
        i++;
    }
    if (i == n || strlen(url) >= ENDPOINT_URL_MAX) {
        return diag_fail(diag, STATUS_INVALID_ARGUMENT,
                         "%.100s: not supported; use tcp://, tls+tcp://, ipc:// or inproc://", url);
    }
    struct endpoint endpoint = {.kind = schemes[i].kind};
    const char *rest = url + strlen(schemes[i].prefix);
    if ((endpoint.kind == ENDPOINT_TCP || endpoint.kind == ENDPOINT_TLS) &&
        !parse_authority(rest, &endpoint)) {
        return diag_fail(diag, STATUS_INVALID_ARGUMENT, "%s: must be %sHOST:PORT with a port up to 65535",
                         url, schemes[i].prefix);
    }
    struct sockaddr_un *unix_address = NULL;
    if (endpoint.kind == ENDPOINT_IPC && (rest[0] == 0 || strlen(rest) >= sizeof(unix_address->sun_path))) {
        return diag_fail(diag, STATUS_INVALID_ARGUMENT, "%s: the path must have 1 to %zu bytes", url,
                         sizeof(unix_address->sun_path) - 1);
    }
    if (endpoint.kind == ENDPOINT_INPROC && (rest[0] == 0 || strlen(url) >= NNG_MAXADDRLEN)) {
        return diag_fail(diag, STATUS_INVALID_ARGUMENT, "%s: the name is empty or too long", url);
    }
    memcpy(endpoint.url, url, strlen(url) + 1);
    *ret = endpoint;
    return STATUS_OK;
}

const char *endpoint_path(const struct endpoint *endpoint)
{
    return endpoint->url + strlen("ipc://");
}

static bool is_loopback(const char *host)
{
    struct in_addr v4;
    struct in6_addr v6;
    if (inet_pton(AF_INET, host, &v4) == 1) {
        return ntohl(v4.s_addr) >> 24 == 127;
    }
    if (inet_pton(AF_INET6, host, &v6) == 1) {
        return IN6_IS_ADDR_LOOPBACK(&v6);
    }
    return strcmp(host, "localhost") == 0;
}

bool endpoint_is_private(const struct endpoint *endpoint)
{
    return endpoint->kind != ENDPOINT_TCP || is_loopback(endpoint->host);
}

void endpoint_set_port(struct endpoint *endpoint, unsigned port)
{
    size_t at = (size_t)(strrchr(endpoint->url, ':') - endpoint->url) + 1;
    snprintf(endpoint->url + at, sizeof(endpoint->url) - at, "%u", port);
    endpoint->port = port;
}

/* The whole file with a NUL behind, to be freed by the caller; NULL with diag filled. */
static char *read_pem(const char *file, bool secret, struct diag *diag)
{
    int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        char reason[64];
        (void)diag_fail(diag, STATUS_INVALID_ARGUMENT, "%.150s: %s", file,
                        strerror_r(errno, reason, sizeof(reason)));
        return NULL;
    }
    struct stat info;
    char *text = NULL;
    ssize_t length = -1;
    if (fstat(fd, &info) == 0 && S_ISREG(info.st_mode) && info.st_size <= PEM_MAX) {
        text = calloc(1, (size_t)info.st_size + 1);
        length = text != NULL ? read(fd, text, (size_t)info.st_size) : -1;
    }
    close(fd);
    if (length <= 0) {
        free(text);
        (void)diag_fail(diag, STATUS_INVALID_ARGUMENT,
                        "%.150s: is not a readable PEM file of at most %d bytes", file, PEM_MAX);
        return NULL;
    }
    if (secret && (info.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
        log_warn("private key can be read by others; set its mode to 0600", log_str("file", file));
    }
    return text;
}

static void free_secret(char *text)
{
    if (text != NULL) {
        explicit_bzero(text, strlen(text));
        free(text);
    }
}

static enum status new_tls(nng_tls_mode mode, nng_tls_config **ret_tls, struct diag *diag)
{
    nng_tls_config *tls;
    if (nng_tls_config_alloc(&tls, mode) != 0) {
        return diag_fail(diag, STATUS_INVALID_ARGUMENT, "this build of nng has no TLS");
    }
    if (nng_tls_config_version(tls, NNG_TLS_1_2, NNG_TLS_1_3) != 0) {
        nng_tls_config_free(tls);
        return diag_fail(diag, STATUS_INVALID_ARGUMENT, "this build of nng cannot insist on TLS 1.2");
    }
    *ret_tls = tls;
    return STATUS_OK;
}

enum status endpoint_server_tls(const char *cert_file, const char *key_file, nng_tls_config **ret_tls,
                                struct diag *diag)
{
    if (cert_file == NULL || key_file == NULL) {
        return diag_fail(diag, STATUS_INVALID_ARGUMENT, "tls+tcp:// needs a certificate file and a key file");
    }
    enum status status = STATUS_INVALID_ARGUMENT;
    nng_tls_config *tls = NULL;
    char *cert = read_pem(cert_file, false, diag);
    char *key = cert != NULL ? read_pem(key_file, true, diag) : NULL;
    if (key != NULL) {
        status = new_tls(NNG_TLS_MODE_SERVER, &tls, diag);
    }
    if (status == STATUS_OK && nng_tls_config_own_cert(tls, cert, key, NULL) != 0) {
        nng_tls_config_free(tls);
        status = diag_fail(diag, STATUS_INVALID_ARGUMENT,
                           "%.100s and %.100s are not a certificate and its unencrypted key in PEM",
                           cert_file, key_file);
    }
    free(cert);
    free_secret(key);
    if (status == STATUS_OK) {
        *ret_tls = tls;
    }
    return status;
}

enum status endpoint_client_tls(const char *ca_file, const char *host, nng_tls_config **ret_tls,
                                struct diag *diag)
{
    if (ca_file == NULL) {
        return diag_fail(diag, STATUS_INVALID_ARGUMENT,
                         "tls+tcp:// needs a file of authorities to check the server against");
    }
    char *authorities = read_pem(ca_file, false, diag);
    if (authorities == NULL) {
        return STATUS_INVALID_ARGUMENT;
    }
    nng_tls_config *tls = NULL;
    enum status status = new_tls(NNG_TLS_MODE_CLIENT, &tls, diag);
    if (status == STATUS_OK &&
        (nng_tls_config_ca_chain(tls, authorities, NULL) != 0 || nng_tls_config_server_name(tls, host) != 0 ||
         nng_tls_config_auth_mode(tls, NNG_TLS_AUTH_MODE_REQUIRED) != 0)) {
        nng_tls_config_free(tls);
        status =
            diag_fail(diag, STATUS_INVALID_ARGUMENT, "%.150s: holds no usable certificate in PEM", ca_file);
    }
    free(authorities);
    if (status == STATUS_OK) {
        *ret_tls = tls;
    }
    return status;
}

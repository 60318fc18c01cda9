#include "harness/test.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "shim/addresses.h"

static struct address_key key4(uint32_t address)
{
    const struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(address)};
    return address_key_of((const struct sockaddr *)&in);
}

static struct address_key key6(const char *text)
{
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
    assert_int_equal(inet_pton(AF_INET6, text, &in6.sin6_addr), 1);
    return address_key_of((const struct sockaddr *)&in6);
}

static void test_one_address_has_so_many_and_no_more(void **state)
{
    (void)state;
    struct addresses *addresses;
    assert_ok(addresses_new(8, &addresses));
    struct address_key one = key4(1);
    struct address_key two = key4(2);
    assert_true(addresses_enter(addresses, &one, 2));
    assert_true(addresses_enter(addresses, &one, 2));
    assert_false(addresses_enter(addresses, &one, 2));
    assert_true(addresses_enter(addresses, &two, 2));
    addresses_leave(addresses, &one);
    assert_true(addresses_enter(addresses, &one, 2));
    assert_false(addresses_enter(addresses, &one, 2));
    addresses_free(addresses);
}

/* Entering and leaving in every order keeps each count right: the table moves entries when one goes. */
static void test_counts_stay_right_while_others_come_and_go(void **state)
{
    enum { ADDRESSES = 200, ROUNDS = 20000 };
    static unsigned counts[ADDRESSES];
    (void)state;
    struct addresses *addresses;
    uint32_t random = 1;
    assert_ok(addresses_new(ADDRESSES, &addresses));
    for (unsigned round = 0; round < ROUNDS; round++) {
        random = random * 1664525U + 1013904223U;
        unsigned which = (random >> 8) % ADDRESSES;
        struct address_key key = key4(which);
        if (random >> 31 != 0) {
            bool entered = addresses_enter(addresses, &key, 3);
            assert_int_equal(entered, counts[which] < 3);
            counts[which] += entered ? 1 : 0;
        } else if (counts[which] > 0) {
            addresses_leave(addresses, &key);
            counts[which]--;
        }
    }
    addresses_free(addresses);
}

static void test_full_table_takes_no_new_address(void **state)
{
    (void)state;
    struct addresses *addresses;
    unsigned entered = 0;
    assert_ok(addresses_new(16, &addresses));
    for (uint32_t i = 0; i < 1000; i++) {
        struct address_key key = key4(i);
        entered += addresses_enter(addresses, &key, 1) ? 1 : 0;
    }
    assert_true(entered >= 16 && entered < 32);
    addresses_free(addresses);
}

static void test_what_counts_as_one_address(void **state)
{
    (void)state;
    struct address_key a = key6("2001:db8::1");
    struct address_key b = key6("2001:db8::ffff:2");
    struct address_key c = key6("2001:db8:0:1::1");
    struct address_key mapped = key6("::ffff:10.0.0.1");
    struct address_key plain = key4(0x0A000001);
    struct address_key other = key4(0x0A000002);
    assert_memory_equal(&a, &b, sizeof(a));
    assert_memory_not_equal(&a, &c, sizeof(a));
    assert_memory_equal(&mapped, &plain, sizeof(plain));
    assert_memory_not_equal(&other, &plain, sizeof(plain));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_address_has_so_many_and_no_more),
        cmocka_unit_test(test_counts_stay_right_while_others_come_and_go),
        cmocka_unit_test(test_full_table_takes_no_new_address),
        cmocka_unit_test(test_what_counts_as_one_address),
    };
    return cmocka_run_group_tests_name("addresses", tests, NULL, NULL);
}

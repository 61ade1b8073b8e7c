/* nn_symbol and nn_symbol_info against the whole table, and what they do beyond it.
 *
 * "symbols 1.2" asks a library that was built with the interface of release 1.2: its table has
 * NN_UNIX behind NN_IPC, and is otherwise the same (upstream-1.2.5). */

#include "support/cases.h"
#include "support/check.h"

#include <nanomsg/nn.h>

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "symbols.inc"

#define ROW(name, value, ns, type, unit) {value, #name, ns, type, unit},

static const struct nn_symbol_properties release_1_1[] = {SYMBOLS(ROW)};
static const struct nn_symbol_properties name_of_1_2 = {-2, "NN_UNIX", 3, 0, 0};

static struct nn_symbol_properties expected[COUNT_OF(release_1_1) + 1];
static size_t count;

static void expect(int with_1_2)
{
    for (size_t i = 0; i < COUNT_OF(release_1_1); i++) {
        expected[count++] = release_1_1[i];
        if (with_1_2 && strcmp(release_1_1[i].name, "NN_IPC") == 0)
            expected[count++] = name_of_1_2;
    }
    CHECK_EQ(count, with_1_2 ? 122 : 121);
}

/* Bindings find the names by their index. */
static void names_and_values_stand_in_this_order(void)
{
    for (size_t i = 0; i < count; i++) {
        int value = -1;
        CHECK_STR(nn_symbol((int)i, &value), expected[i].name);
        CHECK_EQ(value, expected[i].value);
        CHECK_STR(nn_symbol((int)i, NULL), expected[i].name);
    }
}

static void properties_are_those_of_the_table(void)
{
    for (size_t i = 0; i < count; i++) {
        struct nn_symbol_properties found;
        memset(&found, 0xee, sizeof found);
        CHECK_EQ(nn_symbol_info((int)i, &found, sizeof found), sizeof found);
        CHECK_EQ(found.value, expected[i].value);
        CHECK_STR(found.name, expected[i].name);
        CHECK_EQ(found.ns, expected[i].ns);
        CHECK_EQ(found.type, expected[i].type);
        CHECK_EQ(found.unit, expected[i].unit);
        CHECK(found.name == nn_symbol((int)i, NULL));
    }
}

/* core-quirks A-27 */
static void beyond_the_table(void)
{
    const int indexes[] = {-1, (int)count, (int)count + 1, 1000, INT32_MAX, INT32_MIN};
    struct nn_symbol_properties found, untouched;
    memset(&untouched, 0xee, sizeof untouched);
    for (size_t i = 0; i < COUNT_OF(indexes); i++) {
        int value = 4711;
        CHECK_ERRNO(nn_symbol(indexes[i], &value), 0, EINVAL);
        CHECK_ERRNO(nn_symbol(indexes[i], NULL), 0, EINVAL);
        CHECK_EQ(value, 4711);
        memset(&found, 0xee, sizeof found);
        errno = EDOM;
        CHECK_EQ(nn_symbol_info(indexes[i], &found, sizeof found), 0);
        CHECK_EQ(errno, EDOM);
        CHECK_MEM(&found, &untouched, sizeof found);
    }
}

#define SIZE ((int)sizeof(struct nn_symbol_properties))

/* abi 6.22 */
static void as_much_as_there_is_room_for(void)
{
    unsigned char whole[64], part[64], untouched[64];
    memset(untouched, 0xee, sizeof untouched);
    memset(whole, 0xee, sizeof whole);
    CHECK_EQ(nn_symbol_info(46, (void *)whole, 256), SIZE);
    CHECK_MEM(whole + SIZE, untouched + SIZE, 64 - SIZE);
    for (int room = 0; room <= 64; room++) {
        int stored = room < SIZE ? room : SIZE;
        memset(part, 0xee, sizeof part);
        CHECK_EQ(nn_symbol_info(46, (void *)part, room), stored);
        CHECK_MEM(part, whole, (size_t)stored);
        CHECK_MEM(part + stored, untouched, (size_t)(64 - stored));
    }
}

/* core-quirks B-22 */
static void no_room_at_all(void)
{
    struct nn_symbol_properties found;
    errno = EDOM;
    CHECK_EQ(nn_symbol_info(0, NULL, sizeof found), 0);
    CHECK_EQ(nn_symbol_info(0, NULL, 0), 0);
    CHECK_EQ(nn_symbol_info(0, &found, -1), 0);
    CHECK_EQ(nn_symbol_info(0, &found, INT32_MIN), 0);
    CHECK_EQ(nn_symbol_info((int)count, NULL, sizeof found), 0);
    CHECK_EQ(errno, EDOM);
}

/* core-quirks B-42: what lies between the members is no memory of ours that leaked. */
static void padding_is_zero(void)
{
    static const unsigned char zero[4];
    unsigned char bytes[SIZE];
    const size_t first = offsetof(struct nn_symbol_properties, value) + sizeof(int);
    const size_t last = offsetof(struct nn_symbol_properties, unit) + sizeof(int);
    memset(bytes, 0xee, sizeof bytes);
    CHECK_EQ(nn_symbol_info(0, (void *)bytes, sizeof bytes), SIZE);
    CHECK_MEM(bytes + first, zero, offsetof(struct nn_symbol_properties, name) - first);
    CHECK_MEM(bytes + last, zero, sizeof bytes - last);
}

int main(int argc, char **argv)
{
    test_begin("abi/symbols", 25);
    expect(argc > 1 && strcmp(argv[1], "1.2") == 0);
    RUN(names_and_values_stand_in_this_order);
    RUN(properties_are_those_of_the_table);
    RUN(beyond_the_table);
    RUN(as_much_as_there_is_room_for);
    RUN(no_room_at_all);
    RUN(padding_is_zero);
    return test_end();
}

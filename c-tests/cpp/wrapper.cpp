/* What spmsg.hpp does, over one transport. Compiled with and without exceptions. */

#ifndef SPMSG_HPP_INCLUDED
#include <spmsg/spmsg.hpp>
#endif

#include <array>
#include <csignal>
#include <cstdlib>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <poll.h>
#include <pthread.h>

/* Last, because they define names of the standard library as macros. */
extern "C" {
#include "support/address.h"
#include "support/cases.h"
#include "support/check.h"
#include "support/clock.h"
}

using namespace std::chrono_literals;
using spmsg::flags;
using spmsg::message;
using spmsg::protocol;

static const char *scheme;

static std::string new_address()
{
    return unique_url(scheme).text;
}

#define CHECK_TEXT(given, expected) do { \
    const std::string given_(given), expected_(expected); \
    test_at(__FILE__, __LINE__); \
    if (given_ != expected_) \
        FAIL("%s is \"%s\", should be \"%s\"", #given, given_.c_str(), expected_.c_str()); \
} while (0)

#define CHECK_NONE(code) do { \
    test_at(__FILE__, __LINE__); \
    if (code) \
        FAIL("%s is %d", #code, (code).value()); \
} while (0)

/* A socket that cannot make the test hang. */
static spmsg::socket open(protocol type)
{
    std::error_code code;
    spmsg::socket opened(type, code);
    CHECK_NONE(code);
    if (type != protocol::pub && type != protocol::push)
        opened.set(spmsg::options::receive_timeout, 10s, code);
    CHECK_NONE(code);
    if (type != protocol::sub && type != protocol::pull)
        opened.set(spmsg::options::send_timeout, 10s, code);
    CHECK_NONE(code);
    return opened;
}

struct couple {
    spmsg::socket here;
    spmsg::socket there;
};

static couple open_both(protocol one, protocol other)
{
    std::error_code code;
    couple both{open(one), open(other)};
    const std::string address = new_address();
    const spmsg::endpoint bound = both.here.bind(address, code);
    CHECK_NONE(code);
    CHECK_AT_LEAST(bound.id, 1);
    both.there.connect(address, code);
    CHECK_NONE(code);
    for (const spmsg::socket *each : {&both.here, &both.there})
        CHECK(wait_until(each->statistic(spmsg::counter::current_connections) == 1, PATIENCE_MS));
    return both;
}

static void a_socket_is_closed_once_by_its_last_owner(void)
{
    std::error_code code;
    int handle;
    {
        spmsg::socket first(protocol::pair, code);
        CHECK_NONE(code);
        CHECK(static_cast<bool>(first));
        handle = first.handle();
        spmsg::socket second(std::move(first));
        CHECK_EQ(first.handle(), -1);
        CHECK_EQ(second.handle(), handle);
        first = std::move(second);
        CHECK_EQ(first.handle(), handle);
        spmsg::socket &same = first;
        first = std::move(same);
        CHECK_EQ(first.handle(), handle);
        static_assert(!std::is_copy_constructible_v<spmsg::socket>);
        static_assert(!std::is_copy_assignable_v<spmsg::socket>);
        static_assert(std::is_nothrow_move_constructible_v<spmsg::socket>);
    }
    CHECK_ERRNO(nn_close(handle), -1, EBADF);

    spmsg::socket other(protocol::pair, code);
    handle = other.release();
    CHECK(!other);
    spmsg::socket adopted = spmsg::socket::adopt(handle);
    adopted.close(code);
    CHECK_NONE(code);
    CHECK(!adopted);
    adopted.close(code);
    CHECK(code == std::errc::bad_file_descriptor);
    CHECK_ERRNO(nn_close(handle), -1, EBADF);

    spmsg::socket kept = open(protocol::pair);
    handle = kept.handle();
    kept = open(protocol::bus);
    CHECK(kept.get(spmsg::option<int>{NN_SOL_SOCKET, NN_PROTOCOL}, code) == NN_BUS);
    CHECK_ERRNO(nn_close(handle), -1, EBADF);
}

static void a_message_has_one_owner(void)
{
    std::error_code code;
    message one(spmsg::view("first"), code);
    CHECK_NONE(code);
    CHECK_TEXT(one.text(), "first");
    CHECK_EQ(one.size(), 5);
    message other(std::move(one));
    CHECK(!one);
    CHECK_EQ(one.size(), 0);
    CHECK_TEXT(other.text(), "first");
    one = std::move(other);
    message &same = one;
    one = std::move(same);
    CHECK_TEXT(one.text(), "first");
    one.resize(2, code);
    CHECK_NONE(code);
    CHECK_TEXT(one.text(), "fi");
    one.resize(100000, code);
    CHECK_NONE(code);
    CHECK_TEXT(one.text().substr(0, 2), "fi");
    *(one.end() - 1) = std::byte{7};
    one = message(0, code);
    CHECK_NONE(code);
    CHECK(static_cast<bool>(one));
    CHECK(one.empty());
    void *data = one.release();
    CHECK(data != nullptr && !one);
    other = message::adopt(data, 0);
    CHECK(static_cast<bool>(other));
    static_assert(!std::is_copy_constructible_v<message>);
    message nothing;
    CHECK(!nothing);
    nothing.resize(3, code);
    CHECK_NONE(code);
    CHECK_EQ(nothing.size(), 3);

    message impossible(std::numeric_limits<std::size_t>::max() / 2 + 1, code);
    CHECK(code == std::errc::not_enough_memory);
    CHECK(!impossible);
}

static void a_view_is_made_of_anything(void)
{
    std::vector<double> numbers{1, 2, 3};
    const std::array<std::uint16_t, 4> words{};
    std::byte bytes[6] = {};
    char text[] = "seven";
    const char *pointer = text;
    std::string string("a string");
    CHECK_EQ(spmsg::view(numbers).size(), 24);
    CHECK_EQ(spmsg::view(words).size(), 8);
    CHECK_EQ(spmsg::view(bytes).size(), 6);
    CHECK_EQ(spmsg::view(text).size(), 5);
    CHECK_EQ(spmsg::view(pointer).size(), 5);
    CHECK_EQ(spmsg::view("literal").size(), 7);
    CHECK_EQ(spmsg::view(std::string_view("a\0b", 3)).size(), 3);
    CHECK_TEXT(spmsg::view(string).text(), "a string");
    CHECK_EQ(spmsg::mutable_view(numbers).size(), 24);
    CHECK_EQ(spmsg::mutable_view(bytes).size(), 6);
    CHECK_EQ(spmsg::mutable_view(text).size(), 6);
    static_assert(!std::is_constructible_v<spmsg::mutable_view, const std::string &>);
    static_assert(!std::is_constructible_v<spmsg::mutable_view, std::string>);
    static_assert(!std::is_constructible_v<spmsg::view, std::vector<std::string> &>);
#if defined(__cpp_lib_span)
    std::span<const std::byte> span = spmsg::view(string);
    CHECK_EQ(span.size(), 8);
    CHECK_EQ(spmsg::view(span).size(), 8);
    std::span<std::byte> writable = spmsg::mutable_view(bytes);
    CHECK_EQ(spmsg::mutable_view(writable).size(), 6);
#endif
}

static void messages_go_there_and_back(void)
{
    std::error_code code;
    couple both = open_both(protocol::pair, protocol::pair);
    CHECK(both.here.send("hello", code));
    CHECK_NONE(code);
    message received = both.there.recv(code);
    CHECK_NONE(code);
    CHECK_TEXT(received.text(), "hello");

    /* Sent as it is, it is gone; as an lvalue it is copied. */
    CHECK(both.there.send(received, code));
    CHECK(static_cast<bool>(received));
    CHECK(both.there.send(std::move(received), code));
    CHECK(!received);
    char room[3];
    CHECK_EQ(both.here.recv(room, code), 5);
    CHECK_NONE(code);
    CHECK_TEXT(std::string_view(room, 3), "hel");
    CHECK_TEXT(both.here.recv(code).text(), "hello");

    CHECK(both.here.send_parts({"one ", std::string("and "), "two"}, flags::none, code));
    CHECK_TEXT(both.there.recv(code).text(), "one and two");
    CHECK(both.here.send(spmsg::view(), code));
    received = both.there.recv(code);
    CHECK_NONE(code);
    CHECK(static_cast<bool>(received));
    CHECK(received.empty());
}

static void what_is_refused_stays_with_its_owner(void)
{
    std::error_code code;
    spmsg::socket alone = open(protocol::pair);
    message kept(spmsg::view("kept"), code);
    CHECK(!alone.send(std::move(kept), flags::dont_wait, code));
    CHECK(code == std::errc::resource_unavailable_try_again);
    CHECK_TEXT(kept.text(), "kept");
    message none = alone.recv(flags::dont_wait, code);
    CHECK(code == std::errc::resource_unavailable_try_again);
    CHECK(!none);
    CHECK(!alone.send(message(), code));
    CHECK(code == std::errc::bad_address);
}

static void errors_have_names_and_texts(void)
{
    std::error_code code;
    spmsg::socket rep = open(protocol::rep);
    CHECK(!rep.send("an answer to nobody", code));
    CHECK(code == spmsg::errc::wrong_state);
    CHECK(code != std::errc::timed_out);
    CHECK_TEXT(code.message(), nn_strerror(EFSM));
    CHECK_TEXT(code.category().name(), "nanomsg");
    rep.set(spmsg::options::receive_timeout, 20ms, code);
    CHECK_NONE(code);
    CHECK(!rep.recv(code));
    CHECK(code == std::errc::timed_out);
    const spmsg::endpoint none = rep.bind("nonsense", code);
    CHECK(code == std::errc::invalid_argument);
    CHECK_EQ(none.id, 0);
    CHECK(spmsg::make_error_code(spmsg::errc::terminated).value() == ETERM);
    /* A success clears what was there. */
    rep.bind(new_address(), code);
    CHECK_NONE(code);
}

static void options_have_their_types(void)
{
    namespace options = spmsg::options;
    std::error_code code;
    spmsg::socket s = open(protocol::req);
    s.set(options::send_buffer, 4096, code);
    CHECK_NONE(code);
    CHECK_EQ(s.get(options::send_buffer, code), 4096);
    s.set(options::receive_timeout, 2s, code);
    CHECK(s.get(options::receive_timeout, code) == 2000ms);
    s.set(options::receive_timeout, 1us, code);
    CHECK(s.get(options::receive_timeout, code) == 1ms);
    s.set(options::receive_timeout, spmsg::forever, code);
    CHECK(s.get(options::receive_timeout, code) == spmsg::forever);
    s.set(options::receive_timeout, -1us, code);
    CHECK(s.get(options::receive_timeout, code) == spmsg::forever);
    s.set(options::receive_timeout, std::chrono::hours(24 * 365 * 100), code);
    CHECK(s.get(options::receive_timeout, code) == std::chrono::milliseconds(INT32_MAX));
    s.set(options::receive_timeout, std::chrono::duration<double>(1.5), code);
    CHECK(s.get(options::receive_timeout, code) == 1500ms);
    s.set(options::ipv4_only, false, code);
    CHECK_NONE(code);
    CHECK(!s.get(options::ipv4_only, code));
    s.set(options::socket_name, "asker", code);
    CHECK_NONE(code);
    CHECK_TEXT(s.get(options::socket_name, code), "asker");
    s.set(options::resend_interval, 3s, code);
    CHECK(s.get(options::resend_interval, code) == 3s);
    s.set(options::survey_deadline, 3s, code);
    CHECK(code == std::errc::no_protocol_option);
    s.set(options::send_priority, 17, code);
    CHECK(code == std::errc::invalid_argument);
    CHECK_AT_LEAST(s.get(options::receive_fd, code), 0);
    CHECK_NONE(code);
}

static void topics_are_bytes(void)
{
    std::error_code code;
    couple both = open_both(protocol::pub, protocol::sub);
    both.there.set(spmsg::options::subscribe, "a.", code);
    CHECK_NONE(code);
    both.there.set(spmsg::options::subscribe, std::string_view("z\0", 2), code);
    CHECK_NONE(code);
    for (const std::string_view text : {"b.1", "a.2", "a", "end"})
        CHECK(both.here.send(text, code));
    CHECK(both.here.send(std::string_view("z\0!", 3), code));
    CHECK_TEXT(both.there.recv(code).text(), "a.2");
    CHECK_TEXT(both.there.recv(code).text(), std::string_view("z\0!", 3));
    both.there.set(spmsg::options::unsubscribe, "a.", code);
    CHECK_NONE(code);
    both.there.set(spmsg::options::subscribe, "", code);
    CHECK_NONE(code);
    CHECK(both.here.send("anything", code));
    CHECK_TEXT(both.there.recv(code).text(), "anything");
}

static void polling_tells_who_is_ready(void)
{
    std::error_code code;
    couple both = open_both(protocol::pair, protocol::pair);
    nn_pollfd items[] = {both.here.poll_for(spmsg::events::in),
                         both.there.poll_for(spmsg::events::both)};
    CHECK_EQ(spmsg::poll(items, 10s, code), 1);
    CHECK(!spmsg::is_readable(items[0]));
    CHECK(spmsg::is_writable(items[1]) && !spmsg::is_readable(items[1]));
    CHECK(both.there.send("wake up", code));
    std::vector<nn_pollfd> row{both.here.poll_for(spmsg::events::in)};
    CHECK_EQ(spmsg::poll(row, spmsg::forever, code), 1);
    CHECK(spmsg::is_readable(row[0]));
    struct pollfd descriptor = {both.here.get(spmsg::options::receive_fd, code), POLLIN, 0};
    CHECK_EQ(::poll(&descriptor, 1, PATIENCE_MS), 1);
    CHECK_TEXT(both.here.recv(code).text(), "wake up");
    CHECK_EQ(spmsg::poll(row, 5ms, code), 0);
    CHECK_NONE(code);
}

static void closing_wakes_who_waits(void)
{
    spmsg::socket s = open(protocol::pair);
    std::error_code code, seen;
    s.set(spmsg::options::receive_timeout, spmsg::forever, code);
    std::thread waiting([&] { static_cast<void>(s.recv(seen)); });
    s.close(code);
    waiting.join();
    CHECK_NONE(code);
    CHECK(seen == std::errc::bad_file_descriptor);
}

static void ignore(int) {}

/* The signal is sent again until one has come while the call waited. */
static void a_signal_interrupts(void)
{
    struct sigaction action = {}, before;
    action.sa_handler = ignore;
    sigaction(SIGUSR1, &action, &before);
    spmsg::socket s = open(protocol::pair);
    std::error_code seen;
    std::atomic<bool> done{false};
    std::thread waiting([&] {
        static_cast<void>(s.recv(seen));
        done = true;
    });
    CHECK(wait_until((pthread_kill(waiting.native_handle(), SIGUSR1), done.load()), PATIENCE_MS));
    waiting.join();
    CHECK(seen == std::errc::interrupted);
    sigaction(SIGUSR1, &before, nullptr);
}

static void a_device_joins_two_sides(void)
{
    std::error_code code;
    spmsg::socket front(protocol::rep, spmsg::domain::raw, code);
    spmsg::socket back(protocol::req, spmsg::domain::raw, code);
    const std::string to_front = new_address(), to_back = new_address();
    front.bind(to_front, code);
    CHECK_NONE(code);
    back.bind(to_back, code);
    CHECK_NONE(code);
    std::error_code ended;
    std::thread device([&] { ended = spmsg::device(front, back); });
    spmsg::socket asker = open(protocol::req), worker = open(protocol::rep);
    asker.connect(to_front, code);
    worker.connect(to_back, code);
    CHECK(asker.send("work", code));
    CHECK_TEXT(worker.recv(code).text(), "work");
    CHECK(worker.send("done", code));
    CHECK_TEXT(asker.recv(code).text(), "done");
    front.close(code);
    back.close(code);
    device.join();
    CHECK(ended == std::errc::bad_file_descriptor);
    CHECK(spmsg::device(asker) == std::errc::invalid_argument);
}

/* On the other library it says that there are none. */
static void contexts_are_apart(void)
{
    std::error_code code;
    couple both = open_both(protocol::req, protocol::rep);
    spmsg::socket one = both.here.context(code);
    const char *const library = std::getenv("SPMSG_TEST_LIBRARY");
    if (library && std::string_view(library) != "spmsg") {
        CHECK(code == std::errc::function_not_supported && !one);
        return;
    }
    CHECK_NONE(code);
    spmsg::socket other = both.here.context(code), worker = both.there.context(code);
    CHECK_NONE(code);
    CHECK(one && other && one.handle() != other.handle());
    CHECK(one.send("one", code) && other.send("other", code));
    CHECK_TEXT(worker.recv(code).text(), "one");
    CHECK_TEXT(both.there.recv(code).text(), "other");
    CHECK(both.there.send("re other", code) && worker.send("re one", code));
    CHECK_TEXT(other.recv(code).text(), "re other");
    CHECK_TEXT(one.recv(code).text(), "re one");
    CHECK(!one.context(code) && code == std::errc::not_supported);
    CHECK(!open(protocol::pair).context(code) && code == std::errc::not_supported);
#if SPMSG_EXCEPTIONS
    CHECK(both.here.context().handle() >= 0);
#endif
    /* Contexts end before their socket, whose end would be theirs. */
    one.close(code);
    CHECK_NONE(code);
    both.here.close(code);
    CHECK(!other.send("late", code) && code == std::errc::bad_file_descriptor);
    static_cast<void>(other.release());
    worker.close(code);
    CHECK_NONE(code);
}

static void an_endpoint_can_be_shut_down(void)
{
    std::error_code code;
    couple both = open_both(protocol::pair, protocol::pair);
    const spmsg::endpoint second = both.here.bind(new_address(), code);
    CHECK_NONE(code);
    both.here.shut_down(second, code);
    CHECK_NONE(code);
    both.here.shut_down(second, code);
    CHECK(code == std::errc::invalid_argument);
    CHECK(both.here.send("still there", code));
    CHECK_TEXT(both.there.recv(code).text(), "still there");
}

#if SPMSG_EXCEPTIONS

/* The expression throws a system_error with that condition. */
#define CHECK_THROWS(expression, condition) do { \
    test_at(__FILE__, __LINE__); \
    try { \
        expression; \
        FAIL("%s does not throw", #expression); \
    } catch (const std::system_error &error) { \
        if (error.code() != (condition)) \
            FAIL("%s throws %s", #expression, error.what()); \
    } \
} while (0)

static void failures_are_thrown(void)
{
    spmsg::socket s(protocol::rep);
    CHECK_THROWS(s.send("to nobody"), spmsg::errc::wrong_state);
    CHECK_THROWS(s.bind("nonsense"), std::errc::invalid_argument);
    CHECK_THROWS(s.connect(std::string("nonsense")), std::errc::invalid_argument);
    CHECK_THROWS(s.set(spmsg::options::hops_max, 0), std::errc::invalid_argument);
    CHECK_THROWS(s.get(spmsg::options::resend_interval), std::errc::no_protocol_option);
    CHECK_THROWS(static_cast<void>(s.try_send("to nobody")), spmsg::errc::wrong_state);
    s.set(spmsg::options::receive_timeout, 10ms);
    CHECK_THROWS(static_cast<void>(s.recv()), std::errc::timed_out);
    s.close();
    CHECK_THROWS(s.close(), std::errc::bad_file_descriptor);
    CHECK_THROWS(spmsg::socket(static_cast<protocol>(7)), std::errc::invalid_argument);
}

static void a_conversation_without_codes(void)
{
    couple both = open_both(protocol::req, protocol::rep);
    CHECK(!both.there.try_recv());
    both.here.send("question");
    message question = both.there.recv();
    CHECK_TEXT(question.text(), "question");
    question.resize(3);
    both.there.send(std::move(question));
    char room[16];
    CHECK_EQ(both.here.recv(room), 3);
    CHECK_TEXT(std::string_view(room, 3), "que");
    CHECK(both.here.try_send(message(spmsg::view("again"))));
    nn_pollfd item[] = {both.there.poll_for(spmsg::events::in)};
    CHECK_EQ(spmsg::poll(item, 10s), 1);
    std::optional<message> again = both.there.try_recv();
    CHECK(again && again->text() == "again");
    both.there.send_parts({"in ", "parts"});
    CHECK_TEXT(both.here.recv().text(), "in parts");
    CHECK(both.here.get(spmsg::options::resend_interval) == 1min);
}

#endif

/* Comes last: nothing can be opened afterwards. */
static void term_ends_everything(void)
{
    spmsg::socket s = open(protocol::pair);
    std::error_code code, seen;
    s.set(spmsg::options::receive_timeout, spmsg::forever, code);
    std::thread waiting([&] { static_cast<void>(s.recv(seen)); });
    spmsg::term();
    waiting.join();
    CHECK(seen == std::errc::bad_file_descriptor);
    spmsg::socket late(protocol::pair, code);
    CHECK(code == spmsg::errc::terminated);
    CHECK(!late);
}

int main(int count, char **words)
{
    scheme = test_begin_with("cpp/wrapper", "inproc|ipc|tcp|ws", 55, count, words);
    RUN(a_socket_is_closed_once_by_its_last_owner);
    RUN(a_message_has_one_owner);
    RUN(a_view_is_made_of_anything);
    RUN(messages_go_there_and_back);
    RUN(what_is_refused_stays_with_its_owner);
    RUN(errors_have_names_and_texts);
    RUN(options_have_their_types);
    RUN(topics_are_bytes);
    RUN(polling_tells_who_is_ready);
    RUN(closing_wakes_who_waits);
    RUN(a_signal_interrupts);
    RUN(a_device_joins_two_sides);
    RUN(contexts_are_apart);
    RUN(an_endpoint_can_be_shut_down);
#if SPMSG_EXCEPTIONS
    RUN(failures_are_thrown);
    RUN(a_conversation_without_codes);
#endif
    RUN(term_ends_everything);
    return test_end();
}

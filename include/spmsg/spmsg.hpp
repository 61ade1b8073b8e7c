/* The functions of nanomsg for C++17 and later, in one header: sockets and messages that clean up
 * after themselves, options that know their types, times of <chrono>, and errors as exceptions or
 * as std::error_code.
 *
 * Nothing but functions of <nanomsg/nn.h> is called, with the arguments that a C program would
 * give, and nothing is allocated that it would not allocate. So programs run on libnanomsg as well.
 * What is missing here can be had with socket::handle() and the functions of C.
 *
 * Errors. Each function that can fail is there twice: one throws std::system_error, and one stores
 * a std::error_code in its last argument, cleared when all went well. Without exceptions
 * (-fno-exceptions) only the second kind is there. Numbers of the system compare with std::errc:
 *
 *   resource_unavailable_try_again  with flags::dont_wait: it would have had to wait
 *   timed_out                       the time-out is over, or the survey
 *   interrupted                     a signal handler ran while the call waited. It is not repeated
 *                                   by itself: nothing was sent or received, so it may be called
 *                                   again
 *   bad_file_descriptor             the socket is closed, perhaps while the call waited, by another
 *                                   thread or by term()
 *   spmsg::errc::wrong_state        the protocol does not allow it now, such as a second answer
 *   spmsg::errc::terminated         from opening a socket after term()
 *
 * Threads. One socket may be used by several threads at a time, as its handle may. close() and
 * term() wake those who wait. Moving and destroying an object is for a thread that has it alone. */

#ifndef SPMSG_HPP_INCLUDED
#define SPMSG_HPP_INCLUDED

#include <nanomsg/bus.h>
#include <nanomsg/inproc.h>
#include <nanomsg/ipc.h>
#include <nanomsg/nn.h>
#include <nanomsg/pair.h>
#include <nanomsg/pipeline.h>
#include <nanomsg/pubsub.h>
#include <nanomsg/reqrep.h>
#include <nanomsg/survey.h>
#include <nanomsg/tcp.h>
#include <nanomsg/ws.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>

#if defined(__has_include)
#if __has_include(<version>)
#include <version>
#endif
#endif
#if defined(__cpp_lib_span)
#include <span>
#endif

#if defined(__cpp_exceptions)
#define SPMSG_EXCEPTIONS 1
#else
#define SPMSG_EXCEPTIONS 0
#endif

/* Of spmsg.h. libnanomsg does not have it, and programs run on either: there it is null. */
#if defined(__GNUC__)
extern "C" int spmsg_context(int s) __attribute__((weak));
#else
extern "C" int spmsg_context(int s);
#endif

namespace spmsg {

/** The errors that no system has. */
enum class errc {
    terminated = ETERM,
    wrong_state = EFSM,
};

/** The category of all codes of this header: numbers of errno, and the two above. */
inline const std::error_category &category() noexcept;

inline std::error_code make_error_code(errc code) noexcept
{
    return {static_cast<int>(code), category()};
}

} // namespace spmsg

template <> struct std::is_error_code_enum<spmsg::errc> : std::true_type {};

namespace spmsg {

namespace detail {

class category_type final : public std::error_category {
public:
    const char *name() const noexcept override { return "nanomsg"; }

    std::string message(int code) const override { return nn_strerror(code); }

    /* What the system knows compares with std::errc. */
    std::error_condition default_error_condition(int code) const noexcept override
    {
        if (code < NN_HAUSNUMERO)
            return {code, std::generic_category()};
        return {code, *this};
    }
};

inline std::error_code last_error() noexcept
{
    return {nn_errno(), category()};
}

/* What is linked may turn out to be another library. */
inline bool has_contexts() noexcept
{
#if defined(__GNUC__)
    int (*volatile const open)(int) = spmsg_context;
    return open != nullptr;
#else
    return true;
#endif
}

/* Clears the code or sets it, as the result of a function of C says. */
inline bool succeeds(int result, std::error_code &code) noexcept
{
    if (result < 0)
        code = last_error();
    else
        code.clear();
    return result >= 0;
}

#if SPMSG_EXCEPTIONS
inline void require(const std::error_code &code, const char *what)
{
    if (code)
        throw std::system_error(code, what);
}
#endif

/* Time-outs are whole milliseconds in an int, negative for ever. A time that is left is not cut to
 * none, and what is too long becomes the longest. */
template <class Rep, class Period>
constexpr int milliseconds_of(std::chrono::duration<Rep, Period> time) noexcept
{
    using std::chrono::milliseconds;
    constexpr int longest = std::numeric_limits<int>::max();
    using unit = std::chrono::duration<double, std::milli>;
    if (time < time.zero())
        return -1;
    if (unit(time).count() >= static_cast<double>(longest))
        return longest;
    const auto cut = std::chrono::duration_cast<milliseconds>(time);
    return static_cast<int>(cut.count()) + (cut < time ? 1 : 0);
}

} // namespace detail

inline const std::error_category &category() noexcept
{
    static const detail::category_type instance;
    return instance;
}

/** A time-out that never ends. */
inline constexpr std::chrono::milliseconds forever{-1};

/** Bytes that belong to somebody else: where they begin, and how many. What std::span<Byte> is in
 * C++20, into which it converts there. */
template <class Byte> class basic_view {
    static constexpr bool is_constant = std::is_const_v<Byte>;

    /* A pointer to characters, or an array of them, as a literal is. */
    template <class Text>
    static constexpr bool is_text = std::is_pointer_v<std::decay_t<Text>>
        && std::is_same_v<std::remove_cv_t<std::remove_pointer_t<std::decay_t<Text>>>, char>;

    /* What is written to must outlive the call, unless it is only a view itself. */
    template <class Range>
    static constexpr bool is_lasting = std::is_lvalue_reference_v<Range>
        || std::is_trivially_copyable_v<std::remove_reference_t<Range>>;

public:
    using value_type = std::remove_cv_t<Byte>;
    using iterator = Byte *;

    constexpr basic_view() noexcept = default;
    constexpr basic_view(Byte *data, std::size_t size) noexcept : data_(data), size_(size) {}

    /** The bytes of any values in a row that may be copied as bytes: of a std::vector<double>, a
     * std::array, a std::string, a std::span. */
    template <class Range,
              class Element = std::remove_pointer_t<decltype(std::data(std::declval<Range &>()))>,
              class = decltype(std::size(std::declval<Range &>())),
              class = std::enable_if_t<
                  std::is_trivially_copyable_v<Element>
                  && (is_constant || (!std::is_const_v<Element> && is_lasting<Range>))
                  && !(is_constant && is_text<Range>)
                  && !std::is_same_v<std::decay_t<Range>, basic_view>>>
    basic_view(Range &&range) noexcept
        : data_(reinterpret_cast<Byte *>(std::data(range))),
          size_(std::size(range) * sizeof(Element))
    {
    }

    /** A text of C, up to the zero byte at its end, which is none of them. */
    template <class Text, class = std::enable_if_t<is_constant && is_text<Text>>, class = void>
    basic_view(const Text &text) noexcept
        : data_(reinterpret_cast<Byte *>(static_cast<const char *>(text))), size_(std::strlen(text))
    {
    }

    constexpr Byte *data() const noexcept { return data_; }
    constexpr std::size_t size() const noexcept { return size_; }
    constexpr bool empty() const noexcept { return size_ == 0; }
    constexpr iterator begin() const noexcept { return data_; }
    constexpr iterator end() const noexcept { return data_ + size_; }
    constexpr Byte &operator[](std::size_t index) const noexcept { return data_[index]; }

    /** The same bytes as text. */
    std::string_view text() const noexcept
    {
        return {reinterpret_cast<const char *>(data_), size_};
    }

private:
    Byte *data_ = nullptr;
    std::size_t size_ = 0;
};

using view = basic_view<const std::byte>;
using mutable_view = basic_view<std::byte>;

} // namespace spmsg

#if defined(__cpp_lib_span)
/* A std::span may be made of one that is gone by then, since the bytes are not its own. */
template <class Byte>
inline constexpr bool std::ranges::enable_borrowed_range<spmsg::basic_view<Byte>> = true;
#endif

namespace spmsg {

/** A message of nn_allocmsg, which sending and receiving hand over without a copy. It has one
 * owner, who frees it. One that was moved from, sent, or not initialised holds nothing: it converts
 * to false, and cannot be sent. */
class message {
public:
    message() noexcept = default;

    /** Of that size, which may be 0. Its bytes are not initialised. */
    message(std::size_t size, std::error_code &code) noexcept { allocate(size, code); }

    /** A copy of these bytes. */
    message(view bytes, std::error_code &code) noexcept
    {
        if (allocate(bytes.size(), code) && !bytes.empty())
            std::memcpy(data_, bytes.data(), bytes.size());
    }

#if SPMSG_EXCEPTIONS
    explicit message(std::size_t size)
    {
        std::error_code code;
        allocate(size, code);
        detail::require(code, "nn_allocmsg");
    }

    explicit message(view bytes) : message(bytes.size())
    {
        if (!bytes.empty())
            std::memcpy(data_, bytes.data(), bytes.size());
    }
#endif

    message(message &&other) noexcept
        : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0))
    {
    }

    message &operator=(message &&other) noexcept
    {
        message taken(std::move(other));
        std::swap(data_, taken.data_);
        std::swap(size_, taken.size_);
        return *this;
    }

    ~message()
    {
        if (data_)
            nn_freemsg(data_);
    }

    /** Takes over what a function of C has returned, with its size. */
    [[nodiscard]] static message adopt(void *data, std::size_t size) noexcept
    {
        message adopted;
        adopted.data_ = data;
        adopted.size_ = size;
        return adopted;
    }

    /** Gives it to the caller, who sends it with NN_MSG or frees it with nn_freemsg. */
    [[nodiscard]] void *release() noexcept
    {
        size_ = 0;
        return std::exchange(data_, nullptr);
    }

    explicit operator bool() const noexcept { return data_ != nullptr; }
    std::byte *data() noexcept { return static_cast<std::byte *>(data_); }
    const std::byte *data() const noexcept { return static_cast<const std::byte *>(data_); }
    std::size_t size() const noexcept { return size_; }
    bool empty() const noexcept { return size_ == 0; }
    std::byte *begin() noexcept { return data(); }
    std::byte *end() noexcept { return data() + size_; }
    const std::byte *begin() const noexcept { return data(); }
    const std::byte *end() const noexcept { return data() + size_; }
    std::string_view text() const noexcept { return view(data(), size_).text(); }

    /** Makes it longer or shorter; it may move. When that fails it is as before. */
    void resize(std::size_t size, std::error_code &code) noexcept
    {
        void *moved = data_ ? nn_reallocmsg(data_, size) : nn_allocmsg(size, 0);
        if (!moved) {
            code = detail::last_error();
            return;
        }
        code.clear();
        data_ = moved;
        size_ = size;
    }

#if SPMSG_EXCEPTIONS
    void resize(std::size_t size)
    {
        std::error_code code;
        resize(size, code);
        detail::require(code, "nn_reallocmsg");
    }
#endif

private:
    bool allocate(std::size_t size, std::error_code &code) noexcept
    {
        data_ = nn_allocmsg(size, 0);
        if (!data_) {
            code = detail::last_error();
            return false;
        }
        code.clear();
        size_ = size;
        return true;
    }

    void *data_ = nullptr;
    std::size_t size_ = 0;
};

/** The types of sockets. */
enum class protocol : int {
    pair = NN_PAIR,
    req = NN_REQ,
    rep = NN_REP,
    pub = NN_PUB,
    sub = NN_SUB,
    push = NN_PUSH,
    pull = NN_PULL,
    surveyor = NN_SURVEYOR,
    respondent = NN_RESPONDENT,
    bus = NN_BUS,
};

enum class domain : int {
    cooked = AF_SP,
    /** For devices: the protocol's headers are passed to the program. */
    raw = AF_SP_RAW,
};

enum class flags : int {
    none = 0,
    dont_wait = NN_DONTWAIT,
};

/** What poll looks for. */
enum class events : short {
    in = NN_POLLIN,
    out = NN_POLLOUT,
    both = NN_POLLIN | NN_POLLOUT,
};

enum class counter : int {
    established_connections = NN_STAT_ESTABLISHED_CONNECTIONS,
    accepted_connections = NN_STAT_ACCEPTED_CONNECTIONS,
    dropped_connections = NN_STAT_DROPPED_CONNECTIONS,
    broken_connections = NN_STAT_BROKEN_CONNECTIONS,
    connect_errors = NN_STAT_CONNECT_ERRORS,
    bind_errors = NN_STAT_BIND_ERRORS,
    accept_errors = NN_STAT_ACCEPT_ERRORS,
    current_connections = NN_STAT_CURRENT_CONNECTIONS,
    connections_in_progress = NN_STAT_INPROGRESS_CONNECTIONS,
    current_endpoint_errors = NN_STAT_CURRENT_EP_ERRORS,
    messages_sent = NN_STAT_MESSAGES_SENT,
    messages_received = NN_STAT_MESSAGES_RECEIVED,
    bytes_sent = NN_STAT_BYTES_SENT,
    bytes_received = NN_STAT_BYTES_RECEIVED,
    current_send_priority = NN_STAT_CURRENT_SND_PRIORITY,
};

/** What one bind or connect has made. It lives until the socket ends or shut_down is called. */
struct endpoint {
    int id = 0;
};

enum class access { read_only, write_only, both };

/** An option: the type of its value, and what may be done with it. Others than those below can be
 * made by whoever needs them. */
template <class Value, access Access = access::both> struct option {
    int level;
    int name;
};

namespace options {

using std::chrono::milliseconds;

inline constexpr option<milliseconds> linger{NN_SOL_SOCKET, NN_LINGER};
inline constexpr option<int> send_buffer{NN_SOL_SOCKET, NN_SNDBUF};
inline constexpr option<int> receive_buffer{NN_SOL_SOCKET, NN_RCVBUF};
inline constexpr option<int> receive_size_max{NN_SOL_SOCKET, NN_RCVMAXSIZE};
inline constexpr option<milliseconds> send_timeout{NN_SOL_SOCKET, NN_SNDTIMEO};
inline constexpr option<milliseconds> receive_timeout{NN_SOL_SOCKET, NN_RCVTIMEO};
inline constexpr option<milliseconds> reconnect_interval{NN_SOL_SOCKET, NN_RECONNECT_IVL};
inline constexpr option<milliseconds> reconnect_interval_max{NN_SOL_SOCKET, NN_RECONNECT_IVL_MAX};
inline constexpr option<int> send_priority{NN_SOL_SOCKET, NN_SNDPRIO};
inline constexpr option<int> receive_priority{NN_SOL_SOCKET, NN_RCVPRIO};
inline constexpr option<bool> ipv4_only{NN_SOL_SOCKET, NN_IPV4ONLY};
inline constexpr option<std::string_view> socket_name{NN_SOL_SOCKET, NN_SOCKET_NAME};
inline constexpr option<int> hops_max{NN_SOL_SOCKET, NN_MAXTTL};

/** Descriptors to be polled for reading, and for nothing else. */
inline constexpr option<int, access::read_only> send_fd{NN_SOL_SOCKET, NN_SNDFD};
inline constexpr option<int, access::read_only> receive_fd{NN_SOL_SOCKET, NN_RCVFD};

inline constexpr option<milliseconds> resend_interval{NN_REQ, NN_REQ_RESEND_IVL};
inline constexpr option<milliseconds> survey_deadline{NN_SURVEYOR, NN_SURVEYOR_DEADLINE};
inline constexpr option<std::string_view, access::write_only> subscribe{NN_SUB, NN_SUB_SUBSCRIBE};
inline constexpr option<std::string_view, access::write_only> unsubscribe{NN_SUB,
                                                                          NN_SUB_UNSUBSCRIBE};
inline constexpr option<bool> tcp_no_delay{NN_TCP, NN_TCP_NODELAY};
inline constexpr option<int> ws_message_type{NN_WS, NN_WS_MSG_TYPE};

} // namespace options

/** A socket, which is closed when its object ends. That may take as long as options::linger says,
 * when not everything is written. One that was moved from or closed has the handle -1. */
class socket {
public:
    socket() noexcept = default;

    socket(protocol type, domain kind, std::error_code &code) noexcept
        : handle_(nn_socket(static_cast<int>(kind), static_cast<int>(type)))
    {
        detail::succeeds(handle_, code);
    }

    socket(protocol type, std::error_code &code) noexcept : socket(type, domain::cooked, code) {}

    socket(socket &&other) noexcept : handle_(other.release()) {}

    socket &operator=(socket &&other) noexcept
    {
        socket taken(std::move(other));
        taken.handle_ = handle_.exchange(taken.handle_);
        return *this;
    }

    ~socket()
    {
        const int last = release();
        if (last >= 0)
            nn_close(last);
    }

    /** Takes over a handle, which it will close. */
    [[nodiscard]] static socket adopt(int handle) noexcept
    {
        socket adopted;
        adopted.handle_ = handle;
        return adopted;
    }

    /** Gives the handle to the caller, who closes it. */
    [[nodiscard]] int release() noexcept { return handle_.exchange(-1); }

    /** For functions of C. It stays this object's. */
    int handle() const noexcept { return handle_; }

    explicit operator bool() const noexcept { return handle_ >= 0; }

    /** Closes it now. Other threads that wait on it get bad_file_descriptor. */
    void close(std::error_code &code) noexcept { detail::succeeds(nn_close(release()), code); }

    /** Opens a further handle on this socket, a REQ, REP, SURVEYOR, RESPONDENT or SUB, with a
     * request, a reply, a survey or subscriptions of its own: see spmsg_context in spmsg.h. Closing
     * this socket closes it, too, and others may have its number then: close it first, or release
     * its handle. libnanomsg has none: std::errc::function_not_supported. */
    [[nodiscard]] socket context(std::error_code &code) noexcept
    {
        socket opened;
        if (!detail::has_contexts())
            code = {ENOSYS, category()};
        else if (const int handle = spmsg_context(handle_); detail::succeeds(handle, code))
            opened.handle_ = handle;
        return opened;
    }

    endpoint bind(const char *address, std::error_code &code) noexcept
    {
        return made(nn_bind(handle_, address), code);
    }

    endpoint connect(const char *address, std::error_code &code) noexcept
    {
        return made(nn_connect(handle_, address), code);
    }

    endpoint bind(const std::string &address, std::error_code &code) noexcept
    {
        return bind(address.c_str(), code);
    }

    endpoint connect(const std::string &address, std::error_code &code) noexcept
    {
        return connect(address.c_str(), code);
    }

    void shut_down(endpoint which, std::error_code &code) noexcept
    {
        detail::succeeds(nn_shutdown(handle_, which.id), code);
    }

    /** Sends a copy of these bytes. Returns whether they were taken. */
    bool send(view bytes, flags how, std::error_code &code) noexcept
    {
        return detail::succeeds(
            nn_send(handle_, bytes.data(), bytes.size(), static_cast<int>(how)), code);
    }

    bool send(view bytes, std::error_code &code) noexcept
    {
        return send(bytes, flags::none, code);
    }

    /** Sends the message itself, which is gone then. When it is not taken it stays as it was. */
    bool send(message &&sent, flags how, std::error_code &code) noexcept
    {
        void *data = sent.data();
        if (!data) {
            code = {EFAULT, category()};
            return false;
        }
        if (!detail::succeeds(nn_send(handle_, &data, NN_MSG, static_cast<int>(how)), code))
            return false;
        static_cast<void>(sent.release());
        return true;
    }

    bool send(message &&sent, std::error_code &code) noexcept
    {
        return send(std::move(sent), flags::none, code);
    }

    /** Sends one message that lies in pieces. */
    template <std::size_t Count>
    bool send_parts(const view (&parts)[Count], flags how, std::error_code &code) noexcept
    {
        nn_iovec pieces[Count];
        nn_msghdr whole = {pieces, static_cast<int>(Count), nullptr, 0};
        for (std::size_t i = 0; i < Count; i++) {
            /* They are only read. The interface of C has one structure for both directions. */
            pieces[i].iov_base = const_cast<std::byte *>(parts[i].data());
            pieces[i].iov_len = parts[i].size();
        }
        return detail::succeeds(nn_sendmsg(handle_, &whole, static_cast<int>(how)), code);
    }

    /** Receives a message; one that holds nothing when it fails. */
    [[nodiscard]] message recv(flags how, std::error_code &code) noexcept
    {
        void *data = nullptr;
        const int size = nn_recv(handle_, &data, NN_MSG, static_cast<int>(how));
        if (!detail::succeeds(size, code))
            return {};
        return message::adopt(data, static_cast<std::size_t>(size));
    }

    [[nodiscard]] message recv(std::error_code &code) noexcept { return recv(flags::none, code); }

    /** Receives into memory that is there. Returns the size of the message; what does not fit is
     * lost. */
    std::size_t recv(mutable_view room, flags how, std::error_code &code) noexcept
    {
        const int size = nn_recv(handle_, room.data(), room.size(), static_cast<int>(how));
        return detail::succeeds(size, code) ? static_cast<std::size_t>(size) : 0;
    }

    std::size_t recv(mutable_view room, std::error_code &code) noexcept
    {
        return recv(room, flags::none, code);
    }

    template <access Access>
    void set(option<int, Access> which, int value, std::error_code &code) noexcept
    {
        static_assert(Access != access::read_only, "this option cannot be set");
        put(which.level, which.name, &value, sizeof value, code);
    }

    template <access Access>
    void set(option<bool, Access> which, bool value, std::error_code &code) noexcept
    {
        set(option<int, Access>{which.level, which.name}, value ? 1 : 0, code);
    }

    /** Any unit of time. A part of a millisecond counts as one; negative times are for ever. */
    template <access Access, class Rep, class Period>
    void set(option<std::chrono::milliseconds, Access> which,
             std::chrono::duration<Rep, Period> value, std::error_code &code) noexcept
    {
        set(option<int, Access>{which.level, which.name}, detail::milliseconds_of(value), code);
    }

    template <access Access>
    void set(option<std::string_view, Access> which, std::string_view value,
             std::error_code &code) noexcept
    {
        static_assert(Access != access::read_only, "this option cannot be set");
        put(which.level, which.name, value.data(), value.size(), code);
    }

    template <access Access>
    int get(option<int, Access> which, std::error_code &code) const noexcept
    {
        static_assert(Access != access::write_only, "this option cannot be read");
        int value = 0;
        std::size_t size = sizeof value;
        detail::succeeds(nn_getsockopt(handle_, which.level, which.name, &value, &size), code);
        return value;
    }

    template <access Access>
    bool get(option<bool, Access> which, std::error_code &code) const noexcept
    {
        return get(option<int, Access>{which.level, which.name}, code) != 0;
    }

    template <access Access>
    std::chrono::milliseconds get(option<std::chrono::milliseconds, Access> which,
                                  std::error_code &code) const noexcept
    {
        return std::chrono::milliseconds(get(option<int, Access>{which.level, which.name}, code));
    }

    template <access Access>
    std::string get(option<std::string_view, Access> which, std::error_code &code) const
    {
        static_assert(Access != access::write_only, "this option cannot be read");
        char value[64];
        std::size_t size = sizeof value;
        if (!detail::succeeds(nn_getsockopt(handle_, which.level, which.name, value, &size), code))
            return {};
        return {value, size < sizeof value ? size : sizeof value};
    }

    /** The largest number there is when the socket is closed. */
    std::uint64_t statistic(counter which) const noexcept
    {
        return nn_get_statistic(handle_, static_cast<int>(which));
    }

    /** An entry for poll. */
    nn_pollfd poll_for(events wanted) const noexcept
    {
        return {handle_, static_cast<short>(wanted), 0};
    }

#if SPMSG_EXCEPTIONS
    explicit socket(protocol type, domain kind = domain::cooked)
        : handle_(nn_socket(static_cast<int>(kind), static_cast<int>(type)))
    {
        if (handle_ < 0)
            throw std::system_error(detail::last_error(), "nn_socket");
    }

    void close()
    {
        std::error_code code;
        close(code);
        detail::require(code, "nn_close");
    }

    [[nodiscard]] socket context()
    {
        std::error_code code;
        socket opened = context(code);
        detail::require(code, "spmsg_context");
        return opened;
    }

    endpoint bind(const char *address)
    {
        std::error_code code;
        const endpoint result = bind(address, code);
        detail::require(code, "nn_bind");
        return result;
    }

    endpoint connect(const char *address)
    {
        std::error_code code;
        const endpoint result = connect(address, code);
        detail::require(code, "nn_connect");
        return result;
    }

    endpoint bind(const std::string &address) { return bind(address.c_str()); }

    endpoint connect(const std::string &address) { return connect(address.c_str()); }

    void shut_down(endpoint which)
    {
        std::error_code code;
        shut_down(which, code);
        detail::require(code, "nn_shutdown");
    }

    void send(view bytes)
    {
        std::error_code code;
        send(bytes, code);
        detail::require(code, "nn_send");
    }

    void send(message &&sent)
    {
        std::error_code code;
        send(std::move(sent), code);
        detail::require(code, "nn_send");
    }

    template <std::size_t Count> void send_parts(const view (&parts)[Count])
    {
        std::error_code code;
        send_parts(parts, flags::none, code);
        detail::require(code, "nn_sendmsg");
    }

    /** Whether it could be sent without waiting. */
    [[nodiscard]] bool try_send(view bytes)
    {
        std::error_code code;
        return tried(send(bytes, flags::dont_wait, code), code, "nn_send");
    }

    /** When it could not, the message is as it was. */
    [[nodiscard]] bool try_send(message &&sent)
    {
        std::error_code code;
        return tried(send(std::move(sent), flags::dont_wait, code), code, "nn_send");
    }

    [[nodiscard]] message recv()
    {
        std::error_code code;
        message received = recv(code);
        detail::require(code, "nn_recv");
        return received;
    }

    std::size_t recv(mutable_view room)
    {
        std::error_code code;
        const std::size_t size = recv(room, code);
        detail::require(code, "nn_recv");
        return size;
    }

    /** Nothing when there is no message now. */
    [[nodiscard]] std::optional<message> try_recv()
    {
        std::error_code code;
        message received = recv(flags::dont_wait, code);
        if (!tried(static_cast<bool>(received), code, "nn_recv"))
            return std::nullopt;
        return received;
    }

    template <class Value, access Access, class Given>
    void set(option<Value, Access> which, const Given &value)
    {
        std::error_code code;
        set(which, value, code);
        detail::require(code, "nn_setsockopt");
    }

    template <class Value, access Access> auto get(option<Value, Access> which) const
    {
        std::error_code code;
        auto value = get(which, code);
        detail::require(code, "nn_getsockopt");
        return value;
    }
#endif

private:
    static endpoint made(int result, std::error_code &code) noexcept
    {
        return detail::succeeds(result, code) ? endpoint{result} : endpoint{};
    }

    void put(int level, int name, const void *value, std::size_t size,
             std::error_code &code) noexcept
    {
        detail::succeeds(nn_setsockopt(handle_, level, name, value, size), code);
    }

#if SPMSG_EXCEPTIONS
    static bool tried(bool done, const std::error_code &code, const char *what)
    {
        if (!done && code != std::errc::resource_unavailable_try_again)
            throw std::system_error(code, what);
        return done;
    }
#endif

    std::atomic<int> handle_{-1};
};

/** Waits until one of the sockets can do what is asked for, and returns how many can: 0 when the
 * time is over. The items are nn_pollfd, which socket::poll_for makes, in an array or any other
 * row. */
template <class Items, class Rep, class Period>
std::size_t poll(Items &items, std::chrono::duration<Rep, Period> timeout,
                 std::error_code &code) noexcept
{
    const int ready = nn_poll(std::data(items), static_cast<int>(std::size(items)),
                              detail::milliseconds_of(timeout));
    return detail::succeeds(ready, code) ? static_cast<std::size_t>(ready) : 0;
}

#if SPMSG_EXCEPTIONS
template <class Items, class Rep, class Period>
std::size_t poll(Items &items, std::chrono::duration<Rep, Period> timeout)
{
    std::error_code code;
    const std::size_t ready = poll(items, timeout, code);
    detail::require(code, "nn_poll");
    return ready;
}
#endif

inline bool is_readable(const nn_pollfd &item) noexcept
{
    return (item.revents & NN_POLLIN) != 0;
}

inline bool is_writable(const nn_pollfd &item) noexcept
{
    return (item.revents & NN_POLLOUT) != 0;
}

/** Passes messages on between two raw sockets until one of them is closed or fails. Returns why it
 * has ended. */
inline std::error_code device(const socket &one, const socket &other) noexcept
{
    nn_device(one.handle(), other.handle());
    return detail::last_error();
}

/** Passes the messages of one raw socket back to it. */
inline std::error_code device(const socket &only) noexcept
{
    nn_device(only.handle(), -1);
    return detail::last_error();
}

/** Closes all sockets of the process, and lets no new ones be opened: who waits in a call, and who
 * comes later, gets bad_file_descriptor. Objects of sockets may end as usual. */
inline void term() noexcept
{
    nn_term();
}

} // namespace spmsg

#endif

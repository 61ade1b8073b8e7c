/* A request and its reply, in C++. */

#include <spmsg/spmsg.hpp>

#include <algorithm>
#include <cctype>
#include <chrono>
#include <iostream>

using namespace std::chrono_literals;

static std::byte louder(std::byte byte)
{
    return static_cast<std::byte>(std::toupper(std::to_integer<unsigned char>(byte)));
}

static void converse()
{
    spmsg::socket service(spmsg::protocol::rep), client(spmsg::protocol::req);
    client.set(spmsg::options::receive_timeout, 500ms);
    service.bind("inproc://service");
    client.connect("inproc://service");

    client.send("hello from C++");
    spmsg::message text = service.recv();
    std::transform(text.begin(), text.end(), text.begin(), louder);
    service.send(std::move(text));
    std::cout << client.recv().text() << '\n';

    /* What is expected to fail now and then can be asked for its reason instead. */
    std::error_code why;
    client.send("is anybody there?");
    spmsg::message reply = client.recv(why);
    if (!reply)
        std::cout << "no more: " << why.message() << '\n';
}

int main()
{
    try {
        converse();
    } catch (const std::system_error &error) {
        std::cerr << error.what() << '\n';
        return 1;
    }
}

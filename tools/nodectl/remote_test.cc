// Tests of how hosts on other machines are written.
#include "tools/nodectl/remote.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "ipc/remote/tcp.h"

namespace noded::nodectl {
namespace {

std::string command(const std::string& host) {
    const auto words = ssh_command(host);
    if (!words) return "error: " + words.error().message;
    std::string out;
    for (const std::string& word : *words) out += (out.empty() ? "" : " ") + word;
    return out;
}

std::string address(const std::string& text) {
    const auto parsed = remote::parse_tcp(text, "9482");
    return parsed ? parsed->host + " " + parsed->port : "error: " + parsed.error().message;
}

TEST(RemoteHost, ssh_is_told_user_port_and_socket) {
    const std::string begin = "ssh -T -o ConnectTimeout=15 ";
    const std::string end = " system dial-stdio";
    EXPECT_EQ(command("ssh://node"), begin + "-- node nodectl" + end);
    EXPECT_EQ(command("ssh://me@node:2222/"), begin + "-l me -p 2222 -- node nodectl" + end);
    EXPECT_EQ(command("ssh://[fe80::1]:22"), begin + "-p 22 -- fe80::1 nodectl" + end);
    EXPECT_EQ(command("ssh://node/run/other.sock"),
              begin + "-- node nodectl --host unix:/run/other.sock" + end);
}

TEST(RemoteHost, what_a_shell_would_read_goes_nowhere) {
    EXPECT_TRUE(command("ssh://node/a;reboot").starts_with("error: ")) << command("ssh://node/a;b");
    EXPECT_TRUE(command("ssh://me:secret@node").starts_with("error: "));
    EXPECT_FALSE(command("ssh://me:secret@node").find("secret") != std::string::npos);
    EXPECT_TRUE(command("ssh://").starts_with("error: "));
    // ssh takes what comes behind "--" as a name.
    EXPECT_NE(command("ssh://-oProxyCommand=x").find(" -- -oProxyCommand=x nodectl"),
              std::string::npos);
}

TEST(RemoteHost, tcp_has_a_port_and_brackets_for_addresses_with_colons) {
    EXPECT_EQ(address("tcp://node"), "node 9482");
    EXPECT_EQ(address("tcp://10.0.0.1:1/"), "10.0.0.1 1");
    EXPECT_EQ(address("tcp://[::1]:99"), "::1 99");
    EXPECT_EQ(address("tcp://:99"), " 99");
    for (const char* wrong : {"tcp://node:", "tcp://node:x", "tcp://node:123456", "tcp://[::1",
                              "tcp://[::1]x:1", "http://node", "node:1"})
        EXPECT_TRUE(address(wrong).starts_with("error: an address is written as tcp://HOST:PORT"))
            << wrong;
}

TEST(RemoteHost, certificates_lie_where_the_environment_says) {
    setenv("HOME", "/of/me", 1);
    unsetenv("NODECTL_CERT_PATH");
    EXPECT_EQ(user_tls_files().key, "/of/me/.nodectl/key.pem");
    setenv("NODECTL_CERT_PATH", "/keys", 1);
    EXPECT_EQ(user_tls_files().authority, "/keys/ca.pem");
    EXPECT_TRUE(is_remote("tcp://x") && is_remote("ssh://x") && !is_remote("unix:/x"));
}

}  // namespace
}  // namespace noded::nodectl

// Everything wrong that a user or a client can send: each is answered with a sentence and the exit
// code that docker has for it, leaves nothing behind, and noded goes on.
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <set>

#include "plugins/storage/image/test_archive.h"
#include "tests/integration/test_node.h"
#include "tools/nodectl/session.h"

namespace noded::test {
namespace {

namespace fs = std::filesystem;
using image::TarBuilder;
using image::TestImage;
using Words = std::vector<std::string>;

std::string joined(const Words& words) {
    std::string line;
    for (const std::string& word : words) line += (line.empty() ? "" : " ") + word;
    return line;
}

struct BadInput : SharedNodeTest {
    static void SetUpTestSuite() {
        SharedNodeTest::SetUpTestSuite();
        started_as = node->pid();
        store_before = store();
    }
    /// Nothing is left and the same noded still works.
    void TearDown() override {
        node->expect_nothing_left();
        EXPECT_TRUE(eventually([] { return store() == store_before; }));
        EXPECT_EQ(node->ok({"run", "--rm", "busybox", "echo", "fine"}), "fine");
        EXPECT_EQ(node->ok({"images", "--format", "{{.Repository}}"}), "busybox");
        EXPECT_EQ(node->ok({"version", "--format", "{{.Server.Pid}}"}),
                  std::to_string(started_as));
    }

    /// The names of all layers and blobs.
    static std::set<std::string> store() {
        std::set<std::string> names;
        for (const char* sub : {"layers", "blobs/sha256"}) {
            const std::string dir = node->state_dir() + "/plugins/storage/" + sub;
            for (const auto& entry : fs::directory_iterator(dir))
                names.insert(entry.path().filename());
        }
        return names;
    }

    /// The command ends with `code`, prints nothing, and `sentence` is in what it says.
    static void refused(const Words& words, int code, const std::string& sentence,
                        const std::string& input = "") {
        const Ran ran = node->nodectl(words, input);
        EXPECT_EQ(ran.exit_code, code) << joined(words) << "\n" << ran.out << ran.err;
        EXPECT_NE(ran.err.find(sentence), std::string::npos) << joined(words) << "\n" << ran.err;
        const std::string printed = trimmed(ran.out);
        EXPECT_TRUE(printed.empty() || printed == "[]") << joined(words) << "\n" << ran.out;
    }

    static std::string write(const std::string& name, const std::string& content) {
        std::string path = node->dir() + "/" + name;
        std::ofstream(path, std::ios::binary) << content;
        return path;
    }

    static pid_t started_as;
    static std::set<std::string> store_before;
};
pid_t BadInput::started_as = -1;
std::set<std::string> BadInput::store_before;

// ------------------------------------------------------------------------------------------- names

TEST_F(BadInput, an_unknown_container_is_named) {
    for (const Words& words : std::initializer_list<Words>{
             {"start", "nope"}, {"start", "-a", "nope"}, {"stop", "nope"}, {"attach", "nope"},
             {"rm", "nope"}, {"logs", "nope"}, {"logs", "-f", "nope"},
             {"exec", "nope", "true"}, {"wait", "nope"}, {"top", "nope"}}) {
        refused(words, 1, "Error: No such container: nope\n");
    }
    refused({"kill", "nope"}, 1, "Error: Cannot kill container: nope: No such container: nope\n");
    refused({"rm", "-f", "nope"}, 0, "Error: No such container: nope\n");
    refused({"inspect", "nope"}, 1, "Error: No such object: nope\n");
}

TEST_F(BadInput, an_unknown_image_is_named) {
    refused({"run", "nope", "true"}, 125, "No such image: nope");
    refused({"run", "-d", "nope"}, 125, "No such image: nope");
    refused({"create", "nope"}, 125, "No such image: nope");
    refused({"rmi", "nope"}, 1, "No such image: nope:latest");
    refused({"rmi", "sha256:" + std::string(64, '0')}, 1, "No such image: sha256:000");
    refused({"tag", "nope", "other"}, 1, "No such image: nope:latest");
    refused({"image", "inspect", "nope"}, 1, "No such image: nope:latest");
}

TEST_F(BadInput, a_prefix_that_fits_several_containers_is_refused) {
    std::map<char, int> firsts;
    std::string prefix;
    for (int i = 0; i < 17 && prefix.empty(); ++i) {
        const std::string id = node->ok({"create", "busybox", "true"});
        if (++firsts[id[0]] == 2) prefix = id.substr(0, 1);
    }
    for (const char* verb : {"start", "stop", "kill", "rm", "logs", "wait"})
        refused({verb, prefix}, 1, "ultiple IDs found with provided prefix: " + prefix);
    refused({"rm", "-f", prefix}, 1, "ultiple IDs found");
    int left = 0;
    for (const auto& [first, count] : firsts) left += count;
    const std::string list = node->ok({"ps", "-aq"});
    EXPECT_EQ(std::ranges::count(list, '\n') + 1, left);
}

TEST_F(BadInput, a_prefix_that_fits_several_images_is_refused) {
    const std::string tar = write("tiny.tar", TarBuilder().file("x").finish());
    std::set<std::string> ids;
    const std::string had = node->ok({"images", "-q", "--no-trunc"});
    std::map<char, int> firsts = {{had[7], 1}};
    std::string prefix;
    for (int i = 0; i < 17 && prefix.empty(); ++i) {
        const std::string id = node->ok({"image", "import", tar});
        ids.insert(id);
        if (++firsts[id[7]] == 2) prefix = id.substr(7, 1);
    }
    refused({"rmi", prefix}, 1, "Multiple IDs found with provided prefix: " + prefix);
    refused({"tag", prefix, "other"}, 1, "Multiple IDs found with provided prefix: " + prefix);
    refused({"run", prefix, "true"}, 125, "Multiple IDs found with provided prefix: " + prefix);
    for (const std::string& id : ids) node->ok({"rmi", id});
}

TEST_F(BadInput, a_name_that_is_taken_says_by_whom) {
    const std::string id = node->ok({"create", "--name", "one", "busybox", "true"});
    const std::string sentence =
        "The container name \"/one\" is already in use by container \"" + id + "\"";
    refused({"create", "--name", "one", "busybox", "true"}, 125, sentence);
    refused({"run", "--name", "one", "busybox", "true"}, 125, sentence);
    refused({"run", "-d", "--rm", "--name", "one", "busybox", "true"}, 125, sentence);
    EXPECT_EQ(node->ok({"ps", "-aq", "--no-trunc"}), id);
}

TEST_F(BadInput, names_that_cannot_be_are_refused) {
    for (const char* name : {"a b", "x", "-x", "../up", "a/b", "ä"})
        refused({"create", std::string("--name=") + name, "busybox"}, 125,
                "Invalid container name (");
    refused({"create", "--name", std::string(500, 'n'), "busybox"}, 125, "Invalid container name");
    const std::string tar = write("tiny.tar", TarBuilder().file("x").finish());
    for (const char* name : {"UPPER", "a:b:c", "a b", "../up", ":tag", "a@b"}) {
        refused({"image", "import", tar, name}, 1, "invalid reference format");
        refused({"tag", "busybox", name}, 1, "invalid reference format");
    }
}

// --------------------------------------------------------------------------------- what is started

TEST_F(BadInput, a_command_that_cannot_run_has_dockers_code_and_words) {
    const std::tuple<const char*, int, const char*> kBad[] = {
        {"no-such", 127, "exec: \"no-such\": executable file not found in $PATH"},
        {"./no/such", 127, "no such file or directory"},
        {"/no/such", 127, "no such file or directory"},
        {"/etc/passwd", 126, "exec: \"/etc/passwd\": permission denied"},
        {"/etc", 126, "exec: \"/etc\": "},
    };
    node->ok({"run", "-d", "--name", "up", "busybox", "sleep", "1000"});
    for (const auto& [command, code, sentence] : kBad) {
        refused({"run", "--rm", "busybox", command}, code, sentence);
        refused({"run", "-d", "--rm", "busybox", command}, code, sentence);
        refused({"run", "--rm", "--entrypoint", command, "busybox"}, code, sentence);
        refused({"exec", "up", command}, code, sentence);
        refused({"exec", "-d", "up", command}, code, sentence);
        node->ok({"create", "--name", "cc", "busybox", command});
        refused({"start", "cc"}, 1, sentence);
        refused({"start", "-a", "cc"}, code, sentence);
        EXPECT_EQ(node->ok({"inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", "cc"}),
                  "created " + std::to_string(code));
        node->ok({"rm", "cc"});
    }
    refused({"run", "--rm", "busybox", ""}, 127,
            "exec: \"\": executable file not found in $PATH");
    EXPECT_EQ(node->ok({"ps", "-a", "--format", "{{.Names}}"}), "up");
}

TEST_F(BadInput, what_a_container_cannot_be_given_is_refused_before_it_exists) {
    const std::pair<Words, const char*> kBad[] = {
        {{"-u", "nouser"}, "unable to find user nouser"},
        {{"-u", "0:nogroup2"}, "unable to find group nogroup2"},
        {{"-w", "relative"}, "the working directory 'relative' is invalid"},
        {{"-e", "=x"}, "invalid environment variable: =x"},
        {{"-e", ""}, "invalid environment variable"},
        {{"-l", "=x"}, "invalid label '=x'"},
        {{"--network", "bogus"}, "network bogus not found"},
        {{"--stop-signal", "FOO"}, "Invalid signal: FOO"},
        {{"--stop-timeout", "x"}, "invalid argument \"x\" for \"--stop-timeout\" flag"},
        {{"--stop-timeout", "86401"}, "between 0 and 86400 seconds, or -1 to wait for ever"},
        {{"--env-file", "/no/such"}, "open /no/such: ENOENT"},
        {{"--hostname", std::string(70, 'h')}, "the hostname has 70 bytes, at most 64"},
        {{"-t=maybe"}, "invalid argument \"maybe\" for \"-t, --tty\" flag"},
        {{"-Q"}, "unknown shorthand flag: 'Q' in -Q"},
        {{"--no-such-flag"}, "unknown flag: --no-such-flag"},
        {{"--detach-keys", "zzz"}, "invalid detach keys \"zzz\""},
        {{"-e", "A=" + std::string(100'000, 'x'), "-e", "B=" + std::string(50'000, 'x')},
         "the environment has "},
    };
    for (const auto& [flags, sentence] : kBad) {
        Words words = {"run", "--rm"};
        words.insert(words.end(), flags.begin(), flags.end());
        words.insert(words.end(), {"busybox", "true"});
        refused(words, 125, sentence);
    }
    EXPECT_EQ(node->ok({"ps", "-aq"}), "");
    // docker creates a working directory that is not there.
    EXPECT_EQ(node->ok({"run", "--rm", "-w", "/new/place", "busybox", "pwd"}), "/new/place");
}

TEST_F(BadInput, bad_flag_values_are_named) {
    node->ok({"run", "-d", "--name", "up", "busybox", "sleep", "1000"});
    node->ok({"create", "--name", "idle", "busybox", "true"});
    const std::pair<Words, const char*> kBad[] = {
        {{"kill", "-s", "FOO", "up"}, "Invalid signal: FOO"},
        {{"kill", "-s", "99", "up"}, "Invalid signal: 99"},
        {{"kill", "-s", "0", "up"}, "Invalid signal: 0"},
        {{"kill", "idle"}, "is not running"},
        {{"rm", "up"}, "running container"},
        {{"logs", "--since", "x", "up"}, "invalid value for \"--since\": \"x\""},
        {{"ps", "-f", "bogus=1"}, "invalid filter 'bogus'"},
        {{"ps", "-f", "status=bogus"}, "invalid filter 'status=bogus'"},
        {{"ps", "--format", "{{.Nope}}"}, "template parsing error"},
        {{"ps", "--format", "{{"}, "template parsing error"},
        {{"images", "-f", "x=y"}, "invalid filter 'x'"},
        {{"images", "-f", "dangling=maybe"}, "invalid filter 'dangling=maybe'"},
        {{"images", "-f", "before=nope"}, "No such image: nope"},
        {{"images", "--format", "{{if"}, "template parsing error"},
        {{"events", "--since", "bogus"}, "invalid value for \"--since\": \"bogus\""},
        {{"events", "--until", "bogus"}, "invalid value for \"--until\": \"bogus\""},
        {{"events", "--since", "5", "--until", "3"}, "--since comes after --until"},
        {{"events", "--since", "1m", "--until", "2m"}, "--since comes after --until"},
        {{"events", "--filter", "x=y"}, "invalid filter 'x'"},
        {{"events", "-o", "xml"}, "invalid output \"xml\""},
        {{"exec", "idle", "true"}, "is not running"},
        {{"start", "-ai", "idle", "up"}, "cannot start and attach multiple containers"},
        {{"plugin", "inspect", "nope"}, "No such plugin: nope"},
        {{"call", "storage", "listImages", "{"}, "the parameters are not JSON"},
        {{"image", "import", "-c", "BOGUS x", "/dev/null"}, "BOGUS"},
        {{"image", "import", "-c", "CMD", "/dev/null"}, "the instruction has no argument"},
        {{"wait"}, "requires at least 1 argument"},
        {{"rmi"}, "requires at least 1 argument"},
        {{"tag", "busybox"}, "requires exactly 2 arguments"},
        {{"image", "import"}, "requires at least 1 and at most 2 arguments."},
        {{"bogus"}, "'bogus' is not a nodectl command"},
        {{"image", "bogus"}, "'image bogus' is not a nodectl command"},
    };
    for (const auto& [words, sentence] : kBad) refused(words, 1, sentence);
    refused({"run"}, 1, "requires at least 1 argument");
    refused({"create"}, 1, "requires at least 1 argument");
    refused({"inspect", "-f", "{{", "up"}, 64, "template parsing error");
    // An option that is none, or its value, is told apart from all else by 125.
    const std::pair<Words, const char*> kFlags[] = {
        {{"stop", "-t", "x", "up"}, "invalid argument \"x\" for \"-t, --time\" flag"},
        {{"ps", "-n", "x"}, "invalid argument \"x\" for \"-n, --last\" flag"},
        {{"ps", "-f", "bogus"},
         "invalid argument \"bogus\" for \"-f, --filter\" flag: bad format of filter (expected "
         "name=value)\nSee 'nodectl ps --help'.\n"},
        {{"events", "--filter", "bogus"}, "bad format of filter"},
        {{"exec", "-e", "=x", "up", "true"}, "invalid environment variable: =x"},
        {{"update", "-m", "x", "up"}, "invalid argument \"x\" for \"-m, --memory\" flag"},
        {{"logs", "--bogus", "up"}, "unknown flag: --bogus\nSee 'nodectl logs --help'.\n"},
    };
    for (const auto& [words, sentence] : kFlags) refused(words, 125, sentence);
    EXPECT_EQ(node->ok({"inspect", "-f", "{{.State.Status}}", "up"}), "running");
}

// ---------------------------------------------------------------------------------------- archives

TEST_F(BadInput, what_is_no_archive_is_refused) {
    const std::string text = write("text", "#!/bin/sh\necho hello\n");
    refused({"image", "import", "/no/such", "x"}, 1, "open /no/such: ENOENT");
    refused({"image", "import", node->dir(), "x"}, 1, "EISDIR");
    refused({"image", "import", text, "x"}, 1, "it is not a tar archive");
    refused({"image", "import", "-", "x"}, 1, "it is not a tar archive", "nothing of the kind");
    refused({"image", "import", "/dev/null", "x"}, 1, "it is not a tar archive");
    refused({"load", "-i", text}, 1, "is not a tar archive");
    refused({"load"}, 1, "archive", "");
    refused({"load", "-i", write("x.tar", TarBuilder().file("x").finish())}, 1,
            "is not an image archive: it has neither manifest.json (docker save) nor index.json");
}

TEST_F(BadInput, a_truncated_archive_is_refused) {
    const std::string tar =
        TarBuilder().file("first", std::string(20'000, 'a')).file("second", "b").finish();
    const std::pair<const char*, std::string> kCut[] = {
        {"truncated", tar.substr(0, 10'000)},
        {"truncated", tar.substr(0, tar.size() - 2048)},
        {"truncated", image::gzip(tar).substr(0, image::gzip(tar).size() / 2)},
        {"truncated", image::zstd(tar).substr(0, image::zstd(tar).size() / 2)},
    };
    for (const auto& [sentence, bytes] : kCut) {
        refused({"image", "import", write("cut", bytes), "x"}, 1, sentence);
        refused({"image", "import", "-", "x"}, 1, sentence, bytes);
    }
    const std::string docker =
        image::tar_of(image::docker_archive({{tar, tar + "x"}}, "app:1"));
    refused({"load", "-i", write("cut", docker.substr(0, 30'000))}, 1, "truncated");
}

TEST_F(BadInput, a_wrong_digest_names_expected_and_got) {
    const TestImage image{{TarBuilder().file("one").finish(), TarBuilder().file("two").finish()}};
    auto files = image::oci_layout(image, "app", image::gzip);
    const std::string blob =
        "blobs/sha256/" + image::digest_of(image::gzip(image.tars[1])).substr(7);
    ASSERT_TRUE(files.contains(blob));
    const std::string other = image::gzip(TarBuilder().file("evil").finish());
    files[blob] = other;
    refused({"load", "-i", write("x.tar", image::tar_of(files))}, 1,
            blob + " has digest " + image::digest_of(other) + " instead of sha256:" +
                blob.substr(strlen("blobs/sha256/")));
    files = image::docker_archive(image, "app");
    files["layer1/layer.tar"][600] ^= 1;
    const std::string got = image::digest_of(files["layer1/layer.tar"]);
    refused({"load", "-i", write("x.tar", image::tar_of(files))}, 1,
            "has digest " + got + " instead of " + image::digest_of(image.tars[1]));
}

TEST_F(BadInput, an_archive_does_not_climb_out) {
    const std::string outside = node->dir() + "/outside";
    fs::create_directory(outside);
    const std::pair<std::string, const char*> kBad[] = {
        {TarBuilder().file("../escaped").finish(), "\"..\""},
        {TarBuilder().file("a/../../escaped").finish(), "\"..\""},
        {TarBuilder().file(outside + "/escaped").finish(), "absolute"},
        {TarBuilder().link("link", outside).file("link/escaped").finish(), "symbolic link"},
        {TarBuilder().link("link", "..").file("link/escaped").finish(), "symbolic link"},
        {TarBuilder().link("a", "/").link("b", "a").dir("b/escaped").finish(), "symbolic link"},
        {TarBuilder().hard("link", "../../escaped").finish(), "\"..\""},
        {TarBuilder().link("l", outside).hard("hard", "l/file").finish(), "entry hard"},
        {TarBuilder().device("zero", '3', 0, 0).finish(), "entry zero"},
    };
    write("outside/file", "secret");
    for (const auto& [tar, sentence] : kBad) {
        refused({"image", "import", write("bad.tar", tar), "x"}, 1, sentence);
        const TestImage image{{TarBuilder().file("fine").finish(), tar}};
        refused({"load", "-i", write("bad.tar", image::tar_of(image::docker_archive(image, "x")))},
                1, sentence);
    }
    EXPECT_FALSE(fs::exists(outside + "/escaped"));
    EXPECT_EQ(read_text(outside + "/file"), "secret");
    EXPECT_FALSE(fs::exists(node->dir() + "/escaped"));
    EXPECT_FALSE(fs::exists(node->state_dir() + "/plugins/storage/escaped"));
    fs::remove_all(outside);
}

TEST_F(BadInput, an_archive_over_a_limit_is_refused) {
    // Those of size and number of entries are too large to be met here: see unpack_test.cc.
    const std::string name(300, 'n');
    refused(
        {"image", "import",
         write("x.tar", TarBuilder().add({.name = "n", .pax = {{"path", name}}}).finish()), "x"},
        1, "a component of more than 255 bytes in its name");
    TestImage many;
    for (int i = 0; i < 128; ++i)
        many.tars.push_back(TarBuilder().file(std::to_string(i)).finish());
    refused({"load", "-i", write("x.tar", image::tar_of(image::docker_archive(many, "x")))}, 1,
            "127 layers");
    auto files = image::docker_archive({{TarBuilder().file("x").finish()}}, "x");
    for (auto& [path, content] : files) {
        if (path.ends_with(".json") && path != "manifest.json")
            content += std::string(600'000, ' ');
    }
    refused({"load", "-i", write("x.tar", image::tar_of(files))}, 1,
            "has more than 524288 bytes");
}

// ----------------------------------------------------------------------------------------------
// RPC

/// What noded answers to raw bytes on its socket until it hangs up.
std::string say(const TestNode& node, const std::string& bytes) {
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    strncpy(address.sun_path, (node.runtime_dir() + "/noded.sock").c_str(),
            sizeof address.sun_path - 1);
    EXPECT_EQ(connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    const timeval patience{5, 0};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    EXPECT_EQ(send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(bytes.size()));
    std::string answer;
    char buffer[4096];
    ssize_t size = 0;
    while ((size = recv(fd, buffer, sizeof buffer, 0)) > 0)
        answer.append(buffer, static_cast<size_t>(size));
    EXPECT_EQ(size, 0) << "noded did not hang up: " << strerror(errno);
    close(fd);
    return answer;
}

std::string frame_header(std::initializer_list<uint32_t> words) {
    std::string bytes(words.size() * sizeof(uint32_t), '\0');
    memcpy(bytes.data(), words.begin(), bytes.size());
    return bytes;
}

TEST_F(BadInput, a_message_over_the_limit_is_told_so_and_hung_up_on) {
    // One segment of 8 MiB and a word; of it nothing is ever sent.
    const std::string answer = say(*node, frame_header({0, (8 << 20) / 8 + 1}));
    EXPECT_NE(answer.find("the limit is 8388608"), std::string::npos) << answer;
}

TEST_F(BadInput, bytes_that_are_no_message_are_hung_up_on) {
    say(*node, frame_header({0xffffffff, 1}));
    say(*node, "GET / HTTP/1.1\r\nHost: noded\r\n\r\n");
    say(*node, frame_header({0, 2}) + std::string(16, '\xff'));
    // One segment whose root points far outside of it.
    say(*node, frame_header({0, 1}) + std::string("\xfc\xff\xff\x7f\x01\x00\x01\x00", 8));
}

/// A client that speaks the schema, but does what nodectl does not.
struct RawClient {
    explicit RawClient(const TestNode& node)
        : session("unix:" + node.runtime_dir() + "/noded.sock") {
        const Status connected = session.connect();
        EXPECT_TRUE(connected) << connected.error().message;
    }
    nodectl::Session session;
};

TEST_F(BadInput, a_command_over_the_limit_is_refused) {
    RawClient raw(*node);
    nodectl::Payload<schema::TagImage> command;
    command.root.setSource("busybox");
    command.root.setTarget(std::string(2 << 20, 'x'));
    const auto caused =
        raw.session.wait_caused(raw.session.submit(nodectl::mint_command_id(), command));
    ASSERT_FALSE(caused);
    EXPECT_NE(caused.error().message.find("a command has at most"), std::string::npos)
        << caused.error().message;
}

TEST_F(BadInput, commands_that_no_plugin_knows_and_ids_that_are_none_are_refused) {
    RawClient raw(*node);
    auto request = raw.session.node().submitRequest();
    request.initCommand().setType(4711);
    auto response = raw.session.wait<capnp::Response<schema::Node::SubmitResults>>(request.send());
    ASSERT_FALSE(response);
    EXPECT_NE(response.error().message.find("a command id has 32 bytes, this one has 0"),
              std::string::npos)
        << response.error().message;
    request = raw.session.node().submitRequest();
    auto command = request.initCommand();
    command.initId(32)[0] = 1;
    command.initPayload(13);
    response = raw.session.wait<capnp::Response<schema::Node::SubmitResults>>(request.send());
    ASSERT_FALSE(response);
    EXPECT_NE(response.error().message.find("words of 8 bytes, this one has 13 bytes"),
              std::string::npos)
        << response.error().message;
    // The id of none, and words that would move the cursor of whoever reads the history.
    nodectl::Payload<schema::TagImage> tag;
    const auto zeros = raw.session.wait_caused(raw.session.submit(CommandId{}, tag));
    ASSERT_FALSE(zeros);
    EXPECT_NE(zeros.error().message.find("mint 32 random bytes"), std::string::npos)
        << zeros.error().message;
    for (const std::string& client : {std::string("a\x1b[2J"), std::string(65, 'x')}) {
        auto said = raw.session.node().submitRequest();
        const CommandId id = nodectl::mint_command_id();
        said.initCommand().setId(kj::arrayPtr(id.bytes.data(), id.bytes.size()));
        said.getCommand().setClient(client);
        auto told = raw.session.wait<capnp::Response<schema::Node::SubmitResults>>(said.send());
        ASSERT_FALSE(told);
        EXPECT_NE(told.error().message.find("says of itself"), std::string::npos)
            << told.error().message;
    }
    // A struct that is an event, not a command.
    nodectl::Payload<schema::ImageRemoved> event;
    event.root.setId(node->ok({"images", "-q", "--no-trunc"}));
    const auto caused =
        raw.session.wait_caused(raw.session.submit(nodectl::mint_command_id(), event));
    ASSERT_FALSE(caused);
    EXPECT_FALSE(caused.error().message.empty());
}

TEST_F(BadInput, the_same_command_sent_again_is_answered_but_not_done_again) {
    const auto id = nodectl::mint_command_id();
    nodectl::Payload<schema::RunContainer> command;
    command.root.initSpec().setImage("busybox");
    auto argv = command.root.getSpec().initCommand(2);
    argv.set(0, "sleep");
    argv.set(1, "1000");
    nodectl::Caused first;
    {
        RawClient raw(*node);
        auto twice = raw.session.submit(id, command);
        const auto caused = raw.session.wait_caused(raw.session.submit(id, command));
        const auto again = raw.session.wait_caused(kj::mv(twice));
        ASSERT_TRUE(caused && again);
        EXPECT_GT(caused->first, 0u);
        EXPECT_EQ(caused->first, again->first);
        EXPECT_EQ(caused->last, again->last);
        first = *caused;
    }
    RawClient raw(*node);
    const auto later = raw.session.wait_caused(raw.session.submit(id, command));
    ASSERT_TRUE(later);
    EXPECT_EQ(later->first, first.first);
    EXPECT_EQ(node->ok({"ps", "-aq", "--no-trunc"}), id.hex());
}

TEST(Retry, is_harmless_across_a_kill_and_a_restart) {
    TestNode node;
    node.start();
    node.import_busybox();
    const auto id = nodectl::mint_command_id();
    nodectl::Payload<schema::TagImage> command;
    command.root.setSource("busybox");
    command.root.setTarget("other");
    uint64_t seq = 0;
    for (const bool crash : {true, false, true}) {
        RawClient raw(node);
        const auto caused = raw.session.wait_caused(raw.session.submit(id, command));
        ASSERT_TRUE(caused) << caused.error().message;
        if (seq == 0) seq = caused->first;
        EXPECT_EQ(caused->first, seq);
        EXPECT_EQ(caused->last, seq);
        if (crash) node.kill();
        else node.stop();
        node.start();
    }
}

}  // namespace
}  // namespace noded::test

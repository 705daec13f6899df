// The reference grammar against docker's own answers.
#include "plugins/storage/image/reference.h"

#include <gtest/gtest.h>

namespace noded::image {

TEST(ImageReference, names_are_normalised_as_docker_does) {
    struct Case {
        const char* text;
        const char* name;
        const char* familiar;
    };
    const std::string digest = "sha256:" + std::string(64, 'a');
    const std::string pinned = "busybox@" + digest;
    const std::string both = "host:5000/a/b:tag@" + digest;
    const Case cases[] = {
        {"busybox", "docker.io/library/busybox", "busybox:latest"},
        {"busybox:1.36", "docker.io/library/busybox", "busybox:1.36"},
        {"library/busybox", "docker.io/library/busybox", "busybox:latest"},
        {"docker.io/busybox", "docker.io/library/busybox", "busybox:latest"},
        {"index.docker.io/library/busybox", "docker.io/library/busybox", "busybox:latest"},
        {"user/app:v1", "docker.io/user/app", "user/app:v1"},
        {"docker.io/user/app", "docker.io/user/app", "user/app:latest"},
        {"localhost/app", "localhost/app", "localhost/app:latest"},
        {"host:5000/app", "host:5000/app", "host:5000/app:latest"},
        {"quay.io/a/b/c:x_y.z-1", "quay.io/a/b/c", "quay.io/a/b/c:x_y.z-1"},
        {"[2001:db8::1]:5000/app", "[2001:db8::1]:5000/app", "[2001:db8::1]:5000/app:latest"},
        {"HOST/app", "HOST/app", "HOST/app:latest"},
        {"a--b/c__d.e", "docker.io/a--b/c__d.e", "a--b/c__d.e:latest"},
        {"docker.io/library/a/b", "docker.io/library/a/b", "library/a/b:latest"},
        {pinned.c_str(), "docker.io/library/busybox", pinned.c_str()},
        {both.c_str(), "host:5000/a/b", both.c_str()},
    };
    for (const Case& one : cases) {
        auto reference = parse_reference(one.text);
        ASSERT_TRUE(reference) << one.text << ": " << reference.error().message;
        EXPECT_EQ(reference->name(), one.name) << one.text;
        EXPECT_EQ(reference->familiar(), one.familiar) << one.text;
        EXPECT_EQ(parse_reference(reference->familiar()), *reference) << one.text;
    }
}

TEST(ImageReference, invalid_ones_are_refused_with_dockers_words) {
    const std::string bad_digest = "a@sha256:" + std::string(63, 'a');
    const std::string long_tag = "a:" + std::string(129, 't');
    for (const std::string& text : {std::string(""),
                                    std::string(":tag"),
                                    std::string("a:"),
                                    std::string("a:b:c d"),
                                    std::string("a b"),
                                    std::string("/a"),
                                    std::string("a/"),
                                    std::string("a//b"),
                                    std::string("-a"),
                                    std::string("a-"),
                                    std::string("a___b"),
                                    std::string("a..b"),
                                    std::string("host:port/a"),
                                    std::string("a@sha256:12"),
                                    std::string("a@md5:") + std::string(32, 'a'),
                                    std::string("-host.x/a"),
                                    std::string("a\n"),
                                    std::string("../a"),
                                    std::string("a:.x"),
                                    std::string("\xc3\xa9"),
                                    bad_digest,
                                    long_tag}) {
        auto reference = parse_reference(text);
        ASSERT_FALSE(reference) << text;
        EXPECT_EQ(reference.error().message, "invalid reference format") << text;
    }
    EXPECT_EQ(parse_reference("Busybox").error().message,
              "invalid reference format: repository name (library/Busybox) must be lowercase");
    EXPECT_EQ(parse_reference(std::string(64, 'a')).error().message,
              "invalid repository name (" + std::string(64, 'a') +
                  "), cannot specify 64-byte hexadecimal strings");
    EXPECT_EQ(parse_reference(std::string(256, 'a')).error().message,
              "repository name must not be more than 255 characters");
}

}  // namespace noded::image

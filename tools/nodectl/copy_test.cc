// Where nodectl cp puts what it copies: each row of docker's documentation.
#include <gtest/gtest.h>

#include "tools/nodectl/copy_plan.h"

namespace noded::nodectl {
namespace {

TEST(CopyEnd, a_colon_makes_it_a_containers) {
    EXPECT_EQ(parse_copy_end("web:/etc").container, "web");
    EXPECT_EQ(parse_copy_end("web:etc:x").path, "etc:x");
    EXPECT_TRUE(parse_copy_end("./web:/etc").local());
    EXPECT_TRUE(parse_copy_end("/web:/etc").local());
    EXPECT_TRUE(parse_copy_end("plain").local());
    EXPECT_TRUE(parse_copy_end("-").stream());
}

std::string plan(const CopySource& source, const CopyTarget& target) {
    const auto made = plan_copy(source, target);
    return made ? made->directory + " " + made->name : "! " + made.error().message;
}

const CopySource kFile{"/s/f", "f", false};
const CopySource kFolder{"/s/d", "d", true};
const CopySource kContent{"/s/d/.", "d", true};

TEST(CopyPlan, a_file) {
    EXPECT_EQ(plan(kFile, {"/t/n", "/t/n", false, false}), "/t n");
    EXPECT_EQ(plan(kFile, {"/t/n/", "/t/n", false, false}),
              "! /t/n/: the destination directory must exist");
    EXPECT_EQ(plan(kFile, {"/t/g", "/t/g", true, false}), "/t g");
    EXPECT_EQ(plan(kFile, {"/t/g/", "/t/g", true, false}), "! /t/g/: not a directory");
    EXPECT_EQ(plan(kFile, {"/t", "/t", true, true}), "/t f");
    EXPECT_EQ(plan({"/s/f/", "f", false}, {"/t", "/t", true, true}), "! /s/f/: not a directory");
    EXPECT_EQ(plan(kFile, {"/n", "/n", false, false}), "/ n");
}

TEST(CopyPlan, a_directory) {
    EXPECT_EQ(plan(kFolder, {"/t/n", "/t/n", false, false}), "/t n");
    EXPECT_EQ(plan(kFolder, {"/t/n/", "/t/n", false, false}), "/t n");
    EXPECT_EQ(plan(kContent, {"/t/n", "/t/n", false, false}), "/t n");
    EXPECT_EQ(plan(kFolder, {"/t/g", "/t/g", true, false}),
              "! cannot copy a directory to the file /t/g");
    EXPECT_EQ(plan(kFolder, {"/t", "/t", true, true}), "/t d");
    EXPECT_EQ(plan(kContent, {"/t", "/t", true, true}), "/t .");
    EXPECT_EQ(plan({"/", "/", true}, {"/t", "/t", true, true}), "/t .");
    EXPECT_EQ(plan(kFile, {"/t/link", "/else/real", true, false}), "/else real");
}

}  // namespace
}  // namespace noded::nodectl

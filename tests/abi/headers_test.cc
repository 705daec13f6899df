// The headers as a stranger's compiler sees them: each alone, in C and in C++, without a warning;
// and all of them together short enough to be read in one sitting.
#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

namespace {

namespace fs = std::filesystem;

constexpr const char* kFolder = "plugins/abi";
constexpr long kLinesMax = 799;

std::vector<std::string> headers() {
    std::vector<std::string> found;
    for (const auto& entry : fs::directory_iterator(kFolder))
        if (entry.path().extension() == ".h") found.push_back(entry.path());
    return found;
}

bool compiles(const std::string& compiler, const std::string& header) {
    const std::string line = "echo '#include \"" + header + "\"' | " + compiler +
                             " -Wall -Wextra -pedantic -Werror -fsyntax-only -I. -";
    return system(line.c_str()) == 0;
}

TEST(AbiHeaders, each_compiles_alone_as_c11_and_as_cpp) {
    ASSERT_GE(headers().size(), 3u);
    for (const std::string& header : headers()) {
        EXPECT_TRUE(compiles("gcc -x c -std=c11", header)) << header;
        EXPECT_TRUE(compiles("g++ -x c++ -std=c++11", header)) << header;
    }
}

TEST(AbiHeaders, all_together_are_below_800_lines) {
    long lines = 0;
    for (const std::string& header : headers()) {
        std::ifstream file(header);
        lines += std::count(std::istreambuf_iterator<char>(file), {}, '\n');
    }
    EXPECT_GT(lines, 100);
    EXPECT_LE(lines, kLinesMax);
}

}  // namespace

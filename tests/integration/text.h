// Looking at what programs printed.
#pragma once

#include <sstream>
#include <string>
#include <vector>

namespace noded::test {

inline bool says(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

inline std::vector<std::string> lines_of(const std::string& text) {
    std::istringstream in(text);
    std::vector<std::string> lines;
    for (std::string line; std::getline(in, line);) lines.push_back(line);
    return lines;
}

}  // namespace noded::test

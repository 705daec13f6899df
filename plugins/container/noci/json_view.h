// JsonView: a place in a JSON document that somebody else wrote. It is read by type; the first
// thing that has another type than the one asked for becomes an error that names its path, and
// everything after it reads as absent. null is absent and names may be in any case, as in the
// language whose programs write these files.
#pragma once

#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "agent/base/result.h"

namespace noded::noci {

using Json = nlohmann::ordered_json;

class JsonView {
public:
    /// `error` outlives all views of the document; it is set once.
    JsonView(const Json* value, std::string path, std::string* error)
        : value_(value != nullptr && !value->is_null() ? value : nullptr),
          path_(std::move(path)),
          error_(error) {}

    explicit operator bool() const { return value_ != nullptr; }
    const Json& json() const;
    const std::string& path() const { return path_; }

    JsonView operator[](const char* key) const;
    /// Of a list; none if it is absent.
    std::vector<JsonView> items() const;
    /// Of an object, in its order.
    std::vector<std::pair<std::string, JsonView>> members() const;

    std::string text() const;
    bool flag() const;
    int64_t integer() const { return number(std::numeric_limits<int64_t>::min()); }
    uint32_t u32() const;
    uint64_t u64() const;
    double real() const;
    std::vector<std::string> texts() const;

    /// Notes what is wrong here.
    void wrong(const std::string& what) const;

private:
    int64_t number(int64_t least) const;
    bool is(bool right, const char* wanted) const;

    const Json* value_;
    std::string path_;
    std::string* error_;
};

/// The document in a file. Errors: it cannot be read, is longer than `bytes_max`, is no JSON.
Result<Json> read_json(const std::string& path, size_t bytes_max);
Result<Json> parse_json(const std::string& text, const std::string& name);
/// Up to the end of what is open already; `name` is for the sentence.
Result<std::string> read_all(int fd, const std::string& name, size_t bytes_max);
Result<std::string> read_whole(const std::string& path, size_t bytes_max);
/// An existing file, with one write.
Status write_file(const std::string& path, std::string_view text);

}  // namespace noded::noci

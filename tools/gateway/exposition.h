// Exposition: metrics as text, in Prometheus' format 0.0.4 or as OpenMetrics 1.0.0. Pure.
//
//     Exposition out(Format::text);
//     out.family("node_load1", Type::gauge, "1m load average.");
//     out.sample("", 0.5);
//
// Formats: prometheus.io/docs/instrumenting/exposition_formats, and OpenMetrics' specification.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

namespace noded::gateway {

enum class Format { text, openmetrics };
enum class Type { counter, gauge, histogram };

/// `a="b",c="d"`, for sample(). Values may be any bytes: what is no UTF-8 becomes U+FFFD, since one
/// bad byte would cost the whole scrape.
std::string labels(std::initializer_list<std::pair<std::string_view, std::string_view>> pairs);
/// As a value of `le`.
std::string number(double value);
/// `text` as a label's name, or the rest of one: letters, digits and underscores. Each other
/// character is one underscore, as cAdvisor has it.
std::string name_part(std::string_view text);

class Exposition {
public:
    explicit Exposition(Format format) : format_(format) {}

    /// What follows belongs to it. A counter's name ends with "_total".
    void family(std::string_view name, Type type, std::string_view help);
    void sample(std::string_view labels, double value);
    /// Of a histogram: `suffix` is "_bucket", "_sum" or "_count".
    void sample(std::string_view suffix, std::string_view labels, double value);
    /// All of it, with OpenMetrics' last line.
    std::string take();

    static const char* content_type(Format format);

private:
    const Format format_;
    std::string family_;     ///< its name
    std::string head_;       ///< its lines before the first sample
    std::string text_;
};

}  // namespace noded::gateway

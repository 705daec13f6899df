// redis: SET, pipelined (RESP 2). Answers come in the order of the requests.
#include <cstdio>
#include <deque>

#include "bench/node/peer_load.h"

namespace noded::bench {
namespace {

class Redis final : public Protocol {
public:
    bool request(uint64_t number, std::string& out) override {
        char key[17];
        snprintf(key, sizeof key, "%016llx", static_cast<unsigned long long>(number));
        out += "*3\r\n$3\r\nSET\r\n$16\r\n";
        out += key;
        out += "\r\n$" + std::to_string(value_.size()) + "\r\n" + value_ + "\r\n";
        order_.push_back(number);
        return true;
    }
    Status answers(std::string& in, std::string&,
                   const std::function<void(uint64_t)>& each) override {
        constexpr std::string_view kOk = "+OK\r\n";
        size_t at = 0;
        for (; in.size() - at >= kOk.size(); at += kOk.size()) {
            if (in.compare(at, kOk.size(), kOk) != 0) return fail("redis says " + in.substr(at));
            each(order_.front());
            order_.pop_front();
        }
        in.erase(0, at);
        return {};
    }

private:
    const std::string value_ = std::string(kValueBytes, 'v');
    std::deque<uint64_t> order_;
};

}  // namespace

Status redis_load(const Arguments& arguments) {
    return peer_load(arguments, [] { return std::make_unique<Redis>(); });
}

}  // namespace noded::bench

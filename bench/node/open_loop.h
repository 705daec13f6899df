// An open-loop client: calls leave by the clock, one per millisecond, whether the earlier ones were
// answered or not, and each one's time counts from when it was due. So the longest of them shows
// how long the node stood still. Reads are sent in turn with commands, which wait for the disk,
// too.
//
// What happens in the node meanwhile says a derived class. Used by snapshot_pause.cc,
// late_pause.cc.
#pragma once

#include <kj/async-unix.h>
#include <kj/timer.h>

#include <string>

#include "bench/node/harness.h"

namespace noded::bench {

class OpenLoop : private kj::TaskSet::ErrorHandler {
public:
    OpenLoop(schema::Node::Client node, kj::Timer& timer, const Arguments& arguments)
        : node_(std::move(node)), timer_(timer), objects_(arguments.objects) {}
    virtual ~OpenLoop() = default;

    /// Sends until what is looked at has happened, and a little before and after.
    kj::Promise<void> run();
    const std::string& trouble() const { return trouble_; }
    bool happened() const { return happened_us_ != 0; }
    /// `from_us`: when it began.
    void print(double from_us) const;
    void print() const { print(begin_us_); }

protected:
    static constexpr uint64_t kEventsPerPut = 32;

    /// A read of the node, whose answer tells whether it has happened.
    virtual kj::Promise<bool> ask() = 0;
    /// Once, half a second after the beginning.
    virtual void begin() {}
    schema::Node::Client& node() { return node_; }
    /// What was waited for so far.
    void forget() { read_max_us_ = put_max_us_ = 0; }

private:
    kj::Promise<void> tick(int64_t number);
    kj::Promise<void> read(double due);
    kj::Promise<void> change(double due);
    void taskFailed(kj::Exception&& error) override { trouble_ = error.getDescription().cStr(); }

    schema::Node::Client node_;
    kj::Timer& timer_;
    const uint64_t objects_;
    const uint64_t first_id_ = static_cast<uint64_t>(now_us() * 1000);
    uint64_t puts_ = 0;
    bool begun_ = false;
    double begin_us_ = 0, happened_us_ = 0;
    double read_max_us_ = 0, read_max_due_us_ = 0, put_max_us_ = 0;
    size_t calls_ = 0;
    std::string trouble_;
    kj::TaskSet sent_{*this};
};

}  // namespace noded::bench

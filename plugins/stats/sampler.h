// Sampler: when samples are taken, and who waits for one.
//
// Nothing happens while nobody asks or subscribes. The first question starts a tick; each question
// keeps it going for limits::interest_ns; subscribers have times of their own (streams.h); then the
// collector's files are closed again. A sample is taken on the offload lane, one at a time; the
// newest few of those for questions are kept, so that a question is answered at once. Everything
// here runs on the reactor.
#pragma once

#include <deque>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "plugins/sdk/host.h"
#include "plugins/stats/collector.h"
#include "plugins/stats/state.h"
#include "plugins/stats/streams.h"

namespace noded::stats {

/// A call of Stats.read.
struct Question {
    uint64_t token = 0;
    std::set<std::string> containers;  ///< ids or names; all if empty
    uint64_t after = 0;
    bool once = false;  ///< one sample that begins later than the question; see stats.capnp
    int64_t once_due_ns = 0;
    uint64_t once_take = 0;  ///< the number of the first sample that is new enough
    /// Of a container that has just started there is no pair of samples yet; one that has none
    /// after this seq will not get one.
    uint64_t enough_seq = 0;

    bool wants(const std::string& id, const std::string& name) const {
        return containers.empty() || containers.contains(id) ||
               (!name.empty() && containers.contains(name));
    }
    bool wants_pair() const { return after == 0 && !once; }
};

class Sampler {
public:
    Sampler(const sdk::Host& host, const State& state, std::shared_ptr<Collector> collector)
        : host_(host), state_(state), collector_(std::move(collector)), streams_(host) {}

    /// Begins to look at subscriptions.
    void watch_topics();
    /// A container has started: it is counted for in the kernel. Costs the same however many run.
    void has_started(const std::string& id);
    /// One has ended: packets need not be counted any longer, if it was the last one in the node's
    /// network. All else that the kernel has of it goes with the next look at all.
    void one_has_ended();
    /// There may be some that run.
    void look_at_all();
    /// The same a moment later, for a node that has nothing to count yet.
    void look_soon();
    /// Answers now or later.
    void ask(Question question);
    void forget(uint64_t token);
    void status(schema::StatsStatus::Builder out) const;
    void stop();

private:
    static void on_tick(void* self, void* argument) noexcept;
    static void on_topics(void* self, void* argument) noexcept;

    bool answerable(const Question& question) const;
    bool complete(const Question& question) const;
    void answer(const Question& question);
    void answer_with(const Question& question, std::span<const Sample* const> samples);
    void answer_once(const Sample& sample, uint64_t take);
    void know(KernelState state);
    void take();
    void taken(Sample sample, bool asked, uint64_t take);
    void keep(Sample sample);
    void publish(const Sample& sample);
    void look_at_topics();
    int64_t asked_due_ns(int64_t now_ns) const;
    int64_t once_due_ns() const;
    void schedule();
    void go_on();
    void next();
    void rest();
    void retry();
    void look_at_containers();
    void be_idle();

    const sdk::Host host_;
    const State& state_;
    const std::shared_ptr<Collector> collector_;  ///< belongs to the job that is under way
    std::deque<std::shared_ptr<const Sample>> samples_;  ///< oldest first
    Sample spare_;  ///< one that nobody needs any more: its memory is the next one's
    std::vector<Question> waiting_;
    Streams streams_;
    int64_t interest_until_ns_ = 0;
    uint64_t seq_ = 0;
    uint64_t takes_ = 0;  ///< samples begun
    uint64_t timer_ = 0;
    bool busy_ = false;  ///< a job is under way
    bool stopped_ = false;
    bool resting_ = true;  ///< the collector's files are closed
    bool following_ = false;  ///< the scheduler's programs are attached
    int64_t files_until_ns_ = 0;  ///< they stay open for those who ask once, and again
    bool publishing_ = false;
    bool topics_changed_ = false;  ///< meanwhile
    /// not looked at yet: a job is under way, or the lane is full
    std::vector<Target> started_;
    bool shares_network_ = false;     ///< one ran in the node's network, and may still
    bool all_changed_ = false;        ///< all that run are to be looked at
    size_t looks_since_all_ = 0;      ///< at some of them, which do not tell which are gone
    KernelState kernel_;
};

}  // namespace noded::stats

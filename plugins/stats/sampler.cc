// When samples are taken, and who waits for one; see sampler.h.
#include "plugins/stats/sampler.h"

#include <algorithm>
#include <utility>

#include "agent/base/check.h"
#include "plugins/sdk/message.h"
#include "plugins/stats/encode.h"
#include "plugins/stats/limits.h"

namespace noded::stats {

void Sampler::ask(Question question) {
    if (waiting_.size() >= limits::questions_waiting_max)
        return host_.refuse(question.token, NODED_REJECT_BUSY,
                            "so many calls wait for a sample already, try again");
    const int64_t now = host_.monotonic_ns();
    interest_until_ns_ = now + limits::interest_ns;
    // What is older would be the average of a time that nobody asked about.
    if (!samples_.empty() && now - samples_.back()->monotonic_ns > limits::fresh_ns)
        samples_.clear();
    question.enough_seq = seq_ + (busy_ ? 1 : 0) + limits::samples_kept;
    if (answerable(question)) return answer(question);
    waiting_.push_back(std::move(question));
    schedule();
}

void Sampler::forget(uint64_t token) {
    std::erase_if(waiting_, [&](const Question& question) { return question.token == token; });
}

bool Sampler::answerable(const Question& question) const {
    if (samples_.empty()) return false;
    if (question.wants_pair())
        return samples_.size() >= limits::samples_kept &&
               (seq_ >= question.enough_seq || complete(question));
    // After a restart of noded the numbers begin anew: what follows is then any sample.
    return seq_ > question.after || question.after >= question.enough_seq;
}

/// Every container that runs and is asked for is in all samples.
bool Sampler::complete(const Question& question) const {
    return std::ranges::all_of(state_.containers, [&](const auto& entry) {
        const auto& [id, container] = entry;
        if (container.pid == 0 || !question.wants(id, container.name)) return true;
        return std::ranges::all_of(samples_, [&](const auto& sample) {
            const auto row = sample->runs.find(id);
            return row != sample->runs.end() && row->second == container.run;
        });
    });
}

void Sampler::answer(const Question& question) {
    const auto wanted = [&](const ContainerFigures& row) {
        return question.wants(row.id, row.name);
    };
    sdk::Message<schema::Stats::ReadResults> results;
    const size_t count = question.wants_pair() ? samples_.size() : 1;
    auto list = results->initSamples(unsigned(count));
    for (unsigned i = 0; i < count; ++i)
        write_sample(*samples_[samples_.size() - count + i], wanted, list[i]);
    host_.respond(question.token, results);
}

void Sampler::take() {
    CHECK(!busy_);
    resting_ = false;
    const int64_t now = host_.monotonic_ns();
    const bool asked = asked_due_ns(now) <= now;
    auto targets = state_.targets();
    if (!asked) streams_.mark_wanted(now, targets);
    const bool node_wanted = asked || streams_.node_wanted(now);
    auto sample = std::make_shared<Sample>();
    auto work = [sample, collector = collector_, targets = std::move(targets), node_wanted] {
        *sample = collector->take(targets, node_wanted);
    };
    auto done = [this, sample, asked] { taken(std::move(*sample), asked); };
    busy_ = host_.offload(std::move(work), std::move(done));
    // A full lane is asked again.
    if (!busy_) timer_ = host_.start_timer(limits::first_pair_ns, on_tick, this);
}

/// One job for all that start while another is under way; each sample does the same.
void Sampler::look_at_containers() {
    containers_changed_ = busy_;
    if (busy_ || stopped_) return;
    auto state = std::make_shared<KernelState>();
    busy_ = host_.offload(
        [state, collector = collector_, targets = state_.targets()] {
            *state = collector->watch(targets);
        },
        [this, state] {
            kernel_ = std::move(*state);
            go_on();
        });
}

/// After a job.
void Sampler::go_on() {
    busy_ = false;
    if (stopped_) return;
    if (containers_changed_) return look_at_containers();
    const bool idle = asked_due_ns(host_.monotonic_ns()) == INT64_MAX && !streams_.due_ns();
    if (!idle) schedule();
    else if (!resting_) rest();
}

void Sampler::taken(Sample sample, bool asked) {
    if (stopped_) return;
    kernel_ = sample.kernel;
    publish(sample);
    if (asked) keep(std::move(sample));
    go_on();
}

/// For those who ask by RPC.
void Sampler::keep(Sample sample) {
    sample.seq = ++seq_;
    samples_.push_back(std::make_shared<const Sample>(std::move(sample)));
    if (samples_.size() > limits::samples_kept) samples_.pop_front();
    std::vector<Question> still;
    for (Question& question : waiting_) {
        if (answerable(question)) answer(question);
        else still.push_back(std::move(question));
    }
    waiting_ = std::move(still);
}

/// A send may tell of new subscriptions in its middle.
void Sampler::publish(const Sample& sample) {
    publishing_ = true;
    streams_.publish(sample, host_.monotonic_ns());
    publishing_ = false;
    if (topics_changed_) look_at_topics();
}

void Sampler::look_at_topics() {
    publishing_ = true;  // notices are sends, too
    do {
        topics_changed_ = false;
        streams_.refresh(state_);
    } while (topics_changed_);
    publishing_ = false;
}

void Sampler::watch_topics() {
    host_.watch_topics(on_topics, this);
    on_topics(nullptr, this);
}

void Sampler::on_topics(void*, void* argument) noexcept {
    auto& sampler = *static_cast<Sampler*>(argument);
    sampler.topics_changed_ = true;
    if (sampler.publishing_ || sampler.stopped_) return;
    sampler.look_at_topics();
    if (sampler.streams_.due_ns()) sampler.schedule();
}

/// When those who ask need the next sample: a tick after the last one, or sooner if somebody waits
/// for a pair; never while nobody asks.
int64_t Sampler::asked_due_ns(int64_t now_ns) const {
    if (waiting_.empty() && now_ns >= interest_until_ns_) return INT64_MAX;
    if (samples_.empty()) return now_ns;
    const bool hurry = std::ranges::any_of(waiting_, &Question::wants_pair);
    return samples_.back()->monotonic_ns + (hurry ? limits::first_pair_ns : limits::tick_ns);
}

void Sampler::schedule() {
    if (busy_ || stopped_) return;
    if (timer_ != 0) host_.stop_timer(timer_);
    timer_ = 0;
    const int64_t now = host_.monotonic_ns();
    const int64_t due = std::min(asked_due_ns(now), streams_.due_ns().value_or(INT64_MAX));
    if (due == INT64_MAX) return;
    if (due <= now) return take();
    timer_ = host_.start_timer(due - now, on_tick, this);
}

void Sampler::on_tick(void*, void* argument) noexcept {
    auto& sampler = *static_cast<Sampler*>(argument);
    sampler.timer_ = 0;
    if (!sampler.stopped_ && !sampler.busy_) sampler.take();
}

/// Should the lane be full the files stay open until the next time.
void Sampler::rest() {
    busy_ = host_.offload([collector = collector_] { collector->release(); }, [this] { go_on(); });
    resting_ = busy_;
}

void Sampler::status(schema::StatsStatus::Builder out) const {
    const auto fill = [](capnp::List<capnp::Text>::Builder list,
                         const std::vector<std::string>& texts) {
        for (unsigned i = 0; i < list.size(); ++i) list.set(i, sdk::text(texts[i]));
    };
    auto sources = collector_->sources();
    auto warnings = collector_->warnings();
    if (!kernel_.source.empty()) sources.push_back(kernel_.source);
    if (!kernel_.warning.empty()) warnings.push_back(kernel_.warning);
    fill(out.initSources(unsigned(sources.size())), sources);
    fill(out.initWarnings(unsigned(warnings.size())), warnings);
    out.setContainers(uint32_t(state_.running()));
    out.setSamples(seq_);
    out.setSampling(timer_ != 0 || busy_);
    if (samples_.empty()) return;
    out.setOpenFiles(out.getSampling() ? uint32_t(samples_.back()->open_files) : 0);
    out.setSampleNs(samples_.back()->took_ns);
}

void Sampler::stop() {
    stopped_ = true;
    if (timer_ != 0) host_.stop_timer(timer_);
    timer_ = 0;
}

}  // namespace noded::stats

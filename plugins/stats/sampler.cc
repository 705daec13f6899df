// When samples are taken, and who waits for one; see sampler.h.
#include "plugins/stats/sampler.h"

#include <algorithm>

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
    auto sample = std::make_shared<Sample>();
    auto work = [sample, collector = collector_, targets = state_.targets()] {
        *sample = collector->take(targets);
    };
    auto done = [this, sample] { taken(std::move(*sample)); };
    busy_ = host_.offload(std::move(work), std::move(done));
    // A full lane is asked again.
    if (!busy_) timer_ = host_.start_timer(limits::first_pair_ns, on_tick, this);
}

void Sampler::taken(Sample sample) {
    busy_ = false;
    if (stopped_) return;
    sample.seq = ++seq_;
    samples_.push_back(std::make_shared<const Sample>(std::move(sample)));
    if (samples_.size() > limits::samples_kept) samples_.pop_front();
    std::vector<Question> still;
    for (Question& question : waiting_) {
        if (answerable(question)) answer(question);
        else still.push_back(std::move(question));
    }
    waiting_ = std::move(still);
    if (waiting_.empty() && host_.monotonic_ns() >= interest_until_ns_) return rest();
    schedule();
}

/// The next sample, a tick after the last one, or sooner if somebody waits for a pair.
void Sampler::schedule() {
    if (busy_ || stopped_) return;
    if (timer_ != 0) host_.stop_timer(timer_);
    timer_ = 0;
    if (samples_.empty()) return take();
    const bool hurry = std::ranges::any_of(waiting_, &Question::wants_pair);
    const int64_t due_ns =
        samples_.back()->monotonic_ns + (hurry ? limits::first_pair_ns : limits::tick_ns);
    timer_ = host_.start_timer(std::max<int64_t>(due_ns - host_.monotonic_ns(), 1), on_tick, this);
}

void Sampler::on_tick(void*, void* argument) noexcept {
    auto& sampler = *static_cast<Sampler*>(argument);
    sampler.timer_ = 0;
    if (!sampler.stopped_ && !sampler.busy_) sampler.take();
}

/// Should the lane be full the files stay open until the next time.
void Sampler::rest() {
    busy_ = host_.offload([collector = collector_] { collector->release(); },
                          [this] {
                              busy_ = false;
                              if (!waiting_.empty()) schedule();
                          });
}

void Sampler::status(schema::StatsStatus::Builder out) const {
    const auto fill = [](capnp::List<capnp::Text>::Builder list,
                         const std::vector<std::string>& texts) {
        for (unsigned i = 0; i < list.size(); ++i) list.set(i, sdk::text(texts[i]));
    };
    fill(out.initSources(unsigned(collector_->sources().size())), collector_->sources());
    fill(out.initWarnings(unsigned(collector_->warnings().size())), collector_->warnings());
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

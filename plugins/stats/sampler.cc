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
    if (question.once) {
        question.once_due_ns = now + limits::once_gather_ns;
        question.once_take = takes_ + 1;
        files_until_ns_ = now + limits::once_keep_ns;
        waiting_.push_back(std::move(question));
        return schedule();
    }
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
    if (question.once || samples_.empty()) return false;
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
    const size_t count = question.wants_pair() ? samples_.size() : 1;
    std::vector<const Sample*> newest;
    for (size_t i = samples_.size() - count; i < samples_.size(); ++i)
        newest.push_back(samples_[i].get());
    answer_with(question, newest);
}

void Sampler::answer_with(const Question& question, std::span<const Sample* const> samples) {
    // What has ended since the samples were taken is not told of as if it ran.
    const auto wanted = [&](const ContainerFigures& row) {
        if (!question.wants(row.who->id, row.who->name)) return false;
        const auto found = state_.containers.find(row.who->id);
        return found != state_.containers.end() && found->second.pid != 0;
    };
    sdk::Message<schema::Stats::ReadResults> results;
    auto list = results->initSamples(unsigned(samples.size()));
    for (unsigned i = 0; i < list.size(); ++i) write_sample(*samples[i], wanted, list[i]);
    host_.respond(question.token, results);
}

/// Such a sample is not kept: between it and the next one may be too little time for a rate.
void Sampler::answer_once(const Sample& sample, uint64_t take) {
    const Sample* const one[] = {&sample};
    std::vector<Question> still;
    for (Question& question : std::exchange(waiting_, {})) {
        if (question.once && question.once_take <= take) answer_with(question, one);
        else still.push_back(std::move(question));
    }
    waiting_ = std::move(still);
}

void Sampler::take() {
    CHECK(!busy_);
    resting_ = false;
    const int64_t now = host_.monotonic_ns();
    const bool asked = asked_due_ns(now) <= now;
    const bool once = once_due_ns() <= now;
    auto targets = state_.targets();
    if (!asked && !once && !streams_.wants_all(now)) targets = streams_.marked(now, *targets);
    const bool node_wanted = asked || once || streams_.node_wanted(now);
    auto sample = std::make_shared<Sample>(std::move(spare_));
    spare_ = {};
    // Who asks once sees what is always counted: programs on a hot path are for those who stay, and
    // have to do with containers.
    const bool follow = asked_due_ns(now) != INT64_MAX || streams_.wants_containers();
    const bool pair = asked && std::ranges::any_of(waiting_, &Question::wants_pair);
    auto work = [sample, collector = collector_, targets = std::move(targets), node_wanted, follow,
                 pair] {
        if (pair) collector->read_pressure_anew();
        collector->take(targets, node_wanted, follow, *sample);
    };
    auto done = [this, sample, asked, number = takes_ + 1] {
        taken(std::move(*sample), asked, number);
    };
    busy_ = host_.offload(std::move(work), std::move(done));
    if (!busy_) return retry();
    ++takes_;
    following_ = follow;
}

/// What this machine lacks is in the node's log once, too.
void Sampler::know(KernelState state) {
    if (!state.warning.empty() && state.warning != kernel_.warning) host_.warn(state.warning);
    kernel_ = std::move(state);
}

/// The lane was full.
void Sampler::retry() {
    if (timer_ == 0) timer_ = host_.start_timer(limits::lane_full_ns, on_tick, this);
}

void Sampler::has_started(const std::string& id) {
    if (auto target = state_.target(id)) {
        shares_network_ |= target->host_network;
        started_.push_back(std::move(*target));
    }
    look_at_containers();
}

/// It may be out of the state already.
void Sampler::one_has_ended() {
    if (shares_network_ && !state_.shares_network()) look_at_all();
}

void Sampler::look_at_all() {
    shares_network_ = state_.shares_network();
    all_changed_ = true;
    look_at_containers();
}

/// One job for all that start while another is under way; each sample looks at all.
void Sampler::look_at_containers() {
    if (busy_ || stopped_) return;
    const bool all = all_changed_ || looks_since_all_ >= limits::looks_between_all;
    const auto targets =
        all ? state_.targets()
            : std::make_shared<const std::vector<Target>>(std::exchange(started_, {}));
    started_.clear();
    all_changed_ = false;
    looks_since_all_ = all ? 0 : looks_since_all_ + 1;
    auto state = std::make_shared<KernelState>();
    busy_ = host_.offload(
        [state, collector = collector_, targets, all] {
            *state = all ? collector->watch(*targets) : collector->watch_more(*targets);
        },
        [this, state] {
            know(std::move(*state));
            go_on();
        });
    if (busy_) return;
    all_changed_ = true;
    retry();
}

/// To load the programs takes a tenth of a second of a core: a node that starts has better use for
/// it.
void Sampler::look_soon() {
    all_changed_ = true;
    if (timer_ == 0) timer_ = host_.start_timer(limits::first_look_ns, on_tick, this);
}

/// After a job.
void Sampler::go_on() {
    busy_ = false;
    next();
}

void Sampler::next() {
    if (busy_ || stopped_) return;
    if (all_changed_ || !started_.empty()) return look_at_containers();
    const bool idle = asked_due_ns(host_.monotonic_ns()) == INT64_MAX &&
                      once_due_ns() == INT64_MAX && !streams_.due_ns();
    if (!idle) schedule();
    else if (!resting_) be_idle();
}

void Sampler::taken(Sample sample, bool asked, uint64_t take) {
    if (stopped_) return;
    know(sample.kernel);
    publish(sample);
    answer_once(sample, take);
    if (asked) keep(std::move(sample));
    else spare_ = std::move(sample);
    go_on();
}

/// For those who ask by RPC.
void Sampler::keep(Sample sample) {
    sample.seq = ++seq_;
    for (const ContainerFigures& row : sample.containers) sample.runs.emplace(row.who->id, row.run);
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
    const bool waits = std::ranges::any_of(waiting_, [](const auto& one) { return !one.once; });
    if (!waits && now_ns >= interest_until_ns_) return INT64_MAX;
    if (samples_.empty()) return now_ns;
    const bool hurry = std::ranges::any_of(waiting_, &Question::wants_pair);
    return samples_.back()->monotonic_ns + (hurry ? limits::first_pair_ns : limits::tick_ns);
}

/// Questions that come together are answered by one sample, so the first waits a moment.
int64_t Sampler::once_due_ns() const {
    int64_t due = INT64_MAX;
    for (const Question& question : waiting_)
        if (question.once) due = std::min(due, question.once_due_ns);
    return due;
}

void Sampler::schedule() {
    if (busy_ || stopped_) return;
    if (timer_ != 0) host_.stop_timer(timer_);
    timer_ = 0;
    const int64_t now = host_.monotonic_ns();
    const int64_t due = std::min({asked_due_ns(now), once_due_ns(),
                                  streams_.due_ns().value_or(INT64_MAX)});
    if (due == INT64_MAX) return;
    if (due <= now) return take();
    timer_ = host_.start_timer(due - now, on_tick, this);
}

void Sampler::on_tick(void*, void* argument) noexcept {
    auto& sampler = *static_cast<Sampler*>(argument);
    sampler.timer_ = 0;
    sampler.next();
}

/// Nobody is waited for. Files are closed when nobody asked for a while.
void Sampler::be_idle() {
    const int64_t now = host_.monotonic_ns();
    if (now >= files_until_ns_) return rest();
    if (following_) {
        busy_ = host_.offload([collector = collector_] { collector->follow_scheduler(false); },
                              [this] { go_on(); });
        following_ = !busy_;
        return busy_ ? void() : retry();
    }
    if (timer_ != 0) host_.stop_timer(timer_);
    timer_ = host_.start_timer(files_until_ns_ - now, on_tick, this);
}

void Sampler::rest() {
    busy_ = host_.offload([collector = collector_] { collector->release(); }, [this] { go_on(); });
    if (!busy_) return retry();
    resting_ = true;
    following_ = false;
    spare_ = {};
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
    out.setSampling(asked_due_ns(host_.monotonic_ns()) != INT64_MAX || streams_.due_ns() || busy_);
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

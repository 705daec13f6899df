// See stats_files.h.
#include "tools/nodectl/stats_files.h"

#include <unistd.h>

#include "plugins/stats/encode.h"
#include "tools/nodectl/container_call.h"

namespace noded::nodectl {
namespace {

constexpr int64_t kFirstPauseMs = 250;   ///< enough for a rate
constexpr int64_t kPauseMs = 1000;

Result<std::unique_ptr<stats::Counters>> count_nothing(const std::string&) {
    return fail("programs are the plugin's");
}

}  // namespace

StatsFiles::StatsFiles(Session& session)
    : session_(session), collector_(stats::linux_sys(count_nothing)) {}

Result<stats::Targets> StatsFiles::targets() {
    const ContainerList list = TRY(ContainerList::fetch(session_));
    std::vector<Inspected> asked;   // the list has no pids
    for (const auto& state : list.states())
        if (state.getPhase() == schema::Phase::RUNNING)
            asked.push_back(send_inspect(session_, state.getId().cStr()));
    std::vector<stats::Target> found;
    for (Inspected& one : asked) {
        const auto answer = session_.wait(kj::mv(one));
        if (!answer && Session::is_lost(answer.error())) return std::unexpected(answer.error());
        if (!answer) continue;   // it is gone
        const auto state = answer->getState();
        if (state.getPid() == 0) continue;
        auto& who = known_[state.getId().cStr()];
        if (!who || who->name != state.getName().cStr())
            who = std::make_shared<stats::Who>(
                stats::Who{state.getId().cStr(), state.getName().cStr(),
                           state.getSpec().getImageName().cStr(), state.getCreatedSeq()});
        found.push_back({who, state.getRun(), state.getPid(), state.getPidStartTime(),
                         std::string_view(state.getSpec().getNetwork().cStr()) == "host"});
    }
    return std::make_shared<const std::vector<stats::Target>>(std::move(found));
}

Result<stats::Sample> StatsFiles::take(int64_t pause_ms) {
    usleep(static_cast<useconds_t>(pause_ms * 1000));
    stats::Sample sample;
    collector_.take(TRY(targets()), true, false, sample);
    sample.seq = ++seq_;
    return sample;
}

Result<std::unique_ptr<capnp::MessageBuilder>> StatsFiles::read() {
    std::vector<stats::Sample> samples;
    const bool first = seq_ == 0;
    samples.push_back(TRY(take(first ? 0 : kPauseMs)));
    if (first) samples.push_back(TRY(take(kFirstPauseMs)));
    auto message = std::make_unique<capnp::MallocMessageBuilder>();
    auto list = message->initRoot<schema::Stats::ReadResults>().initSamples(
        static_cast<unsigned>(samples.size()));
    const auto all = [](const stats::ContainerFigures&) { return true; };
    for (unsigned i = 0; i < list.size(); ++i) stats::write_sample(samples[i], all, list[i]);
    return std::unique_ptr<capnp::MessageBuilder>(std::move(message));
}

}  // namespace noded::nodectl

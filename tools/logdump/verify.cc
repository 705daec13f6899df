// logdump verify: judges every byte of a log, its archives and its snapshots, and lists all that is
// wrong.
#include <unistd.h>

#include <algorithm>

#include "tools/logdump/command.h"

namespace noded::logdump {

namespace {

struct Verdict {
    History history;
    std::vector<ArchiveSummary> archives;
    std::vector<SnapshotSummary> snapshots;
};

Result<Verdict> judge(log::Storage& storage) {
    Verdict verdict;
    verdict.history = TRY(read_history(storage, 0, [](const log::Record&) { return true; }));
    verdict.archives = TRY(judge_archives(storage, verdict.history));
    verdict.snapshots = TRY(judge_snapshots(storage, verdict.history));
    return verdict;
}

void print_verdict(const Verdict& verdict) {
    const History& history = verdict.history;
    for (const SegmentSummary& segment : history.segments) {
        printf("%s: ", segment.file.c_str());
        if (segment.first_seq == 0)
            printf("no valid header, ");
        else
            printf("from seq %llu, ", static_cast<unsigned long long>(segment.first_seq));
        printf("%llu events, used up to byte %llu of %llu\n",
               static_cast<unsigned long long>(segment.records),
               static_cast<unsigned long long>(segment.end),
               static_cast<unsigned long long>(segment.bytes));
    }
    for (const ArchiveSummary& archive : verdict.archives) {
        const bool told =
            std::ranges::find(history.segments, archive.file, &SegmentSummary::file) !=
            history.segments.end();
        if (told || archive.segment_bytes == 0) continue;
        printf("%s: seq %llu to %llu, %s\n", archive.file.c_str(),
               static_cast<unsigned long long>(archive.first_seq),
               static_cast<unsigned long long>(archive.last_seq),
               archive.beside ? "whose segment is still there"
                              : "passed over: nothing leads on from it to the log");
    }
    for (const SnapshotSummary& snapshot : verdict.snapshots) {
        if (!snapshot.valid) continue;
        printf("%s: seq %llu, %zu sections\n", snapshot.file.c_str(),
               static_cast<unsigned long long>(snapshot.seq), snapshot.sections);
    }
    if (!history.notice.empty()) printf("%s\n", history.notice.c_str());
}

}  // namespace

int verify(Arguments& arguments) {
    const auto storage = open_directory(arguments);
    if (!storage) return failed(storage.error());
    auto verdict = judge(**storage);
    // What noded writes, renames or removes just now can look wrong once, damage does so again.
    for (int i = 0; i < 2 && verdict && !verdict->history.damages.empty(); ++i) {
        usleep(100'000);
        verdict = judge(**storage);
    }
    if (!verdict) return failed(verdict.error());
    print_verdict(*verdict);
    const History& history = verdict->history;
    tell_damages(history);
    const std::string events =
        history.records == 0 ? "no events"
                             : std::to_string(history.records) + " events, seq " +
                                   std::to_string(history.oldest_seq) + " to " +
                                   std::to_string(history.last_seq);
    if (history.damages.empty()) {
        printf("sound: %s\n", events.c_str());
        return kDone;
    }
    const size_t places = history.damages.size();
    printf("damaged in %zu place%s: %s can be read\n", places, places == 1 ? "" : "s",
           events.c_str());
    return kDamaged;
}

}  // namespace noded::logdump

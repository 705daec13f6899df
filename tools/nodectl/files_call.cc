// See files_call.h.
#include "tools/nodectl/files_call.h"

#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <map>
#include <thread>

#include "plugins/sdk/tree/write_tree.h"

namespace noded::nodectl {
namespace {

using Params = schema::Container::FilesParams;

StreamCall send(Session& session, const FilesAsk& ask, Fd fd) {
    Payload<Params> params;
    params.root.setContainer(ask.container);
    auto job = params.root.initJob();
    job.setVerb(ask.verb);
    job.setPath(ask.path);
    job.setFollow(ask.follow);
    return session.call_with_stream<schema::Container>("container", "files", params,
                                                       std::move(fd));
}

/// Until there comes no more.
Status carry(int from, int to) {
    char buffer[64 << 10];
    for (;;) {
        const ssize_t got = read(from, buffer, sizeof buffer);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return fail_errno(errno, "read what is to be copied");
        if (got == 0) return {};
        TRY_STATUS(tree::write_fully(to, {reinterpret_cast<const uint8_t*>(buffer), size_t(got)},
                                     "write what is copied"));
    }
}

}  // namespace

Result<PathInfo> stat_in_container(Session& session, const std::string& container,
                                   const std::string& path, bool follow) {
    auto request = session.container().filesRequest();
    request.setContainer(container);
    auto job = request.initJob();
    job.setVerb(schema::FilesVerb::STAT);
    job.setPath(path);
    job.setFollow(follow);
    const auto response = TRY(session.wait(request.send()));
    const auto result = response.getResult();
    return PathInfo{result.getExists(), result.getMode(), result.getPath().cStr()};
}

Status files_through(Session& session, const FilesAsk& ask, Fd fd) {
    if (!session.elsewhere()) {
        TRY(session.wait(send(session, ask, std::move(fd))));
        return {};
    }
    const bool into = ask.verb == schema::FilesVerb::WRITE;
    return files_with(session, ask, [&](int stream) {
        return into ? carry(fd.get(), stream) : carry(stream, fd.get());
    });
}

Status files_with(Session& session, const FilesAsk& ask, const std::function<Status(int)>& work) {
    signal(SIGPIPE, SIG_IGN);  // a job that failed does not read to the end
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
        return fail_errno(errno, "make a socket pair");
    const Fd ours(ends[0]);
    auto call = send(session, ask, Fd(ends[1]));
    Status worked;
    std::atomic<bool> failed_here = false;
    std::thread worker([&] {
        worked = work(ours.get());
        failed_here = !worked;
        // The job sees the end of what we had to say, or that nobody listens.
        shutdown(ours.get(), worked ? SHUT_WR : SHUT_RDWR);
    });
    const auto answer = session.wait(kj::mv(call));
    const bool ours_first = failed_here;
    // What is still in the socket is read; a worker that waits for more, or for room, goes on. From
    // another machine the answer may be here before the bytes: their end comes behind them.
    if (!answer || !session.elsewhere()) shutdown(ours.get(), answer ? SHUT_RD : SHUT_RDWR);
    worker.join();
    if (!answer && !ours_first) return std::unexpected(answer.error());
    return worked;
}

Result<std::vector<FileSizes>> file_sizes(Session& session,
                                          const std::vector<std::string>& containers,
                                          const std::vector<std::string>& images) {
    if (session.in_the_past())
        return fail("sizes of containers' files are not in the log of events, so only of what is "
                    "there now: leave --at away, or the sizes");
    std::vector<FileSizes> sizes(containers.size());
    const auto list = TRY(session.wait(session.storage().listImagesRequest().send()));
    std::map<std::string, uint64_t> image_bytes;
    for (const auto image : list.getImages())
        image_bytes[image.getId().cStr()] = image.getSizeBytes();
    std::vector<capnp::RemotePromise<schema::Container::FilesResults>> asked;
    constexpr size_t at_once = 32;  // each is a process for a moment
    for (size_t begin = 0; begin < containers.size(); begin += at_once) {
        const size_t end = std::min(begin + at_once, containers.size());
        asked.clear();
        for (size_t i = begin; i < end; ++i) {
            auto request = session.container().filesRequest();
            request.setContainer(containers[i]);
            request.initJob().setVerb(schema::FilesVerb::SIZE);
            asked.push_back(request.send());
        }
        for (size_t i = begin; i < end; ++i) {
            const auto answer = session.wait(kj::mv(asked[i - begin]));
            if (!answer && Session::is_lost(answer.error())) return std::unexpected(answer.error());
            sizes[i] = {answer ? answer->getResult().getSize() : 0, image_bytes[images[i]]};
        }
    }
    return sizes;
}

}  // namespace noded::nodectl

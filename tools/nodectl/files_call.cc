// See files_call.h.
#include "tools/nodectl/files_call.h"

#include <signal.h>
#include <sys/socket.h>

#include <atomic>
#include <cerrno>
#include <thread>

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
    TRY(session.wait(send(session, ask, std::move(fd))));
    return {};
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
    // What is still in the socket is read; a worker that waits for more, or for room, goes on.
    shutdown(ours.get(), answer ? SHUT_RD : SHUT_RDWR);
    worker.join();
    if (!answer && !ours_first) return std::unexpected(answer.error());
    return worked;
}

std::vector<uint64_t> bytes_written(Session& session, const std::vector<std::string>& containers) {
    std::vector<capnp::RemotePromise<schema::Container::FilesResults>> asked;
    std::vector<uint64_t> bytes;
    constexpr size_t at_once = 32;  // each is a process for a moment
    for (size_t next = 0; next < containers.size();) {
        asked.clear();
        for (; next < containers.size() && asked.size() < at_once; ++next) {
            auto request = session.container().filesRequest();
            request.setContainer(containers[next]);
            request.initJob().setVerb(schema::FilesVerb::SIZE);
            asked.push_back(request.send());
        }
        for (auto& one : asked) {
            const auto answer = session.wait(kj::mv(one));
            bytes.push_back(answer ? answer->getResult().getSize() : 0);
        }
    }
    return bytes;
}

}  // namespace noded::nodectl

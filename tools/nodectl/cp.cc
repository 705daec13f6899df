// nodectl cp: files between a container and this machine, by docker's rules (copy_plan.h). What is
// copied travels as a tar; with "-" that tar is the input or the output itself.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdlib>
#include <cstring>

#include "plugins/container/files/job.h"
#include "plugins/sdk/tree/extract.h"
#include "plugins/sdk/tree/write_tree.h"
#include "tools/nodectl/copy_plan.h"
#include "tools/nodectl/files_call.h"
#include "tools/nodectl/units.h"
#include "tools/nodectl/verb.h"

namespace noded::nodectl {
namespace {

constexpr int kLinksMax = 40;

struct CopyOptions {
    bool archive = false;
    bool follow = false;
    bool quiet = false;
};

std::unexpected<Error> no_such_file(const std::string& path, const std::string& container) {
    return fail("Could not find the file " + path + " in container " + container);
}

/// docker's wording, which names what was done on what.
std::unexpected<Error> lstat_error(const std::string& path) {
    const int error = errno;
    if (error == ENOENT) return fail("lstat " + path + ": no such file or directory");
    return fail_errno(error, "lstat " + path);
}

std::string absolute(const std::string& path) {
    if (path.starts_with('/')) return files::clean_path(path);
    char here[PATH_MAX];
    if (getcwd(here, sizeof here) == nullptr) return files::clean_path("/" + path);
    return files::clean_path(std::string(here) + "/" + path);
}

/// Where the links at the end of a path of this machine lead; what is there need not exist.
Result<std::string> follow_links(std::string path) {
    for (int links = 0; links < kLinksMax; ++links) {
        char target[PATH_MAX];
        const ssize_t size = readlink(path.c_str(), target, sizeof target);
        if (size < 0) return path;
        const std::string link(target, size_t(size));
        path = files::clean_path(link.starts_with('/') ? link
                                                       : files::directory_of(path) + "/" + link);
    }
    return fail_errno(ELOOP, "follow the links at " + path);
}

Result<CopyTarget> local_target(const std::string& path) {
    CopyTarget target;
    target.path = path;
    target.real = TRY(follow_links(absolute(path)));
    struct stat info {};
    if (stat(target.real.c_str(), &info) != 0) {
        if (errno != ENOENT) return fail_errno(errno, "look at " + path);
        return target;
    }
    target.exists = true;
    target.is_directory = S_ISDIR(info.st_mode);
    return target;
}

void say_done(const CopyOptions& options, uint64_t bytes, const std::string& where) {
    // docker's rule: who reads the output with a program wants no more than errors.
    if (!options.quiet && isatty(STDOUT_FILENO) != 0 && isatty(STDERR_FILENO) != 0)
        write_all(STDERR_FILENO,
                  "Successfully copied " + human_size(bytes) + " to " + where + "\n");
}

Status copy_out(Session& session, const CopyEnd& from, const std::string& to,
                const CopyOptions& options) {
    const bool follow = options.follow || files::asks_for_directory(from.path);
    FilesAsk ask{schema::FilesVerb::READ, from.container, from.path, follow};
    if (to == "-") {
        // The archive's entry has the name of what a link leads to, as docker's.
        if (options.follow && !files::asks_for_directory(from.path)) {
            const PathInfo info = TRY(stat_in_container(session, from.container, from.path, true));
            if (info.exists) ask.path = info.path;
        }
        Fd out(fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3));
        return files_through(session, ask, std::move(out));
    }
    const PathInfo info = TRY(stat_in_container(session, from.container, from.path, follow));
    if (!info.exists) return no_such_file(from.path, from.container);
    const CopySource source{from.path, files::base_of(files::clean_path(from.path)),
                            S_ISDIR(info.mode)};
    const CopyPlan plan = TRY(plan_copy(source, TRY(local_target(to))));
    const Fd dir(open(plan.directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!dir.valid())
        return fail("invalid output path: directory \"" + plan.directory + "\" does not exist");
    tree::ExtractOptions extract;
    extract.root_name = plan.name;
    extract.owners = options.archive;
    extract.xattrs = options.archive && geteuid() == 0;
    uint64_t bytes = 0;
    TRY_STATUS(files_with(session, ask, [&](int stream) -> Status {
        bytes = TRY(tree::extract(stream, {dir.get(), "."}, extract)).bytes;
        return {};
    }));
    say_done(options, bytes, absolute(to));
    return {};
}

struct LocalSource {
    CopySource source;
    Fd dir;
    std::string name;  ///< in `dir`
};

Result<LocalSource> open_source(const std::string& path, bool follow) {
    LocalSource opened;
    std::string real = absolute(path);
    opened.source.path = path;
    opened.source.name = files::base_of(real);
    if (follow) {
        char resolved[PATH_MAX];
        if (realpath(real.c_str(), resolved) == nullptr) return lstat_error(path);
        real = resolved;
    }
    opened.dir.reset(open(files::directory_of(real).c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!opened.dir.valid()) return lstat_error(path);
    opened.name = real == "/" ? "." : files::base_of(real);
    struct stat info {};
    if (fstatat(opened.dir.get(), opened.name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0)
        return lstat_error(path);
    opened.source.is_directory = S_ISDIR(info.st_mode);
    return opened;
}

Status copy_in(Session& session, const std::string& from, const CopyEnd& to,
               const CopyOptions& options) {
    const PathInfo info = TRY(stat_in_container(session, to.container, to.path, true));
    const bool is_directory = info.exists && S_ISDIR(info.mode);
    FilesAsk ask{schema::FilesVerb::WRITE, to.container, info.path, false};
    if (from == "-") {
        if (!is_directory)
            return fail("destination \"" + to.container + ":" + to.path + "\" must be a directory");
        return files_through(session, ask, Fd(fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)));
    }
    const LocalSource local =
        TRY(open_source(from, options.follow || files::asks_for_directory(from)));
    const CopyPlan plan =
        TRY(plan_copy(local.source, {to.path, info.path, info.exists, is_directory}));
    ask.path = plan.directory;
    tree::WriteOptions write;
    write.root_name = plan.name;
    write.owners = options.archive;
    write.xattrs = options.archive;
    tree::raise_descriptor_limit();
    uint64_t bytes = 0;
    const Status copied = files_with(session, ask, [&](int stream) -> Status {
        tree::TarWriter out(stream);
        TRY_STATUS(tree::write_tree(out, local.dir.get(), local.name, write));
        TRY_STATUS(out.finish());
        bytes = out.bytes();
        return {};
    });
    if (!copied && copied.error().message.starts_with("Could not find the file "))
        return no_such_file(plan.directory, to.container);
    TRY_STATUS(copied);
    say_done(options, bytes, to.container + ":" + to.path);
    return {};
}

Status copy(Session& session, const CopyEnd& from, const CopyEnd& to, const CopyOptions& options) {
    if (!from.local() && !to.local()) return fail("copying between containers is not supported");
    if (from.local() && to.local()) return fail("must specify at least one container source");
    if (!from.local()) return copy_out(session, from, to.path, options);
    return copy_in(session, from.path, to, options);
}

}  // namespace

int cp(Invocation& call) {
    CopyOptions options;
    const Option table[] = {
        {'a', "archive", &options.archive, "", "Archive mode (copy all uid/gid information)"},
        {'L', "follow-link", &options.follow, "", "Always follow symbol link in SRC_PATH"},
        {'q', "quiet", &options.quiet, "",
         "Don't say what was copied (so without a terminal, too)"},
    };
    if (const auto status = call.parse(table, {.min = 2, .max = 2})) return *status;
    for (const std::string& argument : call.arguments)
        if (argument.empty()) return call.failed(Error{0, "a path to copy cannot be empty"});
    OR_FAIL_STATUS(call, copy(call.session, parse_copy_end(call.arguments[0]),
                              parse_copy_end(call.arguments[1]), options));
    return 0;
}

}  // namespace noded::nodectl

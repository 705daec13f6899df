// See systemd.h.
#include "plugins/container/noci/systemd.h"

#include <dbus/dbus.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>

// libdbus as an archive asks for these for servers whose sockets systemd has opened, which nothing
// here is; libsystemd, which has them, is no archive.
extern "C" {
int sd_listen_fds(int);
int sd_is_socket(int, int, int, int);
int sd_listen_fds(int) { return 0; }
int sd_is_socket(int, int, int, int) { return 0; }
}

namespace noded::noci {
namespace {

constexpr const char* kAddress = "unix:path=/run/systemd/private";
constexpr const char* kName = "org.freedesktop.systemd1";
constexpr const char* kObject = "/org/freedesktop/systemd1";
constexpr const char* kManager = "org.freedesktop.systemd1.Manager";
constexpr int kAnswerMs = 30'000;
constexpr int kJobMs = 30'000;

struct Unref {
    void operator()(DBusMessage* message) const { dbus_message_unref(message); }
};
using Message = std::unique_ptr<DBusMessage, Unref>;

/// Frees what libdbus noted.
struct Trouble {
    Trouble() { dbus_error_init(&error); }
    ~Trouble() { dbus_error_free(&error); }
    Trouble(const Trouble&) = delete;
    Trouble& operator=(const Trouble&) = delete;
    DBusError error;
};

Message new_call(const char* method) {
    return Message(dbus_message_new_method_call(kName, kObject, kManager, method));
}

/// Those that somebody here acts on by the errno.
int code_of(std::string_view name) {
    if (name.ends_with(".UnitExists")) return EEXIST;
    if (name.ends_with(".NoSuchUnit")) return ENOENT;
    return 0;
}

Result<Message> ask(DBusConnection* connection, const Message& call) {
    Trouble trouble;
    Message answer(dbus_connection_send_with_reply_and_block(connection, call.get(), kAnswerMs,
                                                             &trouble.error));
    if (answer) return answer;
    return std::unexpected(Error{code_of(trouble.error.name), trouble.error.message});
}

/// Memory is all that these can lack, and then the process ends anyway.
class Writer {
public:
    explicit Writer(DBusMessage* message) { dbus_message_iter_init_append(message, &at_); }
    Writer(Writer& outer, int type, const char* signature) : outer_(&outer) {
        dbus_message_iter_open_container(&outer.at_, type, signature, &at_);
    }
    ~Writer() {
        if (outer_ != nullptr) dbus_message_iter_close_container(&outer_->at_, &at_);
    }
    Writer(const Writer&) = delete;
    Writer& operator=(const Writer&) = delete;

    void text(const std::string& value) {
        const char* start = value.c_str();
        dbus_message_iter_append_basic(&at_, DBUS_TYPE_STRING, &start);
    }
    void basic(int type, const void* value) { dbus_message_iter_append_basic(&at_, type, value); }

private:
    Writer* outer_ = nullptr;
    DBusMessageIter at_;
};

template <typename T>
void write_list(Writer& out, int type, const char* signature, const std::vector<T>& values) {
    Writer list(out, DBUS_TYPE_ARRAY, signature);
    for (const T& value : values) list.basic(type, &value);
}

/// Of a variant: its type first.
struct ValueWriter {
    Writer& out;

    void basic(int type, const char* signature, const void* value) const {
        Writer(out, DBUS_TYPE_VARIANT, signature).basic(type, value);
    }
    void operator()(bool value) const {
        const dbus_bool_t word = value ? 1 : 0;
        basic(DBUS_TYPE_BOOLEAN, "b", &word);
    }
    void operator()(int32_t value) const { basic(DBUS_TYPE_INT32, "i", &value); }
    void operator()(uint32_t value) const { basic(DBUS_TYPE_UINT32, "u", &value); }
    void operator()(int64_t value) const { basic(DBUS_TYPE_INT64, "x", &value); }
    void operator()(uint64_t value) const { basic(DBUS_TYPE_UINT64, "t", &value); }
    void operator()(const std::string& value) const {
        Writer(out, DBUS_TYPE_VARIANT, "s").text(value);
    }
    void operator()(const std::vector<uint8_t>& values) const {
        Writer variant(out, DBUS_TYPE_VARIANT, "ay");
        write_list(variant, DBUS_TYPE_BYTE, "y", values);
    }
    void operator()(const std::vector<uint32_t>& values) const {
        Writer variant(out, DBUS_TYPE_VARIANT, "au");
        write_list(variant, DBUS_TYPE_UINT32, "u", values);
    }
    void operator()(const std::vector<std::string>& values) const {
        Writer variant(out, DBUS_TYPE_VARIANT, "as");
        Writer list(variant, DBUS_TYPE_ARRAY, "s");
        for (const std::string& value : values) list.text(value);
    }
    void operator()(const std::vector<DeviceAllow>& values) const {
        Writer variant(out, DBUS_TYPE_VARIANT, "a(ss)");
        Writer list(variant, DBUS_TYPE_ARRAY, "(ss)");
        for (const auto& [path, rights] : values) {
            Writer pair(list, DBUS_TYPE_STRUCT, nullptr);
            pair.text(path);
            pair.text(rights);
        }
    }
};

void write_properties(Writer& out, const std::vector<UnitProperty>& properties) {
    Writer list(out, DBUS_TYPE_ARRAY, "(sv)");
    for (const UnitProperty& property : properties) {
        Writer pair(list, DBUS_TYPE_STRUCT, nullptr);
        pair.text(property.name);
        std::visit(ValueWriter{pair}, property.value);
    }
}

Result<std::string> job_of(const Message& answer) {
    Trouble trouble;
    const char* job = nullptr;
    if (dbus_message_get_args(answer.get(), &trouble.error, DBUS_TYPE_OBJECT_PATH, &job,
                              DBUS_TYPE_INVALID) == 0)
        return fail(trouble.error.message);
    return std::string(job);
}

}  // namespace

void Systemd::Close::operator()(DBusConnection* connection) const {
    dbus_connection_close(connection);
    dbus_connection_unref(connection);
}

Result<Systemd> Systemd::connect() {
    // SIGPIPE as it is: what is ignored stays so in the container.
    dbus_connection_set_change_sigpipe(0);
    Trouble trouble;
    DBusConnection* connection = dbus_connection_open_private(kAddress, &trouble.error);
    if (connection == nullptr)
        return fail(std::string("connect to systemd: ") + trouble.error.message);
    dbus_connection_set_exit_on_disconnect(connection, 0);
    Systemd systemd(connection);
    TRY_STATUS(systemd.greet());
    return systemd;
}

/// systemd reads up to 256 bytes to find the end of the greeting, and then waits for more to come:
/// a whole message among them it sees only with the next one. So the first one is longer.
Status Systemd::greet() {
    constexpr size_t longer = 1024;
    const Message ping(
        dbus_message_new_method_call(kName, kObject, "org.freedesktop.DBus.Peer", "Ping"));
    Writer(ping.get()).text(std::string(longer, ' '));
    const auto answer = ask(connection_.get(), ping);
    // What it thinks of the text is of no interest.
    if (answer || dbus_connection_get_is_connected(connection_.get()) != 0) return {};
    return context(answer.error(), "connect to systemd");
}

Result<std::string> Systemd::await_job(const std::string& job, const std::string& unit) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(kJobMs);
    for (;;) {
        while (const Message heard{dbus_connection_pop_message(connection_.get())}) {
            const char *path = nullptr, *name = nullptr, *result = nullptr;
            dbus_uint32_t number = 0;
            if (dbus_message_is_signal(heard.get(), kManager, "JobRemoved") != 0 &&
                dbus_message_get_args(heard.get(), nullptr, DBUS_TYPE_UINT32, &number,
                                      DBUS_TYPE_OBJECT_PATH, &path, DBUS_TYPE_STRING, &name,
                                      DBUS_TYPE_STRING, &result, DBUS_TYPE_INVALID) != 0 &&
                job == path)
                return std::string(result);
        }
        const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
            end - std::chrono::steady_clock::now());
        if (left.count() <= 0)
            return fail("systemd did not come to an end with " + unit + " in " +
                        std::to_string(kJobMs / 1000) + " s");
        if (dbus_connection_read_write(connection_.get(), int(left.count())) == 0)
            return fail("systemd closed the connection while it worked on " + unit);
    }
}

void Systemd::forget_failure(const std::string& unit) {
    const Message call = new_call("ResetFailedUnit");
    Writer(call.get()).text(unit);
    // There is none, mostly.
    (void)ask(connection_.get(), call);
}

Status Systemd::start(const std::string& unit, const std::vector<UnitProperty>& properties) {
    const Message call = new_call("StartTransientUnit");
    {
        Writer out(call.get());
        out.text(unit);
        out.text("replace");
        write_properties(out, properties);
        const Writer auxiliary(out, DBUS_TYPE_ARRAY, "(sa(sv))");
    }
    auto answer = ask(connection_.get(), call);
    if (!answer && answer.error().code == EEXIST) {
        forget_failure(unit);
        const Message again(dbus_message_copy(call.get()));
        answer = ask(connection_.get(), again);
    }
    const auto named = [&](const Error& error) {
        return context(error, "unable to start unit \"" + unit + "\"");
    };
    if (!answer) return named(answer.error());
    const auto job = job_of(*answer);
    if (!job) return named(job.error());
    const auto result = await_job(*job, unit);
    if (result && *result == "done") return {};
    forget_failure(unit);
    if (!result) return named(result.error());
    return fail("error creating systemd unit `" + unit + "`: got `" + *result + "`");
}

Status Systemd::change(const std::string& unit, const std::vector<UnitProperty>& properties) {
    if (properties.empty()) return {};
    const Message call = new_call("SetUnitProperties");
    {
        Writer out(call.get());
        out.text(unit);
        const dbus_bool_t until_restart = 1;
        out.basic(DBUS_TYPE_BOOLEAN, &until_restart);
        write_properties(out, properties);
    }
    const auto answer = ask(connection_.get(), call);
    if (answer) return {};
    return context(answer.error(), "unable to set properties of unit \"" + unit + "\"");
}

Status Systemd::stop(const std::string& unit) {
    const Message call = new_call("StopUnit");
    {
        Writer out(call.get());
        out.text(unit);
        out.text("replace");
    }
    const auto answer = ask(connection_.get(), call);
    if (!answer) return context(answer.error(), "stop unit \"" + unit + "\"");
    const auto result = await_job(TRY(job_of(*answer)), unit);
    forget_failure(unit);
    return result ? Status() : std::unexpected(result.error());
}

Placeholder::~Placeholder() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    while (waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
    }
}

Result<Placeholder> Placeholder::make() {
    const pid_t parent = getpid();
    const pid_t pid = fork();
    if (pid < 0) return fail_errno(errno, "make a process");
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        prctl(PR_SET_NAME, "noci:scope");
        // Whoever waits for the end of a stream of noci's is not to wait for this.
        syscall(SYS_close_range, 0, ~0u, 0);
        while (getppid() == parent) pause();
        _exit(0);
    }
    Placeholder made;
    made.pid_ = pid;
    return made;
}

}  // namespace noded::noci

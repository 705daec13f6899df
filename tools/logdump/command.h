// What the commands of logdump share: their arguments, their exit codes, what they say of damage.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "agent/base/result.h"
#include "agent/log/storage.h"
#include "tools/logdump/history.h"

namespace noded::logdump {

constexpr int kDone = 0;
constexpr int kFailed = 1;   ///< could not be done
constexpr int kUsage = 2;
constexpr int kDamaged = 3;  ///< done, and the log is damaged

/// Everything that an option can set.
struct Arguments {
    std::string directory;
    std::string plugin_dir;
    std::string output;
    std::string since;
    std::string until;
    std::string at;
    bool no_trunc = false;
    bool no_snapshot = false;
};

/// "logdump: SENTENCE" on stderr.
void say(const std::string& sentence);
int failed(const Error& error);

/// A line for each damage on stderr.
void tell_damages(const History& history);

/// The directory of the log for reading; DIR may also be the state directory above it.
Result<std::unique_ptr<log::Storage>> open_directory(Arguments& arguments);

int print(Arguments& arguments);
int verify(Arguments& arguments);
int hash(Arguments& arguments);
int export_events(Arguments& arguments);
int cut(Arguments& arguments);

}  // namespace noded::logdump

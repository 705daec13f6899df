// AttachParser: bytes of an attach socket to frames (plugins/container/shim/attach_frames.h). Data
// is handed on as it arrives, without waiting for the end of its frame. Pure. Called by the relay.
#pragma once

#include <cstring>
#include <functional>
#include <string>
#include <string_view>

#include "agent/base/result.h"
#include "plugins/container/shim/attach_frames.h"

namespace noded::nodectl {

class AttachParser {
public:
    /// Pieces of stdout_data and stderr_data; one call for each `lost` and exactly one for `exit`,
    /// which begin with the bytes of their kind (a u64, AttachExit).
    using Sink = std::function<void(AttachKind, std::string_view)>;

    Status feed(std::string_view bytes, const Sink& sink);

private:
    std::string partial_;  ///< an incomplete header, or an incomplete lost or exit frame
    AttachHeader header_{};
    uint32_t remaining_ = 0;
    bool in_frame_ = false;
};

/// A frame as it goes to the shim.
std::string attach_frame(AttachKind kind, std::string_view bytes);

}  // namespace noded::nodectl

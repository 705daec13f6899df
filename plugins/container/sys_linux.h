// The kernel behind Sys. Made by plugin.cc.
#pragma once

#include <memory>

#include "plugins/container/sys.h"

namespace noded::container {

std::shared_ptr<Sys> linux_sys();

}  // namespace noded::container

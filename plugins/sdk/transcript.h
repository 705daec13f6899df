// Transcripts: what a plugin decides and folds, as text that one reads from top to bottom.
//
//     # Why this is interesting.
//     > TagImage (source = "busybox", target = "box")
//     ImageTagged (id = "sha256:01…", name = "box:latest")
//
//     > RemoveImage (reference = "nope")
//     rejected NOT_FOUND: No such image: nope:latest
//
//     ! ContainerRequested (id = "c1")          an event of a plugin that is not loaded
//     @ restart                                 restart, snapshot, hold, release or advance SECONDS
//
// Below each step stand the events that it brought about, in order, until all was quiet. With the
// argument --update (bazel run … -- --update FILE) the expectations are written anew: read the
// difference before you commit it.
#pragma once

#include <functional>
#include <string>

#include "plugins/sdk/fake_host.h"

namespace noded::sdk {

/// Runs `text` against the host. Returns it with each expectation replaced by what happened: equal
/// to `text` if all went as it says. A step that cannot be read is answered by a line "error: …".
std::string run_transcript(FakeHost& host, const std::string& text);

/// Runs each file with a host of its own, made by `prepare`, and prints what differs. With
/// "--update" first, rewrites the files instead. Returns main's exit code.
int transcript_main(int argc, char** argv, const std::function<void(FakeHost&)>& prepare);

}  // namespace noded::sdk

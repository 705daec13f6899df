// Random verbs on a small set of names, for storm_test: what several clients do at the same time to
// the same containers. Pure: the same generator gives the same words.
#pragma once

#include <random>
#include <string>
#include <vector>

namespace noded::test {

struct StormVerb {
    std::vector<std::string> words;  ///< of nodectl
    /// Above 0: its client is killed after this time, with a signal that it cannot catch. Those
    /// that wait for what may never come have one always, others now and then.
    int killed_after_ms = 0;
};

/// `folder` is a folder of the client's own for copies; it has a file "in".
StormVerb random_verb(std::mt19937& random, const std::string& folder);

}  // namespace noded::test

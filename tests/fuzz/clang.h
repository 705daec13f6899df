// Included first into everything that clang compiles for tests/fuzz (tools/bazel/fuzz.bzl).
//
// Cap'n Proto 0.9 leaves `text == reader` with the text on the left to the comparison's reversed
// form, which newer compilers do not try where operator!= exists too (P2468).
#ifdef __cplusplus
#include <kj/string.h>

namespace kj {
inline bool operator==(const char* left, const StringPtr& right) {
    return right == StringPtr(left);
}
inline bool operator!=(const char* left, const StringPtr& right) {
    return !(right == StringPtr(left));
}
}  // namespace kj
#endif

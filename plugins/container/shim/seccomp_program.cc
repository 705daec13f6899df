// See seccomp_program.h. The instructions are those of seccomp(2): loads of words of seccomp_data,
// comparisons whose jumps lead forward by at most 255, and returns.
#include "plugins/container/shim/seccomp_program.h"

#include <linux/bpf_common.h>
#include <linux/filter.h>
#include <linux/seccomp.h>

#include <cstddef>
#include <iterator>
#include <span>
#include <utility>

#include "agent/base/check.h"

namespace noded {
namespace {

using Program = std::vector<sock_filter>;
using Kind = SeccompAnswer::Kind;

constexpr size_t kJumpMax = 255;

struct Range {
    uint32_t begin;
    const SeccompAnswer* answer;
};

sock_filter load(size_t offset) { return BPF_STMT(BPF_LD | BPF_W | BPF_ABS, uint32_t(offset)); }

sock_filter answer_with(uint32_t action) { return BPF_STMT(BPF_RET | BPF_K, action); }

sock_filter jump_if(uint16_t comparison, uint32_t value, size_t then, size_t otherwise) {
    CHECK(then <= kJumpMax && otherwise <= kJumpMax);
    return BPF_JUMP(uint16_t(BPF_JMP | comparison | BPF_K), value, uint8_t(then),
                    uint8_t(otherwise));
}

/// Each comparison jumps to the last instruction but one or to the last.
Program leaf(const SeccompAnswer& answer) {
    if (answer.kind == Kind::always) return {answer_with(answer.action)};
    // Of the machine's byte order the low half comes first.
    Program out = {load(offsetof(seccomp_data, args[0]))};
    const bool equal_is_good = answer.kind == Kind::one_of;
    const auto comparison = uint16_t(answer.kind == Kind::no_bit_of ? BPF_JSET : BPF_JEQ);
    for (size_t i = 0; i < answer.values.size(); ++i)
        out.push_back(jump_if(comparison, answer.values[i], answer.values.size() - i, 0));
    out.push_back(answer_with(equal_is_good ? answer.otherwise : answer.action));
    out.push_back(answer_with(equal_is_good ? answer.action : answer.otherwise));
    return out;
}

Program search(std::span<const Range> ranges) {
    if (ranges.size() == 1) return leaf(*ranges[0].answer);
    const size_t middle = ranges.size() / 2;
    const Program below = search(ranges.first(middle));
    const Program above = search(ranges.subspan(middle));
    Program out;
    if (below.size() <= kJumpMax) {
        out.push_back(jump_if(BPF_JGE, ranges[middle].begin, below.size(), 0));
    } else {
        out.push_back(jump_if(BPF_JGE, ranges[middle].begin, 0, 1));
        out.push_back(BPF_STMT(BPF_JMP | BPF_JA, uint32_t(below.size())));
    }
    out.insert(out.end(), below.begin(), below.end());
    out.insert(out.end(), above.begin(), above.end());
    return out;
}

Program search(const SeccompTable& table) {
    std::vector<Range> ranges = {{0, &table.first}};
    for (const auto& [begin, answer] : table.from) {
        if (begin == 0) ranges.clear();
        if (ranges.empty() || *ranges.back().answer != answer) ranges.push_back({begin, &answer});
    }
    return search(ranges);
}

}  // namespace

const SeccompAnswer& SeccompTable::at(uint32_t number) const {
    const auto next = from.upper_bound(number);
    return next == from.begin() ? first : std::prev(next)->second;
}

void SeccompTable::set(uint32_t begin, uint32_t end, const SeccompAnswer& answer) {
    CHECK(begin < end);
    SeccompAnswer after = at(end);
    from.erase(from.lower_bound(begin), from.upper_bound(end));
    from[begin] = answer;
    from[end] = std::move(after);
}

Result<Buffer> seccomp_program(const std::vector<SeccompTable>& tables, uint32_t unknown) {
    Program program = {load(offsetof(seccomp_data, arch))};
    for (const SeccompTable& table : tables) {
        const Program body = search(table);
        program.push_back(jump_if(BPF_JEQ, table.architecture, 1, 0));
        program.push_back(BPF_STMT(BPF_JMP | BPF_JA, uint32_t(body.size() + 1)));
        program.push_back(load(offsetof(seccomp_data, nr)));
        program.insert(program.end(), body.begin(), body.end());
    }
    program.push_back(answer_with(unknown));
    if (program.size() > BPF_MAXINSNS)
        return fail("the seccomp filter came out longer than the kernel takes");
    const auto* bytes = reinterpret_cast<const uint8_t*>(program.data());
    return Buffer(bytes, bytes + program.size() * sizeof(sock_filter));
}

}  // namespace noded

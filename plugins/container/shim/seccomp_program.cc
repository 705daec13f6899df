// See seccomp_program.h. The instructions are those of seccomp(2): loads of words of seccomp_data,
// comparisons whose jumps lead forward by at most 255, and returns.
//
// A program is written from its end, so that every jump knows its target, and ranges with the same
// answer share one return.
#include "plugins/container/shim/seccomp_program.h"

#include <linux/bpf_common.h>
#include <linux/filter.h>
#include <linux/seccomp.h>

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <span>
#include <utility>

#include "agent/base/check.h"

namespace noded {
namespace {

using Kind = SeccompAnswer::Kind;

/// Behind a comparison; one less than the kernel's, as a longer way leads over a jump beside it.
constexpr size_t kReach = 254;

struct Range {
    uint32_t begin;
    const SeccompAnswer* answer;
};

class Writer {
public:
    /// A place in the program, counted from its end.
    using Place = size_t;

    Place load(size_t offset) {
        return add(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, uint32_t(offset)));
    }
    Place answer_with(uint32_t action) { return add(BPF_STMT(BPF_RET | BPF_K, action)); }
    Place jump(Place target) {
        return add(BPF_STMT(BPF_JMP | BPF_JA, uint32_t(program_.size() - target)));
    }
    Place jump_if(uint16_t comparison, uint32_t value, Place then, Place otherwise) {
        for (Place* target : {&then, &otherwise})
            if (program_.size() - *target > kReach) *target = jump(*target);
        const size_t at = program_.size();
        return add(BPF_JUMP(uint16_t(BPF_JMP | comparison | BPF_K), value, uint8_t(at - then),
                            uint8_t(at - otherwise)));
    }

    std::vector<sock_filter> finish() {
        std::ranges::reverse(program_);
        return std::move(program_);
    }

private:
    Place add(const sock_filter& instruction) {
        program_.push_back(instruction);
        return program_.size();
    }

    std::vector<sock_filter> program_;
};

Writer::Place write_leaf(Writer& to, const SeccompAnswer& answer) {
    if (answer.kind == Kind::always) return to.answer_with(answer.action);
    const bool equal_is_good = answer.kind == Kind::one_of;
    const auto comparison = uint16_t(answer.kind == Kind::no_bit_of ? BPF_JSET : BPF_JEQ);
    const Writer::Place found =
        to.answer_with(equal_is_good ? answer.action : answer.otherwise);
    Writer::Place next = to.answer_with(equal_is_good ? answer.otherwise : answer.action);
    for (uint32_t value : answer.values) next = to.jump_if(comparison, value, found, next);
    // Of the machine's byte order the low half comes first.
    return to.load(offsetof(seccomp_data, args[0]));
}

/// The leaves are written already, one for each different answer.
struct Leaf {
    const SeccompAnswer* answer;
    Writer::Place place;
};

Writer::Place write_search(Writer& to, std::span<const Range> ranges,
                           std::span<const Leaf> leaves) {
    if (ranges.size() == 1) {
        const auto leaf = std::ranges::find_if(
            leaves, [&](const Leaf& at) { return *at.answer == *ranges[0].answer; });
        CHECK(leaf != leaves.end());
        return leaf->place;
    }
    const size_t middle = ranges.size() / 2;
    const Writer::Place above = write_search(to, ranges.subspan(middle), leaves);
    const Writer::Place below = write_search(to, ranges.first(middle), leaves);
    return to.jump_if(BPF_JGE, ranges[middle].begin, above, below);
}

Writer::Place write_table(Writer& to, const SeccompTable& table) {
    std::vector<Range> ranges = {{0, &table.first}};
    for (const auto& [begin, answer] : table.from) {
        if (begin == 0) ranges.clear();
        if (ranges.empty() || *ranges.back().answer != answer) ranges.push_back({begin, &answer});
    }
    std::vector<Leaf> leaves;
    for (const Range& range : ranges)
        if (std::ranges::none_of(leaves, [&](const Leaf& at) {
                return *at.answer == *range.answer;
            }))
            leaves.push_back({range.answer, write_leaf(to, *range.answer)});
    write_search(to, ranges, leaves);
    return to.load(offsetof(seccomp_data, nr));
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
    Writer to;
    Writer::Place next = to.answer_with(unknown);
    for (size_t i = tables.size(); i-- > 0;) {
        const Writer::Place table = write_table(to, tables[i]);
        next = to.jump_if(BPF_JEQ, tables[i].architecture, table, next);
    }
    to.load(offsetof(seccomp_data, arch));
    const std::vector<sock_filter> program = to.finish();
    if (program.size() > BPF_MAXINSNS)
        return fail("the seccomp filter came out longer than the kernel takes");
    const auto* bytes = reinterpret_cast<const uint8_t*>(program.data());
    return Buffer(bytes, bytes + program.size() * sizeof(sock_filter));
}

}  // namespace noded

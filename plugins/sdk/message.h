// Cap'n Proto messages as the flat bytes that the ABI carries, and what is in them as the standard
// library has it.
#pragma once

#include <capnp/message.h>
#include <capnp/schema.h>
#include <capnp/serialize.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "plugins/abi/plugin.h"

namespace noded::sdk {

/// A message under construction with `T` at its root.
template <typename T>
class Message {
public:
    typename T::Builder operator*() { return root_; }
    typename T::Builder* operator->() { return &root_; }

    /// The flat form, valid until the next call; the message may be changed and flattened again.
    noded_bytes flat() {
        words_ = capnp::messageToFlatArray(message_);
        const auto bytes = words_.asBytes();
        return {bytes.begin(), bytes.size()};
    }

private:
    // Most payloads fit into the first segment, which then needs no allocation.
    capnp::word scratch_[128] = {};
    capnp::MallocMessageBuilder message_{kj::arrayPtr(scratch_, 128)};
    typename T::Builder root_ = message_.template initRoot<T>();
    kj::Array<capnp::word> words_;
};

/// A flat message being read; borrows the bytes. Throws kj::Exception on malformed input, which the
/// adapter in plugin.h turns into a rejection where the bytes came from outside.
template <typename T>
class Reading {
public:
    explicit Reading(noded_bytes bytes, capnp::ReaderOptions options = {})
        : reader_(kj::arrayPtr(reinterpret_cast<const capnp::word*>(bytes.data),
                               bytes.size / sizeof(capnp::word)),
                  options),
          root_(reader_.template getRoot<T>()) {}

    typename T::Reader operator*() const { return root_; }
    const typename T::Reader* operator->() const { return &root_; }

private:
    capnp::FlatArrayMessageReader reader_;
    typename T::Reader root_;
};

/// To read what the plugin wrote itself: a snapshot is as large as the state, and what Cap'n Proto
/// lets a stranger's message be is no bound for it.
inline capnp::ReaderOptions own_message(noded_bytes bytes) {
    capnp::ReaderOptions options;
    options.traversalLimitInWords = bytes.size + 1024;
    return options;
}

/// The type of a struct as the descriptor lists it.
template <typename T>
constexpr noded_type type_of(const char* name) {
    return {capnp::typeId<T>(), name};
}

template <typename Types>
constexpr noded_types types(const Types& list) {
    return {std::data(list), uint32_t(std::size(list))};
}

/// Those of both lists: what a plugin folds is its own events and some of others.
template <size_t N, size_t M>
constexpr std::array<noded_type, N + M> joined(const noded_type (&first)[N],
                                               const noded_type (&second)[M]) {
    std::array<noded_type, N + M> all{};
    std::copy(second, second + M, std::copy(first, first + N, all.begin()));
    return all;
}

inline kj::StringPtr text(const std::string& value) { return {value.c_str(), value.size()}; }
inline std::string to_string(capnp::Text::Reader text) { return {text.cStr(), text.size()}; }

inline std::vector<std::string> to_strings(capnp::List<capnp::Text>::Reader list) {
    std::vector<std::string> strings;
    strings.reserve(list.size());
    for (auto item : list) strings.push_back(to_string(item));
    return strings;
}

/// `init` makes the list of that many.
template <typename Strings, typename Init>
void write_strings(const Strings& from, Init init) {
    capnp::List<capnp::Text>::Builder list = init(unsigned(from.size()));
    unsigned at = 0;
    for (const std::string& item : from) list.set(at++, text(item));
}

}  // namespace noded::sdk

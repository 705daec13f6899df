// Cap'n Proto messages as the flat bytes that the ABI carries.
#pragma once

#include <capnp/message.h>
#include <capnp/schema.h>
#include <capnp/serialize.h>

#include <cstdint>

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
    explicit Reading(noded_bytes bytes)
        : reader_(kj::arrayPtr(reinterpret_cast<const capnp::word*>(bytes.data),
                               bytes.size / sizeof(capnp::word))),
          root_(reader_.template getRoot<T>()) {}

    typename T::Reader operator*() const { return root_; }
    const typename T::Reader* operator->() const { return &root_; }

private:
    capnp::FlatArrayMessageReader reader_;
    typename T::Reader root_;
};

/// The type of a struct as the descriptor lists it.
template <typename T>
constexpr noded_type type_of(const char* name) {
    return {capnp::typeId<T>(), name};
}

inline kj::StringPtr text(const std::string& value) { return {value.c_str(), value.size()}; }

}  // namespace noded::sdk

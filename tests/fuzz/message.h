// Messages of a given schema from libFuzzer's bytes: each field set or not, lists of few elements,
// texts free or from a few words that name things which exist; then, if the input says so, damaged.
// Used by the targets that feed plugins.
#pragma once

#include <capnp/dynamic.h>
#include <capnp/message.h>
#include <capnp/serialize.h>

#include "tests/fuzz/input.h"

namespace noded::fuzz {

constexpr int kDepthMax = 6;

inline std::string some_text(Input& input) {
    static constexpr std::string_view kWords[] = {
        "", "web", "box", "box:latest", "sha256:aa", "/", "a=b", "SIGKILL", "none", "0",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "sha256:6100000000000000000000000000000000000000000000000000000000000000"};
    const uint8_t choice = input.number();
    if (choice < std::size(kWords)) return std::string(kWords[choice]);
    return input.text(choice % 32);
}

inline void fill(Input& input, capnp::DynamicStruct::Builder into, int depth);

inline void fill_list(Input& input, capnp::DynamicList::Builder list, int depth) {
    const auto type = list.getSchema().getElementType();
    for (unsigned i = 0; i < list.size(); ++i) {
        if (type.isText()) {
            list.set(i, some_text(input).c_str());
        } else if (type.isStruct()) {
            fill(input, list[i].as<capnp::DynamicStruct>(), depth + 1);
        } else if (type.isData()) {
            const Bytes data = input.take(input.number() % 40);
            list.set(i, capnp::Data::Reader(data.data(), data.size()));
        }
    }
}

inline void fill_field(Input& input, capnp::DynamicStruct::Builder into,
                       capnp::StructSchema::Field field, int depth) {
    const auto type = field.getType();
    switch (type.which()) {
        case capnp::schema::Type::BOOL: into.set(field, (input.number() & 1) != 0); break;
        case capnp::schema::Type::INT8:
        case capnp::schema::Type::INT16:
        case capnp::schema::Type::INT32: into.set(field, input.number<int8_t>()); break;
        case capnp::schema::Type::INT64: into.set(field, input.number<int64_t>()); break;
        case capnp::schema::Type::UINT8:
        case capnp::schema::Type::UINT16:
        case capnp::schema::Type::UINT32: into.set(field, input.number<uint8_t>()); break;
        case capnp::schema::Type::UINT64: into.set(field, input.number<uint64_t>()); break;
        case capnp::schema::Type::ENUM:
            into.set(field, capnp::DynamicEnum(type.asEnum(), input.number() % 12));
            break;
        case capnp::schema::Type::TEXT: into.set(field, some_text(input).c_str()); break;
        case capnp::schema::Type::DATA: {
            const Bytes data = input.take(input.number() % 40);
            into.set(field, capnp::Data::Reader(data.data(), data.size()));
            break;
        }
        case capnp::schema::Type::LIST:
            fill_list(input, into.init(field, input.number() % 5).as<capnp::DynamicList>(), depth);
            break;
        case capnp::schema::Type::STRUCT:
            fill(input, into.init(field).as<capnp::DynamicStruct>(), depth + 1);
            break;
        default: break;
    }
}

inline void fill(Input& input, capnp::DynamicStruct::Builder into, int depth) {
    if (depth > kDepthMax) return;
    uint8_t wanted = 0;
    int left = 0;
    for (const auto field : into.getSchema().getFields()) {
        if (left == 0) {
            wanted = input.number();
            left = 8;
        }
        if ((wanted >> --left & 1) != 0) fill_field(input, into, field, depth);
    }
}

/// A flat message with a struct of `schema` at its root. One of four is damaged: bytes changed, or
/// nothing but what the input says.
inline Buffer some_message(Input& input, capnp::StructSchema schema) {
    const uint8_t choice = input.number();
    if (choice >= 0xF0) return Input::words(input.take(input.number()));
    capnp::MallocMessageBuilder builder;
    fill(input, builder.initRoot<capnp::DynamicStruct>(schema), 0);
    const auto words = capnp::messageToFlatArray(builder);
    const auto bytes = words.asBytes();
    Buffer flat(bytes.begin(), bytes.end());
    if (choice >= 0xC0) {
        for (size_t i = 0, count = 1 + choice % 8; i < count; ++i)
            flat[input.number<uint16_t>() % flat.size()] ^= input.number();
    }
    return flat;
}

}  // namespace noded::fuzz

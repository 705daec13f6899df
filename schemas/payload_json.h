// Cap'n Proto values of types that are only known at run time, as JSON: what plugins' events hold
// and their calls answer. Pure; used by the publish endpoint, the verbs of nodectl and logdump.
#pragma once

#include <capnp/dynamic.h>
#include <capnp/schema-loader.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "agent/base/bytes.h"

namespace noded {

using PayloadJson = nlohmann::ordered_json;  // keys keep their order

/// Field names as in the schema; numbers as numbers, enums by name, Data in hexadecimal,
/// capabilities as null. Of a union the member that is set.
PayloadJson to_json(const capnp::DynamicStruct::Reader& value);

/// From what `capnp compile -o-` prints, 8-byte aligned; null if that is not one.
std::unique_ptr<capnp::SchemaLoader> load_schema(Bytes bytes);

/// A payload by the type of its struct; null if the schema does not say what it is.
PayloadJson decode_payload(const capnp::SchemaLoader& loader, uint64_t type, Bytes payload);

}  // namespace noded

// See payload_json.h.
#include "schemas/payload_json.h"

#include <capnp/schema.capnp.h>
#include <capnp/serialize.h>
#include <kj/exception.h>

namespace noded {
namespace {

PayloadJson value_json(const capnp::DynamicValue::Reader& value, const capnp::Type& type) {
    using Value = capnp::DynamicValue;
    switch (value.getType()) {
        case Value::UNKNOWN:
        case Value::VOID:
        case Value::CAPABILITY:
        case Value::ANY_POINTER: return nullptr;
        case Value::BOOL: return value.as<bool>();
        case Value::INT: return value.as<int64_t>();
        case Value::UINT: return value.as<uint64_t>();
        case Value::FLOAT: return value.as<double>();
        case Value::TEXT: return value.as<capnp::Text>().cStr();
        case Value::DATA: {
            const auto data = value.as<capnp::Data>();
            return to_hex({data.begin(), data.size()});
        }
        case Value::LIST: {
            PayloadJson list = PayloadJson::array();
            const auto reader = value.as<capnp::DynamicList>();
            for (const auto item : reader)
                list.push_back(value_json(item, reader.getSchema().getElementType()));
            return list;
        }
        case Value::ENUM: {
            const auto choice = value.as<capnp::DynamicEnum>();
            KJ_IF_MAYBE(known, choice.getEnumerant()) return known->getProto().getName().cStr();
            return choice.getRaw();
        }
        case Value::STRUCT: return to_json(value.as<capnp::DynamicStruct>());
    }
    return type.isVoid() ? PayloadJson(nullptr) : PayloadJson();
}

}  // namespace

PayloadJson to_json(const capnp::DynamicStruct::Reader& value) {
    PayloadJson out = PayloadJson::object();
    const auto add = [&](const capnp::StructSchema::Field& field) {
        out[field.getProto().getName().cStr()] = value_json(value.get(field), field.getType());
    };
    for (const auto field : value.getSchema().getNonUnionFields()) add(field);
    KJ_IF_MAYBE(member, value.which()) add(*member);
    return out;
}

namespace {

kj::ArrayPtr<const capnp::word> words_of(Bytes bytes) {
    return {reinterpret_cast<const capnp::word*>(bytes.data()), bytes.size() / kWordSize};
}

}  // namespace

std::unique_ptr<capnp::SchemaLoader> load_schema(Bytes bytes) {
    if (bytes.empty() || bytes.size() % kWordSize != 0) return nullptr;
    auto loader = std::make_unique<capnp::SchemaLoader>();
    // A plugin's schema is a stranger's data: what the loader does not accept means that there is
    // none.
    KJ_IF_MAYBE(exception, kj::runCatchingExceptions([&] {
        capnp::FlatArrayMessageReader reader(words_of(bytes));
        const auto request = reader.getRoot<capnp::schema::CodeGeneratorRequest>();
        for (const auto node : request.getNodes()) loader->load(node);
    })) {
        (void)exception;
        return nullptr;
    }
    return loader;
}

PayloadJson decode_payload(const capnp::SchemaLoader& loader, uint64_t type, Bytes payload) {
    PayloadJson result;
    KJ_IF_MAYBE(exception, kj::runCatchingExceptions([&] {
        KJ_IF_MAYBE(schema, loader.tryGet(type)) {
            capnp::FlatArrayMessageReader reader(words_of(payload));
            result = to_json(reader.getRoot<capnp::DynamicStruct>(schema->asStruct()));
        }
    })) {
        (void)exception;
        return nullptr;
    }
    return result;
}

}  // namespace noded

// A Cap'n Proto struct as JSON, see json_text.h. How structs lie in memory:
// capnproto.org/encoding.html.
#include "plugins/stats/json_text.h"

#include <bit>
#include <charconv>
#include <cstring>

#include "agent/base/check.h"

namespace noded::stats {

using Kind = capnp::schema::Type::Which;

struct JsonText::Field {
    std::string key;  ///< "\"name\":"
    Kind kind{};      ///< of a list's items, if `is_list`
    bool is_list = false;
    uint32_t bits = 0;    ///< of a number; 0: it is a pointer
    uint32_t offset = 0;  ///< in units of its own size
    int only_if = -1;     ///< value of the union's discriminant; -1: it is in none
    const Table* inner = nullptr;  ///< of a struct, or of a list of them
};

struct JsonText::Table {
    std::vector<Field> fields;
    uint32_t discriminant = 0;  ///< its offset, if there is a union
};

namespace {

uint32_t bits_of(Kind kind) {
    switch (kind) {
        case Kind::BOOL: return 1;
        case Kind::INT8:
        case Kind::UINT8: return 8;
        case Kind::INT16:
        case Kind::UINT16: return 16;
        case Kind::INT32:
        case Kind::UINT32: return 32;
        case Kind::INT64:
        case Kind::UINT64:
        case Kind::FLOAT64: return 64;
        default: return 0;
    }
}

/// What is not there is zero.
uint64_t bits_at(capnp::Data::Reader data, uint32_t bits, uint32_t offset) {
    static_assert(std::endian::native == std::endian::little);
    const size_t byte = size_t{offset} * bits / 8, bytes = bits < 8 ? 1 : bits / 8;
    if (byte + bytes > data.size()) return 0;
    uint64_t value = 0;
    memcpy(&value, data.begin() + byte, bytes);
    return bits == 1 ? value >> (offset % 8) & 1 : value;
}

}  // namespace

JsonText::JsonText() = default;
JsonText::~JsonText() = default;

const JsonText::Table& JsonText::table_of(capnp::StructSchema schema) {
    const auto [found, is_new] = tables_.try_emplace(schema.getProto().getId());
    auto& slot = found->second;
    if (!is_new) return *slot;
    slot = std::make_unique<Table>();
    Table& table = *slot;  // the map may grow meanwhile
    table.discriminant = schema.getProto().getStruct().getDiscriminantOffset();
    for (const auto field : schema.getFields()) table.fields.push_back(field_of(field));
    return table;
}

JsonText::Field JsonText::field_of(capnp::StructSchema::Field from) {
    const auto proto = from.getProto();
    CHECK(proto.isSlot());
    Field field;
    field.key = "\"" + std::string(proto.getName().cStr()) + "\":";
    field.offset = proto.getSlot().getOffset();
    if (proto.getDiscriminantValue() != capnp::schema::Field::NO_DISCRIMINANT)
        field.only_if = proto.getDiscriminantValue();
    capnp::Type type = from.getType();
    field.is_list = type.isList();
    if (field.is_list) type = type.asList().getElementType();
    field.kind = type.which();
    field.bits = bits_of(field.kind);
    CHECK(field.bits != 0 || type.isText() || type.isStruct());
    if (type.isStruct()) field.inner = &table_of(type.asStruct());
    return field;
}

void JsonText::write(const Table& table, capnp::AnyStruct::Reader from) {
    constexpr uint32_t kDiscriminantBits = 16;
    const auto data = from.getDataSection();
    const auto pointers = from.getPointerSection();
    const auto which = bits_at(data, kDiscriminantBits, table.discriminant);
    text_ += '{';
    bool first = true;
    for (const Field& field : table.fields) {
        if (field.only_if >= 0 && uint64_t(field.only_if) != which) continue;
        const size_t before = text_.size();
        if (!first) text_ += ',';
        if (write_field(field, data, pointers)) first = false;
        else text_.resize(before);
    }
    text_ += '}';
}

/// False when it is absent.
bool JsonText::write_field(const Field& field, capnp::Data::Reader data,
                           capnp::List<capnp::AnyPointer>::Reader pointers) {
    text_ += field.key;
    if (field.bits != 0 && !field.is_list) {
        write_number(field, bits_at(data, field.bits, field.offset));
        return true;
    }
    if (field.offset >= pointers.size() || pointers[field.offset].isNull()) return false;
    const auto pointer = pointers[field.offset];
    if (field.is_list) write_list(field, pointer.getAs<capnp::AnyList>());
    else if (field.inner != nullptr) write(*field.inner, pointer.getAs<capnp::AnyStruct>());
    else write_text(std::string_view(pointer.getAs<capnp::Text>().cStr()));
    return true;
}

void JsonText::write_list(const Field& field, capnp::AnyList::Reader list) {
    text_ += '[';
    for (unsigned i = 0; i < list.size(); ++i) {
        if (i != 0) text_ += ',';
        if (field.inner != nullptr)
            write(*field.inner, list.as<capnp::List<capnp::AnyStruct>>()[i]);
        else if (field.bits == 0)
            write_text(std::string_view(list.as<capnp::List<capnp::Text>>()[i].cStr()));
        else
            write_number(field, bits_at(list.getRawBytes(), field.bits, i));
    }
    text_ += ']';
}

void JsonText::write_number(const Field& field, uint64_t bits) {
    char digits[40];
    const auto add = [&](auto value) {
        const auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
        const bool quoted = sizeof value == 8 && std::is_integral_v<decltype(value)>;
        if (quoted) text_ += '"';
        text_.append(digits, size_t(end - digits));
        if (quoted) text_ += '"';
    };
    switch (field.kind) {
        case Kind::BOOL: text_ += bits != 0 ? "true" : "false"; break;
        case Kind::INT8: add(int32_t{int8_t(bits)}); break;
        case Kind::INT16: add(int32_t{int16_t(bits)}); break;
        case Kind::INT32: add(int32_t(bits)); break;
        case Kind::INT64: add(int64_t(bits)); break;
        case Kind::FLOAT64: add(std::bit_cast<double>(bits)); break;
        case Kind::UINT64: add(bits); break;
        default: add(uint32_t(bits));
    }
}

void JsonText::write_text(std::string_view text) {
    text_ += '"';
    for (const char c : text) {
        if (c == '"' || c == '\\') (text_ += '\\') += c;
        else if (uint8_t(c) >= 0x20) text_ += c;
        else {
            char escaped[8];
            snprintf(escaped, sizeof escaped, "\\u%04x", unsigned(uint8_t(c)));
            text_ += escaped;
        }
    }
    text_ += '"';
}

}  // namespace noded::stats

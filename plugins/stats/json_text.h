// JsonText: a Cap'n Proto struct as JSON, written straight from the message.
//
// Fields stand there by name, in the order of the schema, numbers of 64 bits as text, structs and
// lists that are absent not at all: what capnp::JsonCodec makes of it, without the tree of values
// that it makes first, which costs ten times as much. What a schema says is looked up once for each
// type of struct.
#pragma once

#include <capnp/any.h>
#include <capnp/schema.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace noded::stats {

class JsonText {
public:
    JsonText();
    ~JsonText();

    /// Valid until the next call. The schema's fields are numbers, booleans, text, structs without
    /// groups, and lists of these, all without defaults of their own; another one is a bug.
    template <typename T>
    std::string_view of(const T& reader) {
        text_.clear();
        write(table_of(capnp::Schema::from<capnp::FromReader<T>>()), capnp::toAny(reader));
        return text_;
    }

private:
    struct Field;
    struct Table;

    const Table& table_of(capnp::StructSchema schema);
    Field field_of(capnp::StructSchema::Field from);
    void write(const Table& table, capnp::AnyStruct::Reader from);
    bool write_field(const Field& field, capnp::Data::Reader data,
                     capnp::List<capnp::AnyPointer>::Reader pointers);
    void write_list(const Field& field, capnp::AnyList::Reader list);
    void write_number(const Field& field, uint64_t bits);
    void write_text(std::string_view text);

    std::unordered_map<uint64_t, std::unique_ptr<Table>> tables_;
    std::string text_;
};

}  // namespace noded::stats

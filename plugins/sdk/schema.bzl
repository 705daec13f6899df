"""embedded_schema: a compiled Cap'n Proto schema as a header, for noded_descriptor.schema."""

def embedded_schema(name, bin):
    """Makes NAME.h with `inline constexpr unsigned char NAME[]`.

    Args:
      name: of the library, its header and the array in it.
      bin: what `capnp compile -o-` printed, for example //schemas:storage.capnp.bin.
    """
    native.genrule(
        name = name + "_gen",
        srcs = [bin],
        outs = [name + ".h"],
        cmd = ("(echo '// " + bin + " as bytes, generated.'; echo '#pragma once'; " +
               "echo 'alignas(8) inline constexpr unsigned char " + name + "[] = {'; " +
               "od -An -v -tu1 $< | sed -E 's/ +([0-9]+)/\\1,/g'; echo '};') > $@"),
    )
    native.cc_library(
        name = name,
        hdrs = [name + ".h"],
    )

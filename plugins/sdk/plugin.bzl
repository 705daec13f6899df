"""plugin: a C++ plugin, from the library that it shares with its tests, and its plugin.cc."""

def plugin(name, schema):
    """Makes NAME.so, and NAME_static for programs that link several plugins (simulator, tests).

    Args:
      name: of the plugin and of the library with all but the entry.
      schema: what `capnp compile -o-` printed, for example //schemas:storage.capnp.bin; the entry
        includes it as NAME_schema.h, with `inline constexpr unsigned char NAME_schema[]`.
    """
    header = name + "_schema"
    native.genrule(
        name = header + "_gen",
        srcs = [schema],
        outs = [header + ".h"],
        cmd = ("(echo '// " + schema + " as bytes, generated.'; echo '#pragma once'; " +
               "echo 'alignas(8) inline constexpr unsigned char " + header + "[] = {'; " +
               "od -An -v -tu1 $< | sed -E 's/ +([0-9]+)/\\1,/g'; echo '};') > $@"),
    )
    native.cc_library(
        name = header,
        hdrs = [header + ".h"],
    )
    native.cc_binary(
        name = name + ".so",
        srcs = ["plugin.cc"],
        additional_linker_inputs = ["//plugins/sdk:plugin.lds"],
        copts = ["-fvisibility=hidden"],
        linkopts = ["-Wl,--version-script=$(location //plugins/sdk:plugin.lds)"],
        linkshared = True,
        visibility = ["//visibility:public"],
        deps = [":" + name, ":" + header],
    )
    native.cc_library(
        name = name + "_static",
        srcs = ["plugin.cc"],
        linkstatic = True,
        local_defines = ["NODED_PLUGIN_ENTRY=" + name + "_plugin_entry"],
        visibility = ["//visibility:public"],
        deps = [":" + name, ":" + header],
    )

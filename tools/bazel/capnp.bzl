"""capnp_library: a Cap'n Proto schema as a C++ library."""

def capnp_library(name, src, deps = [], imports = [], **kwargs):
    """Compiles `src` (NAME.capnp) to a cc_library.

    Args:
      name: name of the library.
      src: the schema, in this package.
      deps: capnp_library targets whose schemas are imported.
      imports: the .capnp files of those targets.
      **kwargs: passed on to cc_library.
    """
    outs = [src + ".h", src + ".c++"]
    native.genrule(
        name = name + "_gen",
        srcs = [src] + imports,
        outs = outs,
        cmd = "capnp compile -I. -I/usr/include --src-prefix=. -oc++:$(GENDIR) " +
              "$(location " + src + ")",
    )

    # The schema as bytes, for those who decode it at run time (nodectl call, events -o json).
    native.genrule(
        name = name + "_bytes",
        srcs = [src] + imports,
        outs = [src + ".bin"],
        cmd = "capnp compile -I. -I/usr/include --src-prefix=. -o- $(location " + src + ") > $@",
    )
    native.cc_library(
        name = name,
        srcs = [src + ".c++"],
        hdrs = [src + ".h"],
        copts = ["-Wno-unused-parameter"],
        deps = deps + ["@system//:capnp"],
        **kwargs
    )

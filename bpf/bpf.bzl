"""bpf_object: a program of the kernel's, compiled, as a header for those who load it."""

def bpf_object(name, src, hdrs):
    """Makes NAME.h with `inline constexpr unsigned char NAME[]`, an ELF object for libbpf.

    Args:
      name: of the library, its header and the array in it.
      src: the program, NAME.bpf.c.
      hdrs: what it includes.
    """
    native.genrule(
        name = name + "_gen",
        srcs = [src] + hdrs,
        outs = [name + ".h"],
        cmd = ("clang-19 -target bpf -mcpu=v3 -O2 -g -Wall -Werror -I. " +
               "-c $(location " + src + ") -o $@.o && " +
               "(echo '// " + src + " compiled, generated.'; echo '#pragma once'; " +
               "echo 'alignas(8) inline constexpr unsigned char " + name + "[] = {'; " +
               "od -An -v -tu1 $@.o | sed -E 's/ +([0-9]+)/\\1,/g'; echo '};') > $@"),
    )
    native.cc_library(
        name = name,
        hdrs = [name + ".h"],
    )

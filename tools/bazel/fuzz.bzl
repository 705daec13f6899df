"""fuzz_test: a libFuzzer target, built by clang with its sanitizers, run briefly over its corpus.

The toolchain of everything else is g++. An aspect goes over the cc_library targets that a fuzz_test
depends on and compiles their sources once more, so that no part of ours is without coverage and
sanitizers; Debian's libraries are linked as they are.
"""

_CLANG = "clang++-19"
_FLAGS = [
    "-std=c++23",
    "-O1",
    "-g1",
    "-UNDEBUG",
    "-fno-omit-frame-pointer",
    "-fno-sanitize-recover=all",
    "-w",
    "-I.",
    "-include",
    "tests/fuzz/clang.h",
]

# Alignment is left out: Cap'n Proto and flat structures are read in place on x86 as designed.
_SANITIZERS = "address,undefined"

_Fuzzed = provider(fields = ["objects", "linkopts"])

def _compile(ctx, source, headers, copts, prefix):
    name = source.short_path.replace("/", "_")
    object = ctx.actions.declare_file("_fuzz/%s/%s.o" % (prefix, name))
    ctx.actions.run_shell(
        inputs = depset([source] + ctx.files._clang_h, transitive = [headers]),
        outputs = [object],
        command = 'exec "$@"',
        arguments = [
            _CLANG,
            "-x",
            "c" if source.extension == "c" else "c++",
        ] + ([f for f in _FLAGS if f != "-std=c++23"] if source.extension == "c" else _FLAGS) + [
            "-I" + ctx.bin_dir.path,
            "-fsanitize=fuzzer-no-link," + _SANITIZERS,
        ] + copts + ["-c", source.path, "-o", object.path],
        mnemonic = "FuzzCompile",
        use_default_shell_env = True,
    )
    return object

def _sources(files):
    return [f for f in files if f.extension in ("cc", "c++", "c")]

def _collect(deps):
    return [dep[_Fuzzed] for dep in deps if _Fuzzed in dep]

def _aspect(target, ctx):
    attr = ctx.rule.attr
    deps = _collect(getattr(attr, "deps", []))
    objects = []
    linkopts = []
    if ctx.rule.kind == "cc_library":
        headers = target[CcInfo].compilation_context.headers
        copts = ["-D" + d for d in attr.local_defines + attr.defines]
        objects = [
            _compile(ctx, f, headers, copts, target.label.name)
            for f in _sources(ctx.rule.files.srcs)
        ]
        linkopts = attr.linkopts
    return [_Fuzzed(
        objects = depset(objects, transitive = [d.objects for d in deps]),
        linkopts = depset(linkopts, transitive = [d.linkopts for d in deps], order = "topological"),
    )]

_clang_h = attr.label(default = "//tests/fuzz:clang.h", allow_single_file = True)

_fuzzed = aspect(
    implementation = _aspect,
    attr_aspects = ["deps"],
    attrs = {"_clang_h": _clang_h},
)

def _fuzz_test(ctx):
    deps = _collect(ctx.attr.deps)
    headers = depset(transitive = [d[CcInfo].compilation_context.headers for d in ctx.attr.deps])
    headers = depset(ctx.files.hdrs, transitive = [headers])
    own = [_compile(ctx, f, headers, [], ctx.label.name) for f in ctx.files.srcs]
    objects = depset(own, transitive = [d.objects for d in deps])
    linkopts = depset(transitive = [d.linkopts for d in deps], order = "topological")
    program = ctx.actions.declare_file(ctx.label.name + "_program")
    ctx.actions.run_shell(
        inputs = objects,
        outputs = [program],
        command = 'exec "$@"',
        arguments = [_CLANG, "-fsanitize=fuzzer," + _SANITIZERS, "-o", program.path] +
                    [f.path for f in objects.to_list()] + linkopts.to_list(),
        mnemonic = "FuzzLink",
        use_default_shell_env = True,
    )
    script = ctx.actions.declare_file(ctx.label.name)
    ctx.actions.expand_template(
        template = ctx.file._short_run,
        output = script,
        substitutions = {
            "@program@": program.short_path,
            "@corpus@": ctx.label.package + "/corpus/" + ctx.label.name[:-len("_test")],
            "@runs@": str(ctx.attr.runs),
            "@options@": " ".join(ctx.attr.options),
        },
        is_executable = True,
    )
    files = ctx.runfiles(files = [program] + ctx.files.corpus)
    return [DefaultInfo(executable = script, files = depset([script, program]), runfiles = files)]

fuzz_test = rule(
    implementation = _fuzz_test,
    test = True,
    attrs = {
        "srcs": attr.label_list(allow_files = [".cc"]),
        "hdrs": attr.label_list(allow_files = [".h"]),
        "deps": attr.label_list(providers = [CcInfo], aspects = [_fuzzed]),
        "corpus": attr.label_list(allow_files = True),
        "runs": attr.int(mandatory = True, doc = "inputs of the short run, beside the corpus"),
        "options": attr.string_list(doc = "further flags of libFuzzer"),
        "_clang_h": _clang_h,
        "_short_run": attr.label(default = "//tests/fuzz:short_run.sh", allow_single_file = True),
    },
)

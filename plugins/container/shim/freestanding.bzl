"""How programs without a C library are compiled and linked."""

FREESTANDING_COPTS = [
    "-fno-exceptions",
    "-fno-rtti",
    "-fno-stack-protector",
    "-fno-asynchronous-unwind-tables",
    "-fno-threadsafe-statics",
    "-fcf-protection=none",
    "-fno-pie",
    "-U_FORTIFY_SOURCE",
    # The functions of freestanding.cc must not become calls of themselves.
    "-fno-tree-loop-distribute-patterns",
]

FREESTANDING_LINKOPTS = [
    "-nostdlib",
    "-static",
    "-no-pie",
    "-Wl,--build-id=none",
]

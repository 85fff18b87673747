"""The compilation of kernels by Numba.

Numba's own way to call a function from Python costs a microsecond for each array in nested tuples, two seconds to
compile, and Numba's import. Here a function of two addresses is put before each kernel: it reads the arguments, as
:class:`bfncodec.runtime.jit.Flat` has them, and calls what Numba compiled.

Numba makes machine code of each function and then again of whatever it is linked into. Here functions that a kernel
calls stay LLVM's instructions, and the kernel is optimised once, as a whole: that halves the time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import numba
from llvmlite import ir
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler_lock import global_compiler_lock
from numba.core.registry import cpu_target
from numba.extending import typeof_impl

from bfncodec.runtime.kept import MachineCode

# Nothing in kernels owns memory, and none of them is called by Python's interpreter.
OPTIONS = {
    "nogil": True,
    "error_model": "numpy",
    "_nrt": False,
    "no_cpython_wrapper": True,
    "no_cfunc_wrapper": True,
}
jit: Any = numba.njit
_BITS, _WORD = ir.IntType(32), ir.IntType(64)
NOTHING = -2  # how functions that Numba compiled say that they return None


def dispatcher(function: Callable[..., Any], options: Mapping[str, Any], late: tuple[type, ...]) -> Any:
    """Return Numba's form of a function. late: what stands for other such forms in it, and has them as `made`."""
    _teach(late)
    return jit(**OPTIONS, **options)(function)


@lru_cache(maxsize=1)
def _teach(late: tuple[type, ...]) -> None:
    def meant(value: Any, _: Any) -> Any:
        made, context = value.made, cpu_target.typing_context
        context.refresh()  # it may have been defined just now
        return context.resolve_value_type(made)

    for kind in late:
        typeof_impl.register(kind)(meant)


class _Part(JITCodeLibrary):
    """A function that is only linked into others: nobody has its address."""

    def _optimize_final_module(self) -> None:
        """Leave it to those."""

    def _finalize_final_module(self) -> None:
        self._finalized = True

    def get_pointer_to_function(self, name: str) -> int:
        """Return 0, as Numba does for what it has no code of."""
        return 0

    @property
    def codegen(self) -> _Nowhere:
        return _Nowhere()


class _Nowhere:
    """Stand for where a part would have what it needs of Python, which kernels need nothing of."""

    def set_env(self, name: str, environment: Any) -> None:
        """Leave it out."""


@contextmanager
def _parts() -> Iterator[None]:
    """Have all functions that are compiled become parts. For whoever holds Numba's lock."""
    codegen = cpu_target.target_context.codegen()
    before, codegen._library_class = codegen._library_class, _Part
    try:
        yield
    finally:
        codegen._library_class = before


def compile_kernel(made: Any, values: Sequence[Any], symbol: str) -> MachineCode:
    """Compile a kernel, in Numba's form, for arguments such as these.

    Raises numba.core.errors.NumbaError for what Numba cannot compile.
    """
    signature = tuple(map(numba.typeof, values))
    with global_compiler_lock:
        with _parts():
            made.compile(signature)
        compiled = made.overloads[signature]
        library = cpu_target.target_context.codegen().create_library(symbol)
        library.enable_object_caching()
        library.add_ir_module(_entry(library, compiled.fndesc, symbol))
        library.add_linking_library(compiled.library)
        library.finalize()
    address = library.get_pointer_to_function(symbol)
    return MachineCode(library._get_compiled_object(), str(compiled.fndesc.restype), address, library)


def _entry(library: Any, description: Any, symbol: str) -> Any:
    """Write the function ``int32 symbol(words, result)`` in LLVM: what it returns is 0 unless the kernel gave up."""
    context = cpu_target.target_context
    kind = context.call_conv.get_function_type(description.restype, description.argtypes)
    module = library.create_ir_module(symbol)
    kernel = ir.Function(module, kind, description.mangled_name)
    entry = ir.Function(module, ir.FunctionType(_BITS, [_WORD.as_pointer(), _WORD.as_pointer()]), symbol)
    builder = ir.IRBuilder(entry.append_basic_block())
    words, result = entry.args
    arguments = [_argument(builder, words, i, wanted) for i, wanted in enumerate(kind.args[2:])]
    error = builder.alloca(kind.args[1].pointee)
    status = builder.call(kernel, [builder.bitcast(result, kind.args[0]), error, *arguments])
    fine = builder.icmp_signed("==", status, ir.Constant(_BITS, NOTHING))
    builder.ret(builder.select(fine, ir.Constant(_BITS, 0), status))
    return module


def _argument(builder: ir.IRBuilder, words: ir.Value, i: int, wanted: ir.Type) -> ir.Value:
    """Read the i-th word as a type of LLVM's."""
    word = builder.load(builder.gep(words, [ir.Constant(_WORD, i)]))
    if isinstance(wanted, ir.PointerType):
        return builder.inttoptr(word, wanted)
    if isinstance(wanted, ir.FloatType):
        return builder.bitcast(builder.trunc(word, _BITS), wanted)
    return builder.trunc(word, wanted) if wanted.width < _WORD.width else word

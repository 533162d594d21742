from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

_Array = NDArray[Any]

version: str
compiler: str
cuda_reason: str

def compiled_variants() -> list[tuple[str, bool]]: ...
def active_variant() -> str: ...
def use_variant(name: str) -> None: ...
def cells() -> list[tuple[str, tuple[str, ...], tuple[str, ...], int]]: ...
def thread_count() -> int: ...
def set_thread_count(count: int) -> None: ...
def available_cpus() -> int: ...
def dropout_mask(mask: _Array, *, rate: float, key0: int, key1: int) -> None: ...
def activation(name: str, x: _Array, y: _Array) -> None: ...
def peak(dtype: str, repeats: int) -> float: ...
def recurrent_pack(
    cell: int,
    *,
    for_backward: bool,
    weight_ih: _Array,
    weight_hh: _Array,
    bias_ih: _Array | None,
    bias_hh: _Array | None,
) -> _Array: ...
def recurrent_tape_row(cell: int, *, dtype: str, hidden: int) -> int: ...
def recurrent_forward(
    cell: int,
    *,
    reverse: bool,
    hidden: int,
    x: _Array,
    state: Sequence[_Array | None],
    packed: _Array,
    y: _Array,
    final_state: Sequence[_Array],
    tape_gates: _Array | None,
    tape_states: _Array | None,
) -> None: ...
def recurrent_backward(
    cell: int,
    *,
    reverse: bool,
    x: _Array,
    y: _Array,
    state: Sequence[_Array | None],
    packed: _Array,
    tape_gates: _Array,
    tape_states: _Array,
    dy: _Array | None,
    dfinal_state: Sequence[_Array | None],
    dx: _Array | None,
    dstate: Sequence[_Array],
    dweight_ih: _Array,
    dweight_hh: _Array,
    dbias_ih: _Array | None,
    dbias_hh: _Array | None,
) -> None: ...
def linear_forward(*, x: _Array, weight: _Array, bias: _Array | None, y: _Array) -> None: ...
def linear_backward(
    *, x: _Array, weight: _Array, dy: _Array, dx: _Array, dweight: _Array, dbias: _Array | None
) -> None: ...
def sgd(
    parameter: _Array,
    gradient: _Array,
    velocity: _Array | None,
    *,
    rate: float,
    momentum: float,
    weight_decay: float,
    gradient_scale: float,
    nesterov: bool,
) -> None: ...
def rmsprop(
    parameter: _Array,
    gradient: _Array,
    square_average: _Array,
    velocity: _Array | None,
    *,
    rate: float,
    decay: float,
    epsilon: float,
    momentum: float,
    weight_decay: float,
    gradient_scale: float,
) -> None: ...
def adam(
    parameter: _Array,
    gradient: _Array,
    first_moment: _Array,
    second_moment: _Array,
    *,
    rate: float,
    beta1: float,
    beta2: float,
    epsilon: float,
    weight_decay: float,
    gradient_scale: float,
    first_scale: float,
    second_scale: float,
    decoupled: bool,
) -> None: ...
def sum_of_squares(values: _Array) -> float: ...

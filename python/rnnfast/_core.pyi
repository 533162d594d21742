from collections.abc import Callable, Sequence
from typing import Any

from numpy.typing import NDArray

_Array = NDArray[Any]

version: str
compiler: str
cuda_reason: str

def compiled_variants() -> list[tuple[str, bool]]: ...
def active_variant() -> str: ...
def use_variant(name: str) -> None: ...
def cells() -> list[dict[str, Any]]: ...
def thread_count() -> int: ...
def set_thread_count(count: int) -> None: ...
def available_cpus() -> int: ...
def dropout_mask(
    mask: _Array, *, rate: float, seed_low: int, seed_high: int, call: int, stream: int
) -> None: ...
def activation(name: str, x: _Array, y: _Array) -> None: ...
def peak(dtype: str, repeats: int) -> float: ...
def at_cache_line(memory: _Array, shape: Sequence[int]) -> _Array: ...
def accumulate(targets: list[_Array], sources: list[_Array]) -> None: ...

class PackedWeights:
    def __init__(
        self,
        cell: int,
        *,
        layer_norm: str,
        weight_ih: _Array,
        weight_hh: _Array,
        bias_ih: _Array | None,
        bias_hh: _Array | None,
        weight_hr: _Array | None,
        unit_weights: dict[str, _Array],
    ) -> None: ...
    def renewed(self, unit_weights: dict[str, _Array]) -> PackedWeights: ...
    def forward(self) -> _Array: ...
    def backward(self) -> _Array: ...

class RecurrentSettings:
    def __init__(
        self,
        cell: int,
        *,
        reverse: bool,
        recompute: int,
        zoneout_rates: Sequence[float],
        zoneout_training: bool,
        zoneout_keys: Sequence[tuple[int, int, int, int]],
    ) -> None: ...

class RecurrentCall:
    def __init__(
        self,
        weights: PackedWeights,
        settings: RecurrentSettings,
        x: _Array,
        state: Sequence[_Array | None],
        reset_state: Sequence[_Array | None],
        lengths: _Array | None,
        resets: _Array | None,
        hidden_mask: _Array | None,
    ) -> None: ...
    def tape_shape(self) -> tuple[int, int]: ...
    def checkpoints_shape(self) -> tuple[int, int, int, int] | None: ...

def recurrent_forward(
    call: RecurrentCall,
    y: _Array,
    states: Sequence[_Array | None],
    tape: _Array | None,
    checkpoints: _Array | None,
) -> tuple[_Array, ...]: ...
def recurrent_backward(
    call: RecurrentCall,
    y: _Array,
    tape: _Array,
    checkpoints: _Array | None,
    bound: float,
    dy: _Array | None,
    dfinal_state: Sequence[_Array | None],
    dx: _Array | None,
    with_reset_state: bool,
) -> tuple[tuple[_Array, ...], tuple[_Array, ...] | None, tuple[Any, ...]]: ...

class StackTape:
    @property
    def used(self) -> bool: ...

def stack_forward(
    weights: Sequence[PackedWeights],
    settings: Sequence[RecurrentSettings],
    x: _Array,
    *,
    state: Sequence[Sequence[_Array | None]] | None,
    reset_state: Sequence[Sequence[_Array | None]] | None,
    lengths: _Array | None,
    resets: _Array | None,
    input_masks: Sequence[_Array | None],
    hidden_masks: Sequence[_Array | None],
    time_major: bool,
    return_states: bool,
    memory: Any,
) -> tuple[list[_Array], list[_Array], list[list[_Array]], StackTape | None]: ...
def stack_backward(
    tape: StackTape,
    dy: _Array | None,
    *,
    dstate: Sequence[Sequence[_Array | None]] | None,
    bound: float,
    with_reset_state: bool,
    with_dx: bool,
    targets: Sequence[Sequence[_Array]],
    weight_masks: Sequence[_Array | None],
) -> tuple[_Array | None, list[_Array], list[_Array]]: ...

most_block_rows: int

def recurrent_stepper(
    *,
    layers: Sequence[PackedWeights],
    zoneout_rates: Sequence[float],
    trainable_state: bool,
    guards: list[tuple[Any, Any]],
) -> Callable[..., Any]: ...
def linear_forward(x: _Array, weight: _Array, bias: _Array | None) -> _Array: ...
def linear_backward(
    x: _Array, weight: _Array, dy: _Array, with_bias: bool
) -> tuple[_Array, _Array, _Array | None]: ...
def element_loss(
    loss: str,
    parameter: float,
    prediction: _Array,
    target: _Array,
    mask: _Array | None,
    scale: float,
    slopes: bool,
) -> tuple[float, _Array | None]: ...
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
def conv1d_pack(*, for_backward: bool, weight: _Array, bias: _Array | None) -> _Array: ...
def conv1d_forward(
    *,
    x: _Array,
    packed: _Array,
    y: _Array,
    kernel: Any,
    dilation: Any,
    stride: Any,
    first: Any,
    activation: Any,
    ring: _Array | None,
    position: int,
) -> None: ...
def conv1d_backward(
    *,
    x: _Array,
    y: _Array,
    dy: _Array,
    packed: _Array,
    dx: _Array | None,
    dweight: _Array,
    dbias: _Array | None,
    kernel: Any,
    dilation: Any,
    stride: Any,
    first: Any,
    activation: Any,
) -> None: ...
def layer_norm_forward(
    *, x: _Array, gamma: _Array, beta: _Array, y: _Array, moments: _Array | None, activation: str
) -> None: ...
def layer_norm_backward(
    *,
    x: _Array,
    y: _Array,
    gamma: _Array,
    moments: _Array,
    dy: _Array,
    dx: _Array,
    dgamma: _Array,
    dbeta: _Array,
    activation: str,
) -> None: ...
def embedding_forward(*, index: _Array, weight: _Array, y: _Array) -> None: ...
def embedding_backward(*, index: _Array, ignored: int, dy: _Array, dweight: _Array) -> None: ...
def batched_product(*, a: _Array, b: _Array, c: _Array, transpose_a: bool, transpose_b: bool) -> None: ...
def softmax_forward(*, scores: _Array, lengths: _Array | None, probabilities: _Array) -> None: ...
def softmax_backward(*, probabilities: _Array, dprobabilities: _Array, dscores: _Array) -> None: ...
def wavenet_pack(
    *, for_backward: bool, layers: Sequence[Sequence[_Array | None]], dilations: _Array, condition: int
) -> _Array: ...
def wavenet_forward(
    *,
    x: _Array,
    condition: _Array | None,
    packed: _Array,
    dilations: _Array,
    kernel: int,
    ring: _Array | None,
    position: int,
    skip: _Array,
    inputs: _Array | None,
    gates: _Array | None,
) -> None: ...
def wavenet_backward(
    *,
    x: _Array,
    condition: _Array | None,
    packed: _Array,
    dilations: _Array,
    kernel: int,
    inputs: _Array,
    gates: _Array,
    dskip: _Array,
    dx: _Array,
    dcondition: _Array | None,
    gradients: Sequence[Sequence[_Array | None]],
) -> None: ...

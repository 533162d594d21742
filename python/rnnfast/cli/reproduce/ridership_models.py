"""The models of the ridership chapter: what each one is, how it is trained, what was printed for it.

Numbers as printed are facts of the notebook (ageron/handson-mlp at commit 3bac4bf6, chapter on processing
sequences); the models are built of rnnfast's own parts. A further model of the chapter is one more entry of
`MODELS`. Not here: training them (`ridership`), the random numbers behind their weights (`torch_random`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rnnfast import data, models, nn
from rnnfast.nn.parameter import Array

from .comparison import Bound, Within
from .torch_random import TorchGenerator, draw_parameters, draw_recurrent_as_linear

HIDDEN_SIZE = 32
WINDOW = 56
LONG_WINDOW = 112  # of the models that begin with a convolution
ONE_IN_A_THOUSAND = Within(1e-3)
ALL_INPUTS = ("rail", "bus", "A", "U", "W")

Windows = Callable[[Array], tuple[Array, Array]]


class OneBiasRnn(models.Seq2Vec):
    """The cell that the chapter writes by hand: tanh(norm(W [x_t, h_{t-1}] + b)), norm left out or not.

    W and b are those of one linear layer. Beside b there is no second bias: b_hh is 0 and stays so, as its
    gradient is put to 0; two biases would move twice as far as one.
    """

    def __init__(self, input_size: int, output_size: int, *, layer_norm: str | None = None) -> None:
        super().__init__(input_size, HIDDEN_SIZE, output_size, cell="rnn", layer_norm=layer_norm)

    def backward(self, tape: nn.Tape | None, dy: Array) -> Array:
        """As that of `Seq2Vec`, with the second bias held at 0."""
        dx = super().backward(tape, dy)
        dict(self.recurrent.named_parameters())["bias_hh_l0"].grad_value.fill(0)
        return dx


def draw_by_layer(model: nn.Module, generator: TorchGenerator) -> None:
    """Initial weights of models whose layers PyTorch has as well."""
    draw_parameters(model.named_parameters(), generator)


def draw_one_bias(model: nn.Module, generator: TorchGenerator) -> None:
    """Initial weights of `OneBiasRnn`: one linear layer on [x_t, h_{t-1}], then the output layer."""
    assert isinstance(model, OneBiasRnn)
    draw_recurrent_as_linear(dict(model.recurrent.named_parameters()), generator)
    draw_parameters(model.head.named_parameters(), generator)


@dataclass(frozen=True)
class RidershipModel:
    """One model of the chapter: what it is, how it is trained, what was published.

    Args:
        build: makes the model.
        windows: cuts a series [days, columns] into the model's inputs and targets.
        epochs: how many to train.
        epochs_printed: train loss, train MAE and validation MAE as printed after some epochs, counted from 1;
            None where the chapter's numbers are not at hand.
        best: the best validation MAE of all epochs, in boardings, as printed, or None.
        best_bound: what the measured one must fulfil.
        draw: gives the model its initial weights.
        columns: the model's inputs, columns of :class:`Ridership`.
        learning_rate: of SGD.
        momentum: of SGD.
        patience: epochs without a better validation MAE after which the learning rate falls.
        factor: to which share of itself it falls.
    """

    build: Callable[[], nn.Module]
    windows: Windows
    epochs: int
    epochs_printed: dict[int, tuple[str, str, str] | None]
    best: str | None = None
    best_bound: Bound = ONE_IN_A_THOUSAND
    draw: Callable[[nn.Module, TorchGenerator], None] = draw_by_layer
    columns: tuple[str, ...] = ("rail",)
    learning_rate: float = 0.05
    momentum: float = 0.95
    patience: int = 20
    factor: float = 0.1


def next_days(days: int, *, flat: bool = False) -> Windows:
    """Inputs [N, WINDOW, columns], or flat; targets: their first column on the next days [N, days]."""

    def cut(series: Array) -> tuple[Array, Array]:
        inputs, targets = data.windows(series, WINDOW, days)
        return inputs.reshape(len(inputs), -1) if flat else inputs, targets[..., 0]

    return cut


def next_day_of_both(series: Array) -> tuple[Array, Array]:
    """Inputs [N, WINDOW, columns]; targets: their first two columns, rail and bus, on the next day [N, 2]."""
    inputs, targets = data.windows(series, WINDOW, 1)
    return inputs, targets[:, 0, :2]


def next_days_at_steps(window: int, steps: slice = slice(None)) -> Windows:
    """Inputs [N, window, columns]; targets: their first column on the 14 days after each day of the input, or
    after those that `steps` picks.
    """

    def cut(series: Array) -> tuple[Array, Array]:
        inputs, targets = data.windows(series, window, 14, target="seq2seq")
        return inputs, targets[:, steps, :, 0]

    return cut


def last_state(cell: str, inputs: int, outputs: int, num_layers: int = 1) -> Callable[[], nn.Module]:
    """Recurrent layers, the last hidden state of the top one into a linear layer."""
    return lambda: models.Seq2Vec(inputs, HIDDEN_SIZE, outputs, num_layers, cell=cell)


def downsampling() -> nn.Module:
    """A convolution over 4 days at every second day, ReLU, a GRU, 14 outputs at each of its steps."""
    front = {"channels": HIDDEN_SIZE, "kernel_size": 4, "stride": 2, "activation": "relu"}
    return models.Seq2Seq(1, HIDDEN_SIZE, 14, cell="gru", conv=front)


def wavenet(inputs: int) -> Callable[[], nn.Module]:
    """Causal convolutions over 2 days, 1, 2, 4 and 8 days apart, twice, each with ReLU; 14 outputs a day."""
    return lambda: models.WaveNet(
        inputs, HIDDEN_SIZE, 14, kernel_size=2, dilations=(1, 2, 4, 8), blocks=2, activation="relu"
    )


MODELS = {
    "linear": RidershipModel(
        build=lambda: nn.Linear(WINDOW, 1),
        windows=next_days(1, flat=True),
        epochs=50,
        epochs_printed={1: ("0.0154", "0.1458", "0.1235"), 2: ("0.0100", "0.1117", "0.0996")},
        best="37,725.72",
        learning_rate=0.003,
        momentum=0.9,
        patience=10,
    ),
    "rnn-by-hand": RidershipModel(
        build=lambda: OneBiasRnn(1, 1),
        windows=next_days(1),
        epochs=50,
        epochs_printed={1: ("0.0523", "0.2600", "0.2126"), 2: ("0.0174", "0.1542", "0.1167")},
        best="30,511.00",
        draw=draw_one_bias,
    ),
    "rnn": RidershipModel(
        build=last_state("rnn", 1, 1),
        windows=next_days(1),
        epochs=50,
        epochs_printed={1: ("0.0487", "0.2535", "0.1329"), 2: ("0.0181", "0.1523", "0.1268")},
        best="30,659.41",
    ),
    "deep": RidershipModel(
        build=last_state("rnn", 1, 1, num_layers=3),
        windows=next_days(1),
        epochs=50,
        epochs_printed={1: ("0.0632", "0.2830", "0.2213"), 2: ("0.0189", "0.1573", "0.0953")},
        best="29,272.93",
        learning_rate=0.07,
    ),
    "multivariate": RidershipModel(
        build=last_state("rnn", 5, 1),
        windows=next_days(1),
        epochs=50,
        epochs_printed={1: ("0.0652", "0.2960", "0.0526"), 2: ("0.0076", "0.1007", "0.0425")},
        best="23,227.35",
        columns=ALL_INPUTS,
    ),
    "multitask": RidershipModel(
        build=last_state("rnn", 5, 2),
        windows=next_day_of_both,
        epochs=50,
        epochs_printed={1: ("0.0630", "0.2872", "0.1379"), 2: ("0.0091", "0.1085", "0.0680")},
        best="24,694.67",
        columns=ALL_INPUTS,
        learning_rate=0.03,
    ),
    "multistep": RidershipModel(
        build=last_state("rnn", 5, 14),
        windows=next_days(14),
        epochs=50,
        epochs_printed={1: ("0.0725", "0.3051", "0.1730"), 2: ("0.0164", "0.1480", "0.1142")},
        best="32,950.67",
        columns=ALL_INPUTS,
    ),
    "seq2seq": RidershipModel(
        build=lambda: models.Seq2Seq(5, HIDDEN_SIZE, 14, cell="rnn"),
        windows=next_days_at_steps(WINDOW),
        epochs=65,
        epochs_printed={
            1: ("0.0332", "0.1934", "0.1210"),
            2: ("0.0084", "0.0975", "0.0756"),
            12: ("0.0034", "0.0529", "0.0474"),
        },
        best="46,307.99",
        # SGD at a learning rate of 1 amplifies rounding: from epoch 13 on the digits part, and one unit in
        # the last place of one initial weight moved the best MAE between 46,283 and 46,862 (24 runs; 47,028
        # without).
        best_bound=Within(2e-2),
        columns=ALL_INPUTS,
        learning_rate=1.0,
        patience=5,
        factor=0.5,
    ),
    "layer-norm": RidershipModel(
        build=lambda: OneBiasRnn(5, 14, layer_norm="joint"),
        windows=next_days(14),
        epochs=2,
        epochs_printed={1: ("0.0693", "0.2941", "0.1618"), 2: ("0.0207", "0.1647", "0.1438")},
        best="143,809.51226",
        best_bound=Within(1e-5),
        draw=draw_one_bias,
        columns=ALL_INPUTS,
    ),
    "lstm": RidershipModel(
        build=last_state("lstm", 5, 14),
        windows=next_days(14),
        epochs=2,
        epochs_printed={1: ("0.0940", "0.3618", "0.2087"), 2: ("0.0258", "0.1747", "0.1717")},
        best="171,688.46726",
        best_bound=Within(1e-5),
        columns=ALL_INPUTS,
    ),
    "gru": RidershipModel(
        build=last_state("gru", 5, 14),
        windows=next_days(14),
        epochs=2,
        epochs_printed={1: ("0.0813", "0.3289", "0.1561"), 2: ("0.0212", "0.1757", "0.1410")},
        best="141,033.32162",
        best_bound=Within(1e-5),
        columns=ALL_INPUTS,
    ),
    "conv-gru": RidershipModel(
        build=downsampling,
        # Valid convolution: its first output has seen days 0 to 3, the next ones two days more each.
        windows=next_days_at_steps(LONG_WINDOW, slice(3, None, 2)),
        epochs=2,
        epochs_printed={1: None, 2: None},
        learning_rate=0.2,
    ),
    "wavenet": RidershipModel(
        build=wavenet(1),
        windows=next_days_at_steps(LONG_WINDOW),
        epochs=2,
        epochs_printed={1: None, 2: None},
        learning_rate=0.1,
    ),
    "wavenet-multivariate": RidershipModel(
        build=wavenet(5),
        windows=next_days_at_steps(LONG_WINDOW),
        epochs=2,
        epochs_printed={1: None, 2: None},
        columns=ALL_INPUTS,
        learning_rate=0.1,
    ),
}

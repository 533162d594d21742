"""The other libraries by name: imported when asked for, checked before they are timed."""

from __future__ import annotations

from .jax_peers import Jax, Keras
from .onednn_peer import OneDnn
from .onnx_peer import OnnxRuntime
from .peer import Peer
from .torch_peers import CompiledTorch, Torch

PEERS: dict[str, type[Peer]] = {
    peer.name: peer for peer in (Torch, CompiledTorch, OnnxRuntime, Jax, Keras, OneDnn)
}


def load(name: str, threads: int, folder: str | None = None) -> Peer:
    """A peer by name.

    Args:
        name: one of `PEERS`.
        threads: how many it may use.
        folder: where it is, for one that is no Python package.

    Raises:
        ImportError: if it is not installed, naming the extra.
    """
    try:
        return PEERS[name](threads, folder)
    except ImportError as error:
        what = "install the extra, pip install 'rnnfast[bench]'"
        if folder:
            what = "give the folder that holds its include/ and lib/ (docs/benchmarks.md names a wheel)"
        raise ImportError(
            f"bench: {name} is not installed ({error}); {what}, or leave it out of --against"
        ) from None

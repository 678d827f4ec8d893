"""Several processes on one machine that compute the gradients of different batches and take every step together.

A model this small gains little from a second thread, and nearly twofold from a second process. Weights and gradients
lie in shared memory: followers only compute gradients, the leader alone changes weights, so there is one copy of the
weights and nothing to keep equal. The mean over batches is taken in the order of their ranks, whoever is faster.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

import torch
import torch.multiprocessing as multiprocessing
from torch import Tensor, nn

from dialog_rl.errors import TrainingError

Gradients = Callable[[Any, Any], Tensor]
"""(model, batch) → sums_S for the record; leaves `.grad` at the model's parameters. Importable by name."""


class Crew:
    """`ranks` processes with this one as their leader, as a context manager. Each computes with the threads it has."""

    def __init__(self, model: nn.Module, gradients: Gradients, *, ranks: int, sums: int) -> None:
        """sums: how many numbers `gradients` returns."""
        self._model, self._gradients = model, gradients
        size = sum(p.numel() for p in model.parameters())
        self._row_RN = torch.zeros(ranks, size + sums)
        self._followers: list[tuple[Any, Connection]] = []
        if ranks == 1:
            return
        model.share_memory()
        self._row_RN.share_memory_()
        context = multiprocessing.get_context("spawn")
        for rank in range(1, ranks):
            mine, theirs = context.Pipe()
            arguments = (model, gradients, self._row_RN[rank], theirs)
            process = context.Process(target=_follow, args=arguments, daemon=True)
            process.start()
            theirs.close()
            self._followers.append((process, mine))

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, *_: object) -> None:
        for process, connection in self._followers:
            connection.close()
            process.join(5)
            if process.is_alive():
                process.kill()

    def compute(self, batches: Sequence[Any]) -> Tensor:
        """One batch a process, at most as many as there are. Leaves the mean gradient at the model; returns sums_S.

        Raises TrainingError if another process died or failed, with what it said.
        """
        self._model.zero_grad(set_to_none=True)
        followers = self._followers[: len(batches) - 1]
        for (_, connection), batch in zip(followers, batches[1:], strict=True):
            with suppress(BrokenPipeError):  # told when its answer is missing
                connection.send(batch)
        _write(self._model, self._gradients(self._model, batches[0]), self._row_RN[0])
        for process, connection in followers:
            try:
                failure = connection.recv()
            except (EOFError, ConnectionResetError):
                process.join(5)
                raise TrainingError(f"a computing process ended with exit code {process.exitcode}") from None
            if failure:
                raise TrainingError(f"a computing process failed: {failure}")
        return _read(self._row_RN[: len(batches)], self._model)


def _follow(model: nn.Module, gradients: Gradients, row_N: Tensor, connection: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the leader is interrupted, and closes the connection
    torch.set_num_threads(1)
    with suppress(EOFError, ConnectionResetError, BrokenPipeError):
        while True:
            batch = connection.recv()
            try:
                _write(model, gradients(model, batch), row_N)
            except Exception as e:  # marked border: told to the leader
                connection.send(f"{type(e).__name__}: {e}")
                return
            connection.send("")


def _write(model: nn.Module, sums_S: Tensor, row_N: Tensor) -> None:
    """The model's gradients and the sums, one after the other, into a row of shared memory."""
    parts = [p.grad.flatten() if p.grad is not None else torch.zeros(p.numel()) for p in model.parameters()]
    torch.cat([*parts, sums_S.to(row_N.dtype)], out=row_N)
    model.zero_grad(set_to_none=True)


def _read(row_RN: Tensor, model: nn.Module) -> Tensor:
    """The mean gradient to the model; the sums over the rows."""
    mean_N, at = row_RN.mean(0), 0
    for p in model.parameters():
        p.grad = mean_N[at : at + p.numel()].view_as(p).clone()
        at += p.numel()
    return row_RN[:, at:].sum(0)

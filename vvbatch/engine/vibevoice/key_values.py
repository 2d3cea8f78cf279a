"""Keys and values of the language model's rows: each in memory of its own, or many in one tensor.

On the CPU a row has memory of its own and its attention is a call of its own, over exactly its positions. On a GPU a
call costs more than its work, so rows of one capacity stand in a bank and share a call: positions that a row does not
have are masked. A row's capacity follows its own length, so its bits do not depend on the other rows there either.
"""

from __future__ import annotations

from collections import defaultdict

import torch
from torch import Tensor

GROWTH = 256
"""Positions: the smallest piece by which a row's memory grows (it grows by half its length otherwise)."""
BANK_ROWS, BANK_BYTES = 8, 256 << 20
"""Rows of a bank, fewer where they would take more memory than this."""


class KeyValues:
    """Keys and values of one row, (layers, 2, heads, positions, head size). Memory follows the context's length."""

    def __init__(self, like: Tensor) -> None:
        """`like`: an empty cache of the right shape, dtype and device."""
        self.data = like
        self.length = 0

    def reserve(self, positions: int) -> None:
        """Make room for `positions` in all."""
        capacity = self.data.shape[3]
        if positions <= capacity:
            return
        capacity = max(-(-positions // GROWTH) * GROWTH, capacity + capacity // 2)
        grown = self.data.new_empty(*self.data.shape[:3], capacity, self.data.shape[4])
        grown[:, :, :, : self.length] = self.data[:, :, :, : self.length]
        self.data = grown

    def load(self, prefix: Tensor) -> None:
        """Begin with another row's first positions."""
        positions = prefix.shape[3]
        self.reserve(positions)
        self.data[:, :, :, :positions] = prefix
        self.length = positions

    def release(self) -> None:
        """Give the memory back."""
        self.data, self.length = self.data[:, :, :, :0].clone(), 0


class Bank:
    """Rows of one capacity: data is (layers, 2, rows, heads, capacity, head size)."""

    def __init__(self, like: Tensor, capacity: int) -> None:
        layers, pair, heads, _, size = like.shape
        row_bytes = layers * pair * heads * capacity * size * like.element_size()
        self.rows = max(1, min(BANK_ROWS, BANK_BYTES // row_bytes))
        self.data = like.new_zeros(layers, pair, self.rows, heads, capacity, size)
        self.order = torch.arange(capacity, device=like.device)
        self.free = set(range(self.rows))

    def visible(self, places: Tensor, lengths: Tensor) -> Tensor:
        """Mask (rows, 1, 1, capacity) of a step: each row in `places` sees its first positions and its newest, at its
        length."""
        newest = torch.zeros(self.rows, dtype=lengths.dtype, device=lengths.device)
        newest[places] = lengths
        return (self.order <= newest[:, None])[:, None, None]


class Banks:
    """The banks of a model, by capacity."""

    def __init__(self) -> None:
        self._banks: defaultdict[int, list[Bank]] = defaultdict(list)

    def take(self, like: Tensor, positions: int) -> tuple[Bank, int]:
        """A bank with room for `positions`, and a row of zeros in it."""
        capacity = GROWTH
        while capacity < positions:
            capacity *= 2
        banks = self._banks[capacity]
        bank = next((bank for bank in banks if bank.free), None)
        if bank is None:
            bank = Bank(like, capacity)
            banks.append(bank)
        place = min(bank.free)
        bank.free.remove(place)
        bank.data[:, :, place] = 0  # a masked NaN of an earlier line would still be NaN
        return bank, place

    def rows_in_use(self) -> int:
        return sum(bank.rows - len(bank.free) for banks in self._banks.values() for bank in banks)

    def give_back(self, bank: Bank, place: int) -> None:
        """Free a row. An empty bank is kept if it has the smallest capacity."""
        bank.free.add(place)
        capacity = len(bank.order)
        if capacity > GROWTH and len(bank.free) == bank.rows:
            self._banks[capacity].remove(bank)


class BankedKeyValues(KeyValues):
    """Keys and values of one row of a bank: `data` is a view of it."""

    def __init__(self, like: Tensor, banks: Banks) -> None:
        super().__init__(like)
        self.banks = banks
        self.bank: Bank | None = None
        self.place = 0

    def reserve(self, positions: int) -> None:
        if positions <= self.data.shape[3]:
            return
        bank, place = self.banks.take(self.data, positions)
        grown = bank.data[:, :, place]
        grown[:, :, :, : self.length] = self.data[:, :, :, : self.length]
        self._leave()
        self.data, self.bank, self.place = grown, bank, place

    def release(self) -> None:
        super().release()
        self._leave()

    def _leave(self) -> None:
        if self.bank is not None:
            self.banks.give_back(self.bank, self.place)
            self.bank = None

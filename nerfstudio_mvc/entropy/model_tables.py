"""The integer tables of a model that codes, as of CompressAI's models: `update` makes them, or a file brings them."""

from __future__ import annotations

from typing import Generic, TypeVar

from torch import nn

from nerfstudio_mvc.errors import ShapeError

Tables = TypeVar("Tables")


class ModelWithTables(nn.Module, Generic[Tables]):
    """Base of models that code; a subclass says in `new_tables` how tables are made of its weights.

    Attributes:
        tables: None before `update` or `use_tables`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.tables: Tables | None = None

    def new_tables(self) -> Tables:
        """Tables from the likelihoods that training uses."""
        raise NotImplementedError

    def update(self, scale_table: object = None, force: bool = False) -> bool:
        """Make the integer tables of the range coder, unless there are some; whether any were made.

        Args:
            scale_table: CompressAI passes the scales of its tables; ours are fixed, so it must be None.
        """
        if scale_table is not None:
            raise ShapeError("the scales of the tables are fixed in this model: call update() without scale_table")
        if self.tables is not None and not force:
            return False
        self.tables = self.new_tables()
        return True

    def use_tables(self, tables: Tables) -> None:
        """Code with these tables, as a weights file holds them."""
        self.tables = tables

    def ready_tables(self) -> Tables:
        """The tables, of a model that is ready to code.

        Raises:
            ShapeError: it is in training mode, or has none.
        """
        if self.training:
            raise ShapeError("a model in training mode does not code: call eval() first")
        if self.tables is None:
            raise ShapeError("the model has no tables yet: call update() first")
        return self.tables

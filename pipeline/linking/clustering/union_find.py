"""Disjoint sets: who is in one group, as pairs are joined."""

from collections.abc import Hashable
from typing import Generic, TypeVar

T = TypeVar("T", bound=Hashable)


class UnionFind(Generic[T]):
    """Groups of members. Somebody who was never joined is a group of their own."""

    def __init__(self) -> None:
        self._parent: dict[T, T] = {}

    def find(self, member: T) -> T:
        """Return the representative of a member's group."""
        root = member
        while root in self._parent:
            root = self._parent[root]
        while member != root:
            parent = self._parent[member]
            self._parent[member] = root
            member = parent
        return root

    def join(self, first: T, second: T) -> bool:
        """Make the groups of both one, represented by that of the first.

        Returns:
            False if they were one group before.
        """
        first_root = self.find(first)
        second_root = self.find(second)
        if first_root == second_root:
            return False
        self._parent[second_root] = first_root
        return True

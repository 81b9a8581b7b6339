"""Shared rotations: splits of all linear transforms chosen together, so that they rotate by the same steps.

A rotation by a step needs a key for that step, which may be some megabytes. Each transform on its own is fastest with
steps that suit its diagonals; but a split that takes one rotation more may do with keys that another transform needs
anyway, or that a fold or a window sum needs. With a price on keys every transform is split anew, given the steps of all
others, until nothing changes: the higher the price, the fewer keys and the more rotations.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace

from hecc.compiler.ckks.lowering.embedding import Embedding, Sharing

__all__ = ["share_rotations"]

ROUNDS = 4
"""Of all transforms; most settle in two."""


def share_rotations(
    embeddings: Mapping[str, tuple[Embedding, ...]], always: Iterable[int], key: float
) -> dict[str, tuple[Embedding, ...]]:
    """Choose splits again, with a price on keys.

    Parameters
    ----------
    embeddings
        By value of an affine node, one per term.
    always
        Steps that are needed whatever the splits: of folds and window sums.
    key
        Price of a key, in the units of the embeddings' weights.
    """
    places = [(name, k) for name, terms in embeddings.items() for k in range(len(terms))]
    chosen = {(name, k): embeddings[name][k] for name, k in places}
    fixed = frozenset(always)
    for _ in range(ROUNDS):
        before = {place: chosen[place].split for place in places}
        for place in places:
            others = [chosen[other].split for other in places if other != place]
            sharing = Sharing(
                key=key,
                available=fixed.union(*(split.steps for split in others)),
                sizes=tuple(size for size, _ in Counter(split.baby_steps for split in others).most_common()),
            )
            chosen[place] = replace(chosen[place], sharing=sharing)
        if before == {place: chosen[place].split for place in places}:
            break
    return {name: tuple(chosen[name, k] for k in range(len(terms))) for name, terms in embeddings.items()}

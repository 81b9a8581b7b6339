"""How layers flow into each other: a decomposition that holds every layer once, and keeps who comes after whom."""

import numpy as np
import pytest

from hecc.words.report.flow import DEEPEST, Box, Branches, Rank, arrange


def boxes(*layers):
    return tuple(map(Box, layers))


@pytest.mark.parametrize(
    ("reads", "flow"),
    [
        ([], ()),
        ([()], boxes(0)),
        ([(), (0,), (1,)], boxes(0, 1, 2)),
        # A residual block: one branch passes its values on as they are.
        ([(), (0,), (1,), (0, 2)], (Box(0), Branches((boxes(1, 2), ())), Box(3))),
        ([(), (0,), (0,), (1, 2), (3,)], (Box(0), Branches((boxes(1), boxes(2))), *boxes(3, 4))),
        # Two inputs, and two outputs of which one is read.
        ([(), (), (0,), (1, 2)], (Branches((boxes(0, 2), boxes(1))), Box(3))),
        ([(), (0,), (0,), (2,)], (Box(0), Branches((boxes(1), boxes(2, 3))))),
        # Branches in a branch.
        (
            [(), (0,), (1,), (1,), (2, 3), (0,), (4, 5)],
            (Box(0), Branches(((Box(1), Branches((boxes(2), boxes(3))), Box(4)), boxes(5))), Box(6)),
        ),
        # Crosswise.
        ([(), (0,), (0,), (1, 2), (1, 2), (3, 4)], (Box(0), Rank((1, 2)), Rank((3, 4)), Box(5))),
    ],
)
def test_networks_are_taken_apart(reads, flow):
    assert arrange(reads) == flow


def layers(flow):
    for thing in flow:
        if isinstance(thing, Box):
            yield thing.layer
        elif isinstance(thing, Rank):
            yield from thing.layers
        else:
            for way in thing.ways:
                yield from layers(way)


def depth(flow):
    return max((1 + max(map(depth, thing.ways)) for thing in flow if isinstance(thing, Branches)), default=0)


@pytest.mark.parametrize("seed", range(40))
def test_every_layer_of_any_network_is_there_once_behind_those_that_it_reads(seed):
    random = np.random.default_rng(seed)
    count = int(random.integers(1, 30))
    reads = [
        tuple(sorted(set(random.integers(max(0, n - 4), n, random.integers(0, 3)).tolist()))) if n else ()
        for n in range(count)
    ]
    found = list(layers(arrange(reads)))
    assert sorted(found) == list(range(count))
    assert all(found.index(read) < found.index(layer) for layer, read in enumerate(reads) for read in read)


def test_a_forged_network_cannot_exhaust_the_stack():
    reads = [(), *((layer,) for layer in range(3000))]
    # Each layer of the second half passes over one more of the first half.
    reads += [(len(reads) - 1 + layer, 3000 - layer) for layer in range(3000)]
    flow = arrange(reads)
    assert depth(flow) <= DEEPEST
    assert sorted(layers(flow)) == list(range(len(reads)))

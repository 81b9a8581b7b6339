"""The pipeline: from an imported graph to a plan, in the order in which the passes have to run.

:data:`PASSES` is that order as data, with the reason for each place. The passes from Graph to Graph run one after the
other, and what each makes is checked against its stage (:mod:`hecc.compiler.graph.stages`). The steps behind them run
for each ring degree that could do and each way to pack a batch into its slots (:mod:`hecc.passes.ckks.search`), and
again with a little more precision where what was predicted is not kept. The verifier runs after each step that makes a
circuit. What runs them is :mod:`hecc.passes.ckks.driving`.

Run ``python -m hecc.passes.ckks.pipeline docs/explanation/passes.md`` after a change to the list.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hecc.compiler.ckks.lowering.lowering import lower
from hecc.compiler.ckks.prediction.precision import simulated_precision
from hecc.compiler.graph.graph import Graph
from hecc.compiler.graph.passes import Pass, Step, passes_table, run_passes, write_between
from hecc.compiler.graph.stages import ARITHMETIC, CANONICAL, IMPORTED
from hecc.compiler.promise.decisions import score_outputs
from hecc.compiler.promise.promise import Promise
from hecc.passes.ckks.agreement import rows_outside
from hecc.passes.ckks.align import align_factors
from hecc.passes.ckks.approximate import Approximated, Approximation
from hecc.passes.ckks.cleanup import clean_up
from hecc.passes.ckks.kinks.order import order_maxima
from hecc.passes.ckks.kinks.proved import ANY, drop_proved_kinks
from hecc.passes.ckks.layouts import select_layouts
from hecc.passes.ckks.operators import take_operators_apart
from hecc.passes.ckks.parameters import choose_chain
from hecc.passes.ckks.scales import apply_scales
from hecc.passes.ckks.shared_rotations import share_rotations
from hecc.passes.graph.activations import substitute_activations
from hecc.passes.graph.depth import multiplicative_depth
from hecc.passes.graph.functions import compose_functions
from hecc.passes.graph.fuse_affine import fuse_affine
from hecc.passes.graph.normalise_outputs import normalise_outputs
from hecc.passes.graph.operators.masks import hide_masked
from hecc.passes.graph.outputs import merge_outputs
from hecc.passes.graph.products import merge_products
from hecc.passes.graph.ranges import value_ranges
from hecc.passes.graph.selections import move_selections
from hecc.passes.graph.window_sums import sum_windows
from hecc.runtime.ckks.readings.noise_bound import worst_errors

__all__ = ["CANONICALISING", "FITTING", "PASSES", "Fitting", "canonicalise"]


@dataclass
class Fitting:
    """What the passes that make a graph arithmetic know beside it, and what they find out.

    Attributes
    ----------
    polynomials
        What makes polynomials of the functions.
    calibration
        Inputs by name, where polynomials are chosen by decisions: then outputs are promised as polynomials make them.
    promise
        Of the outputs as they are at the time.
    approximated
        What became of the functions.
    changed
        Whether there were any.
    """

    polynomials: Callable[[], Approximated]
    calibration: Mapping[str, NDArray[np.float64]] | None
    promise: Promise | None
    approximated: Approximated | None = None
    changed: bool = False

    def approximate(self, graph: Graph) -> Graph:
        """The graph with polynomials for functions, and what is promised of it."""
        found = self.polynomials()
        self.changed = found.graph is not graph
        if self.calibration is not None:
            # Rows that leave an interval are lost, however large they become.
            inside = ~rows_outside(found.graph, found.graph.evaluate(self.calibration))
            self.calibration = {name: rows[inside] for name, rows in self.calibration.items()}
            # The class is what counts of scores, and not how near to zero or one the client's softmax brings them.
            scores = {output.name for output in score_outputs(found.graph)}
            steps = {name: each for name, each in found.graph.epilogues.items() if name not in scores}
            self.promise = Promise.of(replace(found.graph, epilogues=steps), self.calibration)
            found = replace(found, error=0.0)
        self.approximated = found
        return found.graph

    def normalise(self, graph: Graph) -> Graph:
        """The graph with outputs of the size that noise asks for, and what is promised of it."""
        assert self.promise is not None, "polynomials are chosen before"
        normalised = normalise_outputs(graph, self.promise.encrypted, self.promise.near)
        self.promise = self.promise.behind(normalised.restored, normalised.values)
        return normalised.graph


@dataclass(frozen=True)
class _Given:
    """What the passes that make a graph canonical know beside it.

    Attributes
    ----------
    declared
        Smallest and largest value of each input's elements; of inputs that it lacks nothing is known.
    calibration
        Inputs by name, shape (rows, ...), if there are any.
    """

    declared: Mapping[str, tuple[float, float]]
    calibration: Mapping[str, NDArray[np.float64]] | None


CANONICALISING: tuple[Pass[_Given], ...] = (
    Pass(
        "order of maxima",
        order_maxima,
        lambda graph, _: order_maxima(graph),
        IMPORTED,
        IMPORTED,
        "functions go behind maxima while these are operators",
    ),
    Pass(
        "masks",
        hide_masked,
        lambda graph, given: hide_masked(graph, given.calibration),
        IMPORTED,
        IMPORTED,
        "while a softmax is one operator, which can leave elements out",
    ),
    Pass(
        "operators",
        take_operators_apart,
        lambda graph, given: take_operators_apart(graph, given.calibration),
        IMPORTED,
        IMPORTED,
        "what CKKS cannot evaluate is taken apart or refused, before anything looks at it",
    ),
    Pass(
        "outputs",
        merge_outputs,
        lambda graph, _: merge_outputs(graph),
        IMPORTED,
        IMPORTED,
        "those that are one value are merged while they can be told by their names",
    ),
    Pass(
        "functions",
        compose_functions,
        lambda graph, _: compose_functions(graph),
        IMPORTED,
        IMPORTED,
        "a chain of elementwise operators becomes one function, before anything takes it apart",
    ),
    Pass(
        "proved kinks",
        drop_proved_kinks,
        lambda graph, given: drop_proved_kinks(graph, given.declared),
        IMPORTED,
        IMPORTED,
        "behind operators and functions, whose rectifiers it looks at; before activations, which take its squares",
    ),
    Pass(
        "activations",
        substitute_activations,
        lambda graph, _: substitute_activations(graph),
        IMPORTED,
        CANONICAL,
        "before fusion, which would hide the elementwise structure that it looks for",
    ),
    Pass(
        "selections",
        move_selections,
        lambda graph, _: move_selections(graph),
        CANONICAL,
        CANONICAL,
        "ahead of activations, before fusion, which takes them into the layers there",
    ),
    Pass(
        "sibling products",
        merge_products,
        lambda graph, _: merge_products(graph),
        CANONICAL,
        CANONICAL,
        "after selections, which show what products read; before fusion, which takes what gathers their factors away",
    ),
    Pass(
        "affine fusion",
        fuse_affine,
        lambda graph, _: fuse_affine(graph),
        CANONICAL,
        CANONICAL,
        "after activations, whose leading coefficients and constants it absorbs",
    ),
    Pass(
        "window sums",
        sum_windows,
        lambda graph, _: sum_windows(graph),
        CANONICAL,
        CANONICAL,
        "for the poolings that fusion left alone",
    ),
    Pass(
        "affine fusion",
        fuse_affine,
        lambda graph, _: fuse_affine(graph),
        CANONICAL,
        CANONICAL,
        "once more, for the factors that window sums leave",
    ),
)
"""From an imported graph to a canonical one."""

FITTING: tuple[Pass[Fitting], ...] = (
    Pass(
        "approximation",
        Approximation.at,
        lambda graph, fitting: fitting.approximate(graph),
        CANONICAL,
        ARITHMETIC,
        "functions become polynomials, on the canonical graph: it asks for the fewest levels that are precise enough",
    ),
    Pass(
        "affine fusion",
        fuse_affine,
        lambda graph, fitting: fuse_affine(graph) if fitting.changed else graph,
        ARITHMETIC,
        ARITHMETIC,
        "once more, for the normalisation of the arguments of polynomials, where there are any",
    ),
    Pass(
        "sizes of outputs",
        normalise_outputs,
        lambda graph, fitting: fitting.normalise(graph),
        ARITHMETIC,
        ARITHMETIC,
        "after fusion, which shows what is the last affine map",
    ),
)
"""From a canonical graph to an arithmetic one."""

PASSES: tuple[Pass[Any] | Step, ...] = (
    *CANONICALISING,
    Step(
        "promise",
        Promise.of,
        "canonical",
        "canonical",
        "what outputs are on the calibration inputs and far from them, while functions are the true ones",
    ),
    *FITTING,
    Step(
        "depth",
        multiplicative_depth,
        "arithmetic",
        "depths",
        "what fusion left is what the modulus chain pays for",
    ),
    Step(
        "ranges",
        value_ranges,
        "arithmetic",
        "ranges",
        "on the arithmetic graph: these are the values that ciphertexts will hold",
    ),
    Step(
        "layouts",
        select_layouts,
        "arithmetic",
        "layouts",
        "depend on how many slots an example has; with one for each there is nothing to choose",
    ),
    Step(
        "rotations",
        share_rotations,
        "layouts",
        "layouts",
        "shared by the linear transforms of these layouts, if there is a budget for keys",
    ),
    Step(
        "lowering",
        lower,
        "arithmetic",
        "circuit",
        "turns maps and layouts into diagonals, or into sparse matrices",
    ),
    Step(
        "parameters",
        choose_chain,
        "circuit",
        "modulus chain",
        "the cheapest at the security and precision asked for",
    ),
    Step(
        "alignment",
        align_factors,
        "arithmetic",
        "arithmetic",
        "of a product's factors, should no layouts of the layers before do it; then the same again",
    ),
    Step("scales", apply_scales, "circuit", "circuit", "once, for the best of all circuits"),
    Step("clean-up", clean_up, "circuit", "circuit", "after scale planning, which makes rescales that can be shared"),
    Step(
        "simulation",
        simulated_precision,
        "circuit",
        "precision",
        "the precision promised, checked with simulated noise on the calibration inputs",
    ),
    Step(
        "flooding",
        worst_errors,
        "circuit",
        "noise",
        "for results to be disclosed: the noise that hides the largest error of any input",
    ),
)
"""All of it, in the order in which each first runs."""


def canonicalise(
    graph: Graph,
    declared: Mapping[str, tuple[float, float]] = ANY,
    calibration: Mapping[str, NDArray[np.float64]] | None = None,
) -> Graph:
    """The canonical graph of an imported one: affine maps, monic squares, products, window sums and functions only.

    Parameters
    ----------
    declared
        Smallest and largest value of each input's elements; of inputs that it lacks nothing is known.
    calibration
        Inputs by name, shape (rows, ...), which tell how far apart the numbers of a softmax lie.
    """
    return run_passes(CANONICALISING, graph, _Given(declared, calibration))


if __name__ == "__main__":
    write_between(Path(sys.argv[1]), "passes", passes_table(PASSES))

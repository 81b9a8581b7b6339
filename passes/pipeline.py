"""The pipeline: from an ONNX file to a plan, in the order in which the passes have to run.

    import        one node per ONNX operator, parameters named
    outputs       that are one value are merged while they can be told by their names
    functions     a chain of elementwise operators becomes one function, before anything takes it apart
    activations   before fusion, which would hide the elementwise structure it looks for
    selections    ahead of activations, before fusion, which takes them into the layers there
    affine fusion after activations, whose leading coefficients and constants it absorbs
    window sums   for the poolings that fusion left alone; fusion runs once more, for the factors they leave
    approximation functions become polynomials, on the canonical graph: it asks for the fewest levels that are precise
                  enough; fusion once more, for the normalisation of their arguments
    depth         what fusion left is what the modulus chain pays for
    ranges        on the canonical graph: these are the values that ciphertexts will hold
    for each ring degree that could do, and each way to pack a batch into its slots (:mod:`hecc.passes.search`):
        layouts     depend on how many slots an example has; with one for each there is nothing to choose
        rotations   shared by the linear transforms of these layouts, if there is a budget for keys
        lowering    turns maps and layouts into diagonals, or into sparse matrices
        parameters  the cheapest modulus chain at the security and precision asked for
    alignment     of a product's factors, should no layouts of the layers before do it; then the same again
    scales        once, for the best of them
    clean-up      after scale planning, which makes rescales that can be shared
    simulation    the precision promised, checked with simulated noise on the calibration inputs
    flooding      for results to be shown to others: the noise that hides the largest error of any input

The verifier runs after each step that makes a circuit.
"""

from __future__ import annotations

import hashlib
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
from msgspec.structs import replace as replaced
from numpy.typing import NDArray

from hecc.compiler import assembly
from hecc.compiler.ir.graph import FunctionNode, Graph, ProductNode, SeriesNode
from hecc.compiler.options import Options
from hecc.compiler.precision import simulated_precision
from hecc.compiler.scaling import Magnitude
from hecc.passes.activations import substitute_activations
from hecc.passes.align import align_factors
from hecc.passes.approximate import Approximated, approximate_functions
from hecc.passes.cleanup import clean_up
from hecc.passes.depth import multiplicative_depth
from hecc.passes.functions import compose_functions
from hecc.passes.fuse_affine import fuse_affine
from hecc.passes.layouts import LayoutChoice, MisalignedError
from hecc.passes.outputs import merge_outputs
from hecc.passes.parameters import WORST_DEVIATION, Demand
from hecc.passes.ranges import value_ranges
from hecc.passes.scales import apply_scales
from hecc.passes.search import Lowerings, refusal, search
from hecc.passes.selections import move_selections
from hecc.passes.window_sums import sum_windows
from hecc.runtime.choices import Choices, LayerChoice, LayoutOffer
from hecc.runtime.circuit import Circuit, Polynomial
from hecc.runtime.errors import CircuitError, CompileError
from hecc.runtime.flooding import deviations, flooding_factor, value_deviation
from hecc.runtime.header import OutputSignature, PlanHeader, Sharing
from hecc.runtime.parameters import KeySpecification
from hecc.runtime.plan import Plan
from hecc.runtime.verify import ArrayType, verify, verify_expanded
from hecc.runtime.worst_case import UnboundedError, worst_errors

__all__ = ["build_plan", "canonicalise"]

log = logging.getLogger(__name__)

RETRIES = 6

TAIL_BITS = 0.5
"""By how much the largest error of a batch of thousands differs from one key to another: a slot in which the secret
happens to be large has large errors in all ciphertexts."""

UNEVEN_BITS = 0.25
"""By how much the largest error differs from one drawing of the noise to another where values are multiplied with one
another: errors are as uneven as the values, and a few of them decide."""

SHARED_RETRIES, SHARED_STEP = 32, 32
"""For results to be shown to others the scale grows until the precision is there, by the bits that are missing: errors
are half as large with a bit more. By so many at most, as errors as large as the values are larger than that."""

BOUNDLESS_STEP = 4
"""By how many bits it grows, or the scale of weights, where those are so small that errors have no bound."""

LEAST_ERROR = 16
"""Bits of the largest error of any circuit, less than that of a single rescale."""

SERIES_WEIGHT_BITS = 12
"""By which the weights ahead of polynomials are more precise to begin with, as their rounding moves the argument."""


def canonicalise(graph: Graph) -> Graph:
    """The canonical graph of an imported one: affine maps, monic squares, products, window sums and functions only."""
    elementwise = substitute_activations(compose_functions(merge_outputs(graph)))
    return fuse_affine(sum_windows(fuse_affine(move_selections(elementwise))))


def build_plan(
    imported: Graph,
    model: bytes,
    calibration: Mapping[str, NDArray[np.float64]],
    declared: Mapping[str, tuple[float, float]],
    options: Options,
    progress: Callable[[str], None] = lambda _: None,
) -> Plan:
    """Compile an imported graph.

    Parameters
    ----------
    model
        The ONNX file's bytes, for the fingerprint.
    calibration
        Inputs by name, shape (rows, *shape of one example).
    declared
        Range of each input's elements.
    progress
        Called with the name of each stage as it starts.

    Raises
    ------
    UnsupportedError
        The network cannot be evaluated on encrypted data.
    CompileError
        No parameters satisfy the options.
    """
    progress("fuse and simplify")
    graph = canonicalise(imported)
    if any(isinstance(node, FunctionNode) for node in graph.nodes):
        progress("fit polynomials")
    required = options.precision_bits + (TAIL_BITS if options.many else 0.0)
    if any(isinstance(node, ProductNode) for node in graph.nodes):
        required += UNEVEN_BITS
    # Results may be shown only if no input at all can overflow: then intervals are all that is proved, and the modulus
    # has room for it.
    proved = options.share > 0
    approximated = approximate_functions(
        graph,
        calibration,
        declared,
        options.precision_bits,
        options.interval_margin,
        proved=proved,
        reserve_bits=required - options.precision_bits,
        quiet=options.quiet,
    )
    graph = fuse_affine(approximated.graph) if approximated.graph is not graph else graph
    task = _Task(hashlib.sha256(model).hexdigest(), calibration, declared, options, required, approximated, progress)
    while True:
        try:
            return _plan(graph, task)
        except MisalignedError as fault:
            graph = align_factors(graph, fault.product, multiplicative_depth(graph))


@dataclass(frozen=True)
class _Task:
    """What a plan is made for, beside the canonical graph."""

    model: str
    calibration: Mapping[str, NDArray[np.float64]]
    declared: Mapping[str, tuple[float, float]]
    options: Options
    required_bits: float
    approximated: Approximated
    progress: Callable[[str], None]


def _plan(graph: Graph, task: _Task) -> Plan:
    """The plan of a canonical graph, once its functions are polynomials."""
    calibration, declared, options, progress = task.calibration, task.declared, task.options, task.progress
    required, error = task.required_bits, task.approximated.error
    depth = multiplicative_depth(graph)
    log.debug("canonical graph, depth %d:\n%s", max(depth.values()), graph)
    progress("measure ranges")
    ranges = value_ranges(graph, calibration, declared, options.margin, proved=options.share > 0)
    observed = {name: ranges[name].observed for name in graph.outputs}
    magnitudes = {value: Magnitude(r.observed, r.rms, r.bound, r.quantiles) for value, r in ranges.items()}

    # Noise has what approximation leaves of the error, that of flooding too.
    wanted, under_noise = (_with(-error, bits) for bits in (required, options.precision_bits))
    scale_bits_from = _first_scale_bits(options)
    weight_bits = SERIES_WEIGHT_BITS if any(isinstance(node, SeriesNode) for node in graph.nodes) else 0
    precision = math.inf
    lowerings = Lowerings()
    for _ in range(SHARED_RETRIES if options.share else RETRIES):
        progress("select layouts and parameters")
        demand = Demand(graph, depth, magnitudes, options, wanted, scale_bits_from, weight_bits)
        lowering, candidate, rings = search(demand, lowerings, task.approximated.remark)
        progress("plan scales")
        scaled, moved = apply_scales(lowering.lowered, candidate.scales)
        circuit, kept = clean_up(scaled)
        keys = assembly.key_specification(circuit, candidate.chain, options)
        values = {value: kept[moved[i]] for value, i in lowering.lowered.results.items()}
        types = verify(circuit, keys, bounds={i: ranges[value].bound for value, i in values.items()})
        layouts = lowering.choice.layouts
        outputs = assembly.output_signatures(graph, circuit, types, keys, layouts, candidate.deviations, observed)
        share: Sharing | msgspec.UnsetType = msgspec.UNSET
        flooded = math.inf
        if options.share:
            progress("bound the largest error")
            try:
                share, flooded = _sharing(circuit, types, keys, declared, outputs, observed, options.share)
            except UnboundedError as unbounded:
                step = unbounded.bits or BOUNDLESS_STEP
                if unbounded.encoding:
                    weight_bits += step
                else:
                    scale_bits_from = candidate.chain.scale_bits + step
                continue
            if flooded < under_noise:
                missing = math.ceil(under_noise - flooded)
                scale_bits_from = candidate.chain.scale_bits + min(missing, SHARED_STEP)
                continue
            flooded = _with(error, flooded)
        progress("check precision")
        polynomials = any(isinstance(ins, Polynomial) for ins in circuit.instructions)
        expanded, kinds = verify_expanded(circuit, keys) if polynomials else (circuit, types)
        reference = task.approximated.reference if error else None
        precision = simulated_precision(expanded, kinds, keys, layouts, calibration, observed, reference)
        log.debug("predicted %.1f bits, simulated %.1f\n%s", candidate.precision_bits, precision, circuit)
        if precision >= required:
            header = PlanHeader(
                producer=options.producer,
                model=task.model,
                inputs=assembly.input_signatures(graph, circuit, types, layouts, declared),
                outputs=assembly.with_aliases(graph, outputs),
                keys=keys,
                estimate=assembly.estimate(
                    circuit, types, keys, options, _depth(graph, depth), min(precision, flooded)
                ),
                share=share,
            )
            return Plan(header, circuit, choices=Choices(rings=rings, layers=_layer_choices(graph, lowering.choice)))
        wanted += required - precision + 0.5
    if math.isinf(precision):
        # The errors of results to be shown were never small enough to look any further.
        raise CompileError(refusal(demand, math.inf, task.approximated.remark))
    raise CompileError(
        f"simulated noise leaves {precision:.1f} bits of precision on the calibration inputs, "
        f"not {options.precision_bits:g}; ask for less with --precision, or calibrate with inputs like the real ones"
    )


def _with(error: float, bits: float) -> float:
    """The bits of precision with another error beside that of so many bits."""
    return -math.log2(2.0**-bits + error) if error else bits


def _first_scale_bits(options: Options) -> int:
    """Bits of scale to begin with: what no circuit can do without."""
    if not options.share:
        return 0
    flooding = math.log2(WORST_DEVIATION * flooding_factor(options.share, 1))
    return math.ceil(options.precision_bits + flooding + LEAST_ERROR)


def _sharing(
    circuit: Circuit,
    types: Sequence[ArrayType],
    keys: KeySpecification,
    declared: Mapping[str, tuple[float, float]],
    outputs: tuple[OutputSignature, ...],
    observed: Mapping[str, float],
    results: int,
) -> tuple[Sharing, float]:
    """The noise that hides the largest error of each output, and the bits of precision that it leaves."""
    try:
        errors = worst_errors(circuit, types, keys, declared)
    except UnboundedError:
        raise
    except CircuitError as error:
        raise CompileError(f"results cannot be shared: {error}") from None
    share = Sharing(results=results, deviations=deviations(results, outputs, [errors[s.name] for s in outputs]))
    return share, _flooded_precision(share, outputs, observed)


def _flooded_precision(share: Sharing, outputs: tuple[OutputSignature, ...], observed: Mapping[str, float]) -> float:
    """Bits of precision of the worst output after flooding."""
    worst = max(
        math.hypot(value_deviation(s, deviation), s.error) / observed[s.name]
        for s, deviation in zip(outputs, share.deviations, strict=True)
    )
    return -math.log2(WORST_DEVIATION * worst)


def _layer_choices(graph: Graph, choice: LayoutChoice) -> tuple[LayerChoice, ...]:
    """What layouts were compared, for the plan's record; one example's, whatever the batch."""
    taken = {value: replaced(layout, batch=1) for value, layout in choice.layouts.items()}
    return tuple(
        LayerChoice(
            source=str(graph.node(name).source),
            chosen=next(i for i, offer in enumerate(offers) if offer.target == taken[name]),
            offers=tuple(
                LayoutOffer(
                    layout=offer.target, diagonals=offer.diagonals, rotations=offer.rotations, seconds=offer.cost
                )
                for offer in offers
            ),
        )
        for name, offers in choice.offers.items()
    )


def _depth(graph: Graph, depth: Mapping[str, int]) -> int:
    """The network's depth: that of its deepest output."""
    return max(depth[name] for name in graph.outputs)

"""Assembly: what a finished circuit needs in the way of keys, signatures and estimates, for the plan's header."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any

import msgspec
from msgspec.structs import replace as replaced

from hecc.compiler.ckks.chain.scaling import Chain
from hecc.compiler.ckks.options import Options
from hecc.compiler.ckks.prediction import cost, memory
from hecc.compiler.ckks.prediction.devices import DEVICE_MODELS
from hecc.compiler.graph.graph import Graph
from hecc.compiler.promise.promise import Measured
from hecc.runtime.ckks.circuit.bootstraps import expand_macros
from hecc.runtime.ckks.circuit.instructions import (
    Bootstrap,
    Circuit,
    DropLimbs,
    Polynomial,
    Raise,
    Rescale,
    as_float,
    kinds_with,
)
from hecc.runtime.ckks.circuit.layout import Layout
from hecc.runtime.ckks.circuit.parameters import (
    Encapsulation,
    GaloisElement,
    KeySpecification,
    SecurityEvidence,
    SparseEvidence,
)
from hecc.runtime.ckks.circuit.security import SPARSE_TABLE_SOURCE, TABLE_SOURCE, limit, sparse_limit
from hecc.runtime.ckks.circuit.traits import Trait
from hecc.runtime.ckks.plan.header import CkksInput, CkksOutput, Estimate, EstimatedMachine
from hecc.runtime.ckks.plan.rates import Rates
from hecc.runtime.ckks.readings.types import HEADROOM, ArrayType
from hecc.runtime.reading import Reading

DECODED = 2.0**-44
"""Precision of decoding, in double precision, relative to the largest value."""

__all__ = ["circuit_limbs", "estimate", "input_signatures", "key_specification", "output_signatures", "with_aliases"]


def key_specification(circuit: Circuit, chain: Chain, options: Options) -> KeySpecification:
    """The ring, the primes, and a key for each Galois element that the circuit uses and no other.

    With the chain of another plan these are all of its primes, of which the circuit uses the first.
    """
    expanded = expand_macros(circuit, circuit_limbs(circuit))
    galois: dict[int, int] = {}
    for element, users in expanded.circuit.galois_uses(chain.ring_degree).items():
        galois[element] = max(expanded.limbs[i] for i in users)
    steps = zip(expanded.circuit.instructions, expanded.limbs, strict=True)
    relinearization = [used for ins, used in steps if Trait.RELINEARIZES in ins.traits]
    return KeySpecification(
        ring_degree=chain.ring_degree,
        data_primes=chain.data_primes if options.chain is None else options.chain.data_primes,
        special_primes=chain.special_primes,
        digit_limbs=chain.digit_limbs,
        relinearization_limbs=max(relinearization, default=0),
        galois=tuple(GaloisElement(element, used) for element, used in sorted(galois.items())),
        security=SecurityEvidence(
            level=options.security,
            adversary=options.adversary,
            table=TABLE_SOURCE,
            log2_limit=limit(chain.ring_degree, options.security, options.adversary),
        ),
        encapsulation=_encapsulation(circuit, chain, options),
    )


def _encapsulation(circuit: Circuit, chain: Chain, options: Options) -> Encapsulation | msgspec.UnsetType:
    """The sparse secret that the circuit's bootstraps raise under, if it has any."""
    bootstraps = [ins for _, ins in circuit.every(Bootstrap)]
    if not bootstraps:
        return msgspec.UNSET
    (weight,) = {ins.weight for ins in bootstraps}
    allowed = sparse_limit(chain.ring_degree, weight, options.security)
    evidence = SparseEvidence(level=options.security, table=SPARSE_TABLE_SOURCE, log2_limit=allowed)
    return Encapsulation(weight=weight, limbs=max(ins.limbs or 0 for ins in bootstraps), security=evidence)


def circuit_limbs(circuit: Circuit) -> list[int]:
    """Limbs of every value of a circuit with scales."""
    arriving = {i: ins.limbs or 0 for i, ins in circuit.inputs()}
    limbs: list[int] = []
    for i, ins in enumerate(circuit.instructions):
        before = arriving[i] if i in arriving else limbs[ins.operands[0]]
        limbs.append(_LEFT.of(ins)(ins, before) if ins.traits & (Trait.LEVELS | Trait.RAISES) else before)
    return limbs


_LEFT: Reading[Callable[[Any, int], int]] = Reading(
    "the limbs of results that have others than the operand",
    kinds_with(Trait.LEVELS | Trait.RAISES),
    {
        Rescale: lambda ins, before: before - ins.limbs,
        DropLimbs: lambda ins, before: before - ins.limbs,
        Polynomial: lambda ins, before: before - sum(ins.dropped or ()),
        Raise: lambda ins, before: ins.limbs,
        Bootstrap: lambda ins, before: (ins.limbs or 0) - sum((ins.dropped or ())[1:]),
    },
)


def input_signatures(
    graph: Graph,
    circuit: Circuit,
    types: Sequence[ArrayType],
    layouts: Mapping[str, Layout],
    declared: Mapping[str, tuple[float, float]],
) -> tuple[CkksInput, ...]:
    """How the client packs and encrypts each input."""
    signatures = []
    for i, ins in circuit.inputs():
        low, high = declared[ins.name]
        shape = graph.node(ins.name).output.shape
        signatures.append(
            CkksInput(
                name=ins.name,
                shape=graph.example_shape(shape),
                layout=layouts[ins.name],
                limbs=types[i].limbs,
                scale=_scale(ins.encoding_scale),
                low=low,
                high=high,
                paired=ins.VECTORS == 2,
            )
        )
    return tuple(signatures)


def output_signatures(
    graph: Graph,
    circuit: Circuit,
    types: Sequence[ArrayType],
    keys: KeySpecification,
    layouts: Mapping[str, Layout],
    deviations: Mapping[str, float],
    largest: Mapping[str, float],
) -> tuple[CkksOutput, ...]:
    """How the client decrypts and unpacks each result, and what it may expect to find."""
    signatures = []
    for i, ins in circuit.outputs():
        modulus = 1
        for prime in keys.data_primes[: types[i].limbs]:
            modulus *= prime
        shape = graph.node(ins.name).output.shape
        signatures.append(
            CkksOutput(
                name=ins.name,
                shape=graph.example_shape(shape),
                layout=layouts[ins.name],
                limbs=types[i].limbs,
                scale=_scale(types[i].scale),
                bound=min(as_float(modulus / (HEADROOM * _scale(types[i].scale))), sys.float_info.max),
                error=max(deviations[ins.name], DECODED * largest[ins.name]),
                epilogue=tuple(graph.epilogues.get(ins.name, ())),
            )
        )
    return tuple(signatures)


def with_aliases(graph: Graph, signatures: Sequence[CkksOutput]) -> tuple[CkksOutput, ...]:
    """The outputs of the network, of which several may be one encrypted value."""
    known = {signature.name: signature for signature in signatures}
    if not graph.aliases:
        return tuple(signatures)
    return tuple(
        known[name]
        if name == source
        else replaced(known[source], name=name, epilogue=tuple(graph.epilogues.get(name, ())), of=source)
        for name, source in graph.aliases.items()
    )


def _scale(scale: Fraction | None) -> Fraction:
    if scale is None:
        raise ValueError("signatures need a circuit with scales")
    return scale


def estimate(
    circuit: Circuit,
    types: Sequence[ArrayType],
    keys: KeySpecification,
    options: Options,
    depth: int,
    promised: Measured,
) -> Estimate:
    """What running the circuit will cost, and how precise its results are."""
    limbs = [kind.limbs for kind in types]
    sent = sum(
        ins.ciphertexts * memory.ciphertext_bytes(keys.ring_degree, types[i].limbs, seeded=True)
        for i, ins in circuit.inputs()
    )
    received = sum(
        kind.count * memory.ciphertext_bytes(keys.ring_degree, kind.limbs)
        for kind in (types[i] for i, _ in circuit.outputs())
    )

    def seconds(rates: Rates | None) -> float:
        return cost.circuit_seconds(circuit, limbs, model.key_cost_model(keys, circuit.period, rates))

    model, profile = DEVICE_MODELS[options.device], options.machine
    return Estimate(
        device=options.device,
        depth=depth,
        rotations=cost.circuit_rotations(circuit),
        seconds=seconds(options.rates),
        peak_memory=model.memory.use(circuit, limbs, keys).total,
        evaluation_key_bytes=model.memory.evaluation_keys(keys),
        input_bytes=sent,
        output_bytes=received,
        precision_bits=promised.bits,
        worst_element=promised.worst,
        far_precision_bits=promised.far_bits,
        machine=msgspec.UNSET
        if profile is None
        else EstimatedMachine(
            name=profile.machine,
            kernels=profile.kernels,
            threads=profile.threads,
            parallel_seconds=seconds(profile.all_threads),
            rates=profile.one_thread,
        ),
    )

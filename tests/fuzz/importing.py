"""The importer against onnxruntime, on random nodes and small networks.

    python tests/fuzz/importing.py --cases 20000 --resume results.jsonl

Every case has a number, and everything in it follows from that number. Each is one line of the results file, so that
an interrupted run goes on where it stopped. What differs is printed with its number: ``--only NUMBER`` shows it again.
At the end there is a table of the cases that were compared, by operator and opset.

There are three kinds of cases. *Folded*: all inputs of a node are constants; its outputs must be those of onnxruntime,
type included. *Encrypted*: some inputs are encrypted; the graph, and what the client does behind it, is evaluated in
clear. *Network*: several nodes in a row. What hecc refuses, or onnxruntime does, does not count.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import sys
import traceback
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from operators import GENERATORS, ML, Draw, UnfitError, Use

from hecc.compiler.graph.graph import Graph
from hecc.compiler.importer.building.batch import Batch
from hecc.compiler.importer.building.call import Call
from hecc.compiler.importer.building.importer import import_model
from hecc.compiler.importer.building.scope import Scope
from hecc.compiler.importer.folding.fold import fold
from hecc.compiler.importer.reading.prepare import OLDEST_OPSET, newest_opset, opset_of, prepare
from hecc.runtime.errors import HeccError
from hecc.runtime.tail.epilogue import apply_steps

__all__ = ["Outcome", "main", "run", "table"]

Array = NDArray[Any]

TOLERANCE = {"float16": (4e-3, 4e-3), "float32": (1e-4, 1e-5), "float64": (1e-6, 1e-7)}
"""Relative to the element, and to the largest element or one; of the type in which onnxruntime computes."""

FOLDED = {"float16": (2e-3, 1e-3), "float32": (1e-4, 3e-5), "float64": (1e-6, 1e-7)}
"""The same of constants."""

COARSE = {"float16": (1e-2, 1e-2), "float32": (1e-2, 1e-2), "float64": (1e-2, 1e-2)}
"""Of what is to differ by a small error only."""

DISTURBANCE = 1e-5
"""Where one so small changes what onnxruntime makes of a network, there is nothing to compare."""

ML_OPSET = 3


class Case(Exception):
    """Raised where there is no case: onnxruntime refuses the model."""


class Mixed(Exception):
    """Raised where a network mixes the rows of an open batch, which the importer is to refuse."""


@dataclass
class Outcome:
    """What became of a case."""

    seed: int
    kind: str = ""
    nodes: list[tuple[str, int]] = field(default_factory=list)
    outcome: str = ""
    message: str = ""

    @property
    def compared(self) -> bool:
        return self.outcome in ("agrees", "differs")


@dataclass
class Network:
    """A model as it grows, with what onnxruntime has computed of it."""

    opset: int
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: dict[str, Array] = field(default_factory=dict)
    feeds: dict[str, Array] = field(default_factory=dict)
    values: dict[str, Array] = field(default_factory=dict)
    outputs: list[str] = field(default_factory=list)

    def model(self, dims: Mapping[str, list[int | str]] | None = None) -> onnx.ModelProto:
        shapes = dims or {}
        inputs = [
            helper.make_tensor_value_info(
                name, helper.np_dtype_to_tensor_dtype(array.dtype), shapes.get(name, array.shape)
            )
            for name, array in self.feeds.items()
        ]
        outputs = [onnx.ValueInfoProto(name=name) for name in self.outputs]
        constants = [numpy_helper.from_array(array, name) for name, array in self.constants.items()]
        graph = helper.make_graph(self.nodes, "case", inputs, outputs, constants)
        imports = [helper.make_opsetid("", self.opset), helper.make_opsetid(ML, ML_OPSET)]
        return helper.make_model(graph, opset_imports=imports, ir_version=10)

    def fresh(self) -> str:
        return f"t{len(self.constants) + len(self.feeds) + len(self.values)}"


@functools.cache
def opsets(operator: str) -> range:
    """Those that have the operator; all, for one of another domain."""
    versions = sorted(
        (schema.since_version, schema.deprecated)
        for schema in onnx.defs.get_all_schemas_with_history()
        if schema.name == operator and schema.domain == ""
    )
    if not versions:
        return range(OLDEST_OPSET, newest_opset() + 1)
    last, deprecated = versions[-1]
    end = last if deprecated else newest_opset() + 1
    return range(max(OLDEST_OPSET, versions[0][0]), end)


def evaluated(model: onnx.ModelProto, feeds: Mapping[str, Array]) -> list[Array]:
    """What onnxruntime computes."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    # Node by node, as the model says; its optimiser has faults of its own.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
        results = session.run(None, dict(feeds))
    except onnxruntime.capi.onnxruntime_pybind11_state.NotImplemented as error:
        # It does not have the newest meaning of some operators yet.
        schemas = [onnx.defs.get_schema(node.op_type, opset_of(model)) for node in model.graph.node if not node.domain]
        if not any(schema.since_version == newest_opset() for schema in schemas):
            raise Case(str(error)) from None
        results = _referred(model, feeds)
    except Exception as error:  # onnxruntime's own errors have no common base
        raise Case(str(error)) from None
    if not all(isinstance(result, np.ndarray) for result in results):
        raise Case("its results are not tensors")
    return list(results)


def _referred(model: onnx.ModelProto, feeds: Mapping[str, Array]) -> list[Array]:
    """What ONNX's reference implementation computes, which is right about the newest opset, if about any."""
    try:
        return [np.asarray(result) for result in ReferenceEvaluator(model).run(None, dict(feeds))]
    except Exception as error:  # whatever its numpy code happens to raise
        raise Case(str(error)) from None


# --- making cases -----------------------------------------------------------------------------------------------------


def add(network: Network, draw: Draw, use: Use, current: str | None, encrypted: float) -> list[str]:
    """Append a node; its first input is ``current``, if there is one, and others are encrypted now and then."""
    names: list[str] = []
    for position, given in enumerate(use.inputs):
        if given is None:
            names.append("")
        elif current is not None and position == 0:
            names.append(current)
        else:
            names.append(network.fresh())
            chosen = given.encryptable and draw.chance(encrypted)
            (network.feeds if chosen else network.constants)[names[-1]] = given.array
    outputs = []
    for _ in range(use.outputs):
        outputs.append(network.fresh())
        network.values[outputs[-1]] = np.zeros(0)
    network.nodes.append(helper.make_node(use.operator, names, outputs, domain=use.domain, **use.attributes))
    return outputs


def single(random: np.random.Generator, operator: str, opset: int, mode: str, folded: bool) -> Network:
    """One node: all of it constant, or at least one input encrypted."""
    real = str(random.choice(["float32", "float32", "float32", "float64", "float16"]))
    leading = {"whole": None, "dynamic": 1, "fixed": int(random.integers(2, 4))}[mode]
    draw = Draw(random, opset, real, None if folded else leading)
    draw.folded = folded
    use = GENERATORS[operator](draw)
    network = Network(opset)
    if folded or not any(given and given.encryptable for given in use.inputs):
        network.outputs = add(network, draw, use, None, 0.0)
    else:
        while not network.feeds:
            network = Network(opset)
            network.outputs = add(network, draw, use, None, draw.pick(0.3, 1.0))
        if draw.chance(0.4) and len(network.outputs) == 1:
            # Behind it something that the client does not compute, so that the node is in the middle.
            middle = helper.make_node("Sin", network.outputs, ["behind"])
            if evaluated(network.model(), network.feeds)[0].dtype.kind == "f":
                network.nodes.append(middle)
                network.outputs = ["behind"]
    return network


def several(random: np.random.Generator, opset: int, mode: str) -> tuple[Network, list[str]]:
    """A few nodes in a row, now and then with constants that are computed, and with a short cut."""
    leading = {"whole": None, "dynamic": 1, "fixed": int(random.integers(2, 4))}[mode]
    draw = Draw(random, opset, "float32", leading)
    network = Network(opset)
    current = "x"
    shape = draw.shape(2, 4, 5)
    network.feeds[current] = network.values[current] = draw.numbers(shape)
    length = draw.integer(2, 5)
    names: list[str] = []
    # An Upsample whose input has another rank than its scales, as with several rows, ends onnxruntime's process.
    usable = sorted(name for name in GENERATORS if opset in opsets(name) and name != "Upsample")
    for _ in range(12):
        if len(names) == length:
            break
        operator = str(random.choice(usable))
        step = Draw(random, opset, "float32", leading, network.values[current])
        # On a copy, which is thrown away where the operator does not fit.
        trial = Network(opset, list(network.nodes), dict(network.constants), dict(network.feeds), dict(network.values))
        try:
            use = GENERATORS[operator](step)
            if not use.inputs or use.inputs[0] is None or use.inputs[0].array is not network.values[current]:
                continue
            outputs = add(trial, step, use, current, 0.1)
            _shorten(trial, step, current)
            _compute_constants(trial, step, usable)
            trial.outputs = [str(random.choice(outputs))]
            result = evaluated(trial.model(), trial.feeds)[0]
        except (Case, UnfitError, ValueError, IndexError, TypeError):
            continue
        if result.dtype.kind == "O" or result.size == 0 or result.size > 4000:
            continue
        if not np.isfinite(result.astype(np.float64)).all() or np.abs(result.astype(np.float64)).max() > 1e3:
            continue
        network, current = trial, trial.outputs[0]
        network.values[current] = result
        names.append(operator)
    if len(names) < 2:
        raise Case("no operator fits")
    return network, names


def _shorten(network: Network, draw: Draw, current: str) -> None:
    """Put an earlier value in the place of a constant of its shape and type."""
    node = network.nodes[-1]
    for position, name in enumerate(node.input):
        array = network.constants.get(name)
        if array is None or array.dtype != np.float32 or not draw.chance(0.4):
            continue
        fitting = [
            other
            for other, value in network.values.items()
            if value.shape == array.shape and value.dtype == array.dtype and other != current and value.size
        ]
        if fitting:
            node.input[position] = draw.pick(*fitting)


def _compute_constants(network: Network, draw: Draw, usable: list[str]) -> None:
    """Put a node in front of a constant that makes it from another one of the same shape."""
    node = network.nodes[-1]
    for position, name in enumerate(node.input):
        array = network.constants.get(name)
        if array is None or array.dtype != np.float32 or array.ndim == 0 or not draw.chance(0.3):
            continue
        inner = Draw(draw.random, draw.opset, "float32", None, array)
        use = GENERATORS[draw.pick(*usable)](inner)
        if use.outputs > 1 or use.domain or not use.inputs or use.inputs[0] is None or use.inputs[0].array is not array:
            continue
        part = Network(network.opset, [], {name: array})
        (result,) = part.outputs = add(part, inner, use, name, 0.0)
        try:
            (made,) = evaluated(part.model(), {})
        except Case:
            continue
        if made.shape != array.shape or made.dtype != array.dtype or not np.isfinite(made).all():
            continue
        renamed = {output: f"{name}:{output}" for output in [*part.constants, result] if output != name}
        for inner_node in part.nodes:
            for slot, source in enumerate(inner_node.input):
                inner_node.input[slot] = renamed.get(source, source)
            inner_node.output[0] = renamed[result]
        network.constants.update({renamed.get(key, key): value for key, value in part.constants.items()})
        network.values[renamed[result]] = np.zeros(0)
        node.input[position] = renamed[result]
        network.nodes[-1:] = [*part.nodes, node]


# --- comparing --------------------------------------------------------------------------------------------------------


def run(seed: int, show: bool = False, only: str = "", operator: str = "") -> Outcome:
    """Make a case from its number, and compare, unless it is not of the kind or of the operator that is wanted."""
    random = np.random.default_rng(seed)
    wanted, operator = operator, str(random.choice(sorted(GENERATORS)))
    opset = int(random.choice(list(opsets(operator))))
    kind = str(random.choice(["folded", "encrypted", "network"], p=[0.45, 0.4, 0.15]))
    mode = str(random.choice(["whole", "dynamic", "fixed"], p=[0.5, 0.3, 0.2]))
    done = Outcome(seed, kind, [(operator, opset)])
    if (only and kind != only) or (wanted and (operator != wanted or kind == "network")):
        done.outcome = "left out"
        return done
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            if kind == "network":
                network, names = several(random, opset, mode)
                done.nodes = [(name, opset) for name in names]
            else:
                network = single(random, operator, opset, mode, kind == "folded")
            if show:
                print(mode, onnx.printer.to_text(network.model()))
            if not network.feeds:
                done.kind = "folded"
            done.message = (_folded if done.kind == "folded" else _encrypted)(network, mode, show)
        done.outcome = "differs" if done.message else "agrees"
    except HeccError as error:
        done.outcome, done.message = "refused", str(error).splitlines()[0]
    except Mixed as error:
        done.outcome, done.message = "mixes", str(error)
    except (Case, UnfitError) as error:
        done.outcome, done.message = "invalid", str(error)[:200]
    except Exception as error:
        if show:
            traceback.print_exc()
        place = traceback.extract_tb(error.__traceback__)[-1]
        done.outcome = "fault"
        done.message = f"{type(error).__name__}: {str(error)[:200]} at {Path(place.filename).name}:{place.lineno}"
    return done


def _folded(network: Network, _: str, show: bool) -> str:
    expected = evaluated(network.model(), {})
    model = prepare(network.model())
    scope = Scope.of(model, Batch(axis=False))
    for node in model.graph.node:
        scope.operands.update(fold(Call.of(scope, node)))
    found = [scope.operands[name].array for name in network.outputs]
    kinds = _kinds(network, network.constants.values())
    return _difference(found, expected, FOLDED, kinds, exact=True, show=show)


def _kinds(network: Network, arrays: Iterable[Array]) -> set[str]:
    """The real types in which onnxruntime computes some of a network."""
    kinds = {array.dtype.name for array in arrays if array.dtype.kind == "f" and array.size}
    # By its attribute stash_type its statistics are in single precision.
    return kinds | {"float32" for node in network.nodes if node.op_type == "GroupNormalization"}


def _encrypted(network: Network, mode: str, show: bool) -> str:
    batched = mode != "whole" and all(array.ndim > 1 for array in network.feeds.values())
    batched &= len({array.shape[:1] for array in network.feeds.values()}) == 1
    open_batch = batched and mode == "dynamic"
    dims = {name: ["N", *array.shape[1:]] for name, array in network.feeds.items()} if open_batch else {}
    model = network.model(dims)
    examples = [network.feeds]
    if open_batch:
        random = np.random.default_rng(0)
        rows = [network.feeds] + [
            {n: random.permuted(a.reshape(-1)).reshape(a.shape) for n, a in network.feeds.items()} for _ in "ab"
        ]
        examples = [{n: np.concatenate([row[n] for row in rows]) for n in network.feeds}]
    expected = [evaluated(model, feeds) for feeds in examples]
    if any(not np.isfinite(result).all() for result in expected[0] if result.dtype.kind == "f"):
        raise Case("its results are not finite")
    graph = import_model(model, batch_axis=batched)
    computed = [*network.feeds.values(), *network.constants.values(), *network.values.values()]
    kinds = _kinds(network, computed)
    for feeds, wanted in zip(examples, expected, strict=True):
        given = {name: array if graph.batch_axis else array[np.newaxis] for name, array in feeds.items()}
        values = graph.evaluate(given)
        shapes = {node.output.name: graph.example_shape(node.output.shape) for node in graph.nodes}
        decrypted = {name: values[name].reshape(-1, *shapes[name]) for name in graph.outputs}
        found = _finished(graph, decrypted)
        if any(array.dtype.kind == "f" and not np.isfinite(array).all() for array in found):
            raise Case("a pole, which is refused when a polynomial is fitted")
        if message := _difference(found, wanted, TOLERANCE, kinds, exact=False, show=show):
            if len(network.nodes) > 1 and (_noisy(graph, decrypted, found) or _unstable(model, feeds, wanted)):
                raise Case("a small error decides")
            # onnxruntime takes a probability from one, in single precision, of which a logarithm shows the rounding.
            if {"LinearClassifier", "Log"} <= {node.op_type for node in network.nodes}:
                raise Case("a small error decides")
            if batched and _mixes(model, feeds, wanted, open_batch=open_batch):
                raise Mixed(message)
            return message
    return ""


def _finished(graph: Graph, decrypted: Mapping[str, Array]) -> list[Array]:
    """The outputs, once the client has done what is left to it."""
    rows = [apply_steps(array, graph.epilogues.get(name, ())) for name, array in decrypted.items()]
    return [array if graph.batch_axis else array[0] for array in rows]


def _noisy(graph: Graph, decrypted: Mapping[str, Array], found: list[Array]) -> bool:
    """Whether the client makes something else of what it decrypts where that is a little off."""
    for seed in range(8):
        random = np.random.default_rng(seed)
        moved = {name: array + DISTURBANCE * random.uniform(-1, 1, array.shape) for name, array in decrypted.items()}
        if _difference(_finished(graph, moved), found, COARSE, set(), exact=False, show=False):
            return True
    return False


def _mixes(model: onnx.ModelProto, feeds: Mapping[str, Array], wanted: list[Array], *, open_batch: bool) -> bool:
    """Whether onnxruntime makes something else of a row when others stand around it, or when it stands elsewhere."""
    count = len(next(iter(feeds.values())))
    if open_batch:
        alone = evaluated(model, {name: array[:1] for name, array in feeds.items()})
        for result, whole in zip(alone, wanted, strict=True):
            first = whole[: len(whole) // count] if whole.ndim else whole
            if result.shape != first.shape or _difference([result], [first], COARSE, set(), exact=False, show=False):
                return True
    for order in (np.arange(count)[::-1], np.zeros(count, dtype=int)):
        found = evaluated(model, {name: array[order] for name, array in feeds.items()})
        for result, whole in zip(found, wanted, strict=True):
            if result.shape != whole.shape or whole.ndim == 0 or len(whole) == 0 or len(whole) % count:
                return True
            expected = whole.reshape(count, -1)[order].reshape(whole.shape)
            if result.dtype.kind in "OU":
                return not np.array_equal(result, expected)
            if not np.allclose(result.astype(np.float64), expected.astype(np.float64), 1e-2, 1e-2):
                return True
    return False


def _unstable(model: onnx.ModelProto, feeds: Mapping[str, Array], wanted: list[Array]) -> bool:
    """Whether onnxruntime itself makes something else of inputs that are a little off."""
    for seed in range(4):
        random = np.random.default_rng(seed)
        moved = {n: (a + DISTURBANCE * random.uniform(-1, 1, a.shape)).astype(a.dtype) for n, a in feeds.items()}
        for result, before in zip(evaluated(model, moved), wanted, strict=True):
            if result.shape != before.shape or result.dtype.kind == "O":
                return True
            gap = np.abs(result.astype(np.float64) - before.astype(np.float64))
            if not (gap <= 1e3 * DISTURBANCE * np.maximum(1, np.abs(before.astype(np.float64)))).all():
                return True
    return False


def _difference(
    found: Iterable[Array], expected: Iterable[Array], tolerance: Mapping[str, tuple[float, float]], kinds: set[str],
    *, exact: bool, show: bool,
) -> str:  # fmt: skip
    for number, (mine, theirs) in enumerate(zip(found, expected, strict=True)):
        if show:
            print(f"output {number}: hecc\n{mine!r}\nonnxruntime\n{theirs!r}")
        if mine.shape != theirs.shape:
            return f"output {number} has shape {mine.shape} instead of {theirs.shape}"
        if exact and mine.dtype != theirs.dtype:
            return f"output {number} holds {mine.dtype} instead of {theirs.dtype}"
        if theirs.dtype.kind in "OU":
            if not bool((mine.astype(str) == theirs.astype(str)).all()):
                return f"output {number} has other names"
            continue
        a, b = mine.astype(np.float64), theirs.astype(np.float64)
        coarsest = min(({theirs.dtype.name} | kinds) & tolerance.keys(), key=list(tolerance).index, default="")
        relative, absolute = tolerance[coarsest] if coarsest and theirs.dtype.kind == "f" else (0.0, 0.0)
        largest = max(1.0, float(np.abs(b[np.isfinite(b)]).max(initial=0)))
        if not np.allclose(a, b, relative, absolute * largest, equal_nan=True):
            with np.errstate(all="ignore"):
                gap = np.nanmax(np.abs(a - b), initial=0)
            return f"output {number} ({theirs.dtype}) is off by {gap:.3g} of {largest:.3g}"
    return ""


# --- the program ------------------------------------------------------------------------------------------------------


def table(outcomes: Iterable[Outcome]) -> str:
    """Cases compared, by operator and opset, and what became of the others."""
    compared: dict[str, Counter[int]] = defaultdict(Counter)
    differing: dict[str, Counter[int]] = defaultdict(Counter)
    others: dict[str, Counter[str]] = defaultdict(Counter)
    for done in outcomes:
        for operator, opset in done.nodes:
            if done.compared:
                compared[operator][opset] += 1
                differing[operator][opset] += done.outcome == "differs"
            elif done.kind != "network":
                others[operator][done.outcome] += 1
    columns = range(OLDEST_OPSET, newest_opset() + 1)
    lines = ["operator".ljust(26) + "".join(f"{opset:>4}" for opset in columns) + "  refused invalid fault"]
    for operator in sorted(GENERATORS):
        cells = "".join(
            f"{compared[operator][opset] or '.':>4}" + ("!" if differing[operator][opset] else "") for opset in columns
        )
        rest = others[operator]
        lines.append(f"{operator:<26}{cells}  {rest['refused']:>7} {rest['invalid']:>7} {rest['fault']:>5}")
    return "\n".join(lines)


def read(path: Path) -> Iterator[Outcome]:
    """The results so far; a last line that was cut off is left out."""
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        try:
            fields = json.loads(line)
        except ValueError:
            return
        yield Outcome(**{**fields, "nodes": [(name, opset) for name, opset in fields["nodes"]]})


def main() -> int:
    """Run as many cases as are asked for, not counting those that were not compared."""
    parser = argparse.ArgumentParser(description="the importer against onnxruntime")
    parser.add_argument("--cases", type=int, default=2000, help="cases to compare; what is refused does not count")
    parser.add_argument("--resume", type=Path, help="a file of results, one a line, to go on with")
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--operator", default="", help="only cases of one node with this operator")
    parser.add_argument("--kind", default="", help="folded, encrypted or network; all if left out")
    parser.add_argument("--only", type=int, help="show one case")
    options = parser.parse_args()
    if options.only is not None:
        print(run(options.only, show=True))
        return 0
    outcomes = list(read(options.resume)) if options.resume else []
    seed = max((done.seed + 1 for done in outcomes), default=options.first)
    count = sum(done.compared for done in outcomes)
    with options.resume.open("w", encoding="utf-8") if options.resume else Path(os.devnull).open("w") as file:
        for done in outcomes:
            file.write(json.dumps(vars(done)) + "\n")
        while count < options.cases:
            done = run(seed, only=options.kind, operator=options.operator)
            outcomes.append(done)
            file.write(json.dumps(vars(done)) + "\n")
            file.flush()
            count += done.compared
            seed += 1
            if done.outcome in ("differs", "fault"):
                print(done.seed, done.kind, done.nodes, done.outcome, done.message, flush=True)
    print(table(outcomes))
    print(Counter(done.outcome for done in outcomes), Counter(done.kind for done in outcomes if done.compared))
    return int(any(done.outcome in ("differs", "fault") for done in outcomes))


if __name__ == "__main__":
    sys.exit(main())

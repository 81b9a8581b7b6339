"""What every compilation begins with: options checked, the model imported, its inputs and their ranges known."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

import hecc
from hecc.compiler.graph.graph import Graph
from hecc.compiler.importer import import_model
from hecc.compiler.options import check
from hecc.compiler.promise.calibration import synthetic_inputs
from hecc.inputs.labels import output_class_names
from hecc.inputs.models import Model, OnnxModel, model_bytes, onnx_model
from hecc.inputs.ranges import Range, declared_ranges, edge_rows, element_ranges
from hecc.inputs.sources import Form, column_ranges, load_inputs
from hecc.options.schemes import Circumstances, load_asking
from hecc.options.table import DEFAULT_SCHEME, CompileOptions
from hecc.passes.graph.units import with_normalised_inputs
from hecc.passes.schemes import load_compiler
from hecc.runtime.errors import InputError
from hecc.runtime.figures import count_words
from hecc.runtime.inputs.preprocessing import Preprocessing
from hecc.runtime.inputs.ranges import ElementRanges
from hecc.runtime.inputs.tensors import Tensor, check_counts, check_range, check_rows, rounding, settle
from hecc.runtime.plan.plan import Plan

__all__ = ["Model", "OnnxModel", "Task", "prepare"]

FEW_ROWS = 16
"""Fewer calibration inputs than this are worth a warning."""

log = logging.getLogger(__name__)


def prepare(model: Model, asked: CompileOptions, progress: Callable[[str], None]) -> Task:
    """Import a model and check the options.

    Raises
    ------
    InputError, UnsupportedError, SecurityError
        As :func:`hecc.compile`.
    """
    check(asked)
    asking = load_asking(asked.scheme)(asked)
    input_range, calibration = asked.input_range, asked.calibration
    progress("import the network")
    network = onnx_model(model, asked.example_input, asked.batch_axis)
    imported = import_model(network, batch_axis=asked.batch_axis)
    wanted = [Form(node.output.name, imported.example_shape(node.output.shape), None) for node in imported.inputs()]
    wanted = _with_preprocessing(wanted, asked.preprocessing)
    shapes = {form.name: form.shape for form in wanted}
    outputs = {name: imported.example_shape(imported.node(name).output.shape) for name in imported.outputs}
    names = output_class_names(asked.class_names, outputs)
    unused = _unused_inputs(imported)
    loaded = None if calibration is None else load_inputs(calibration, wanted, raw=asked.raw)
    wanted = [replace(form, columns=() if loaded is None else loaded.columns.get(form.name, ())) for form in wanted]
    if isinstance(input_range, str | os.PathLike):
        input_range = column_ranges(input_range, wanted)
    if input_range is not None:
        stated = declared_ranges(input_range, None, wanted, unused)
        wanted = [replace(form, range=stated[form.name]) for form in wanted]
    rows = None if loaded is None else _calibration(loaded.tensors, wanted)
    declared = declared_ranges(input_range, rows, wanted, unused, asked.margin)
    edges = None if rows is None or input_range is not None else edge_rows(rows, declared, asked.margin, wanted)
    if rows is None:
        rows = {name: synthetic_inputs(shape, *declared[name]) for name, shape in shapes.items()}
        log.warning(
            "no calibration inputs: how large values become inside the network was estimated from made-up inputs from "
            "%s; give some hundred real inputs as calibration, and it is measured",
            " and ".join(sorted({f"{np.min(low):g} to {np.max(high):g}" for low, high in declared.values()})),
        )
    else:
        for form in wanted:
            remedy = "widen the input range, or preprocess the calibration inputs as in training"
            what = f"calibration for input {form.name!r}"
            check_range(what, rows[form.name], *declared[form.name], remedy, form.columns)
        assert loaded is not None
        for form in wanted:
            # Bytes are raw pixels, as a rule; what they become is part of the network's training.
            if form.preprocessing is None and input_range is None and loaded.tensors[form.name].dtype == np.uint8:
                log.warning(
                    "calibration for input %r holds bytes, taken as they are, from 0 to 255; if the network was "
                    "trained on 0 to 1, say --scale 1/255 --raw (hecc.Preprocessing(scale=1 / 255) and raw=True in "
                    "Python), otherwise state the input range",
                    form.name,
                )
        number = len(next(iter(rows.values())))
        if number < FEW_ROWS:
            log.warning(
                "only %s: other inputs may make larger values inside the network; give some hundred real ones",
                count_words(number, "calibration input"),
            )
    options = asking.options(
        Circumstances(
            imported=imported,
            labels=names,
            rows=len(next(iter(rows.values()))),
            real=calibration is not None,
            producer=f"hecc {hecc.__version__}",
        )
    )
    preprocessed = {form.name: form.preprocessing for form in wanted}
    columns = {form.name: form.columns for form in wanted}
    return Task(
        imported,
        model_bytes(network),
        rows,
        declared,
        options,
        preprocessed,
        names,
        columns,
        None if edges is None or not asking.takes_edges else edges,
        asked.scheme,
    )


@dataclass(frozen=True)
class Task:
    """Everything that a compilation depends on, checked.

    Attributes
    ----------
    imported
        The imported graph.
    model
        The ONNX file's bytes.
    calibration
        Inputs by name, given or made up.
    declared
        Range of each input, or of each of its elements.
    options
        What was asked for, in the scheme's own terms.
    preprocessing, labels, columns
        What the plan tells the client, by input and by output.
    edges
        Inputs with an element in the margin of its range, which activations are made for, too; ``None`` without one.
    scheme
        What to compile for, a key of :data:`hecc.passes.schemes.COMPILERS`.
    """

    imported: Graph
    model: bytes
    calibration: Mapping[str, NDArray[np.float64]]
    declared: Mapping[str, Range]
    options: Any
    preprocessing: Mapping[str, Preprocessing | None]
    labels: Mapping[str, tuple[str, ...]]
    columns: Mapping[str, tuple[str, ...]]
    edges: Mapping[str, NDArray[np.float64]] | None = None
    scheme: str = DEFAULT_SCHEME

    @property
    def bounds(self) -> dict[str, tuple[float, float]]:
        """Smallest and largest value of each input, whatever element has it."""
        return {name: (float(np.min(low)), float(np.max(high))) for name, (low, high) in self.declared.items()}

    @property
    def _own(self) -> dict[str, ElementRanges]:
        """Inputs whose elements have ranges of their own, which are encrypted as parts of these."""
        shapes = {name: values.shape[1:] for name, values in self.calibration.items()}
        ranges = {name: element_ranges(each, shapes[name]) for name, each in self.declared.items()}
        # What the network returns as it is has to be encrypted as it is.
        return {name: each for name, each in ranges.items() if each is not None and name not in self.imported.outputs}

    def normalised(self) -> Task:
        """The same of what is encrypted: with one range for all elements of an input."""
        own = self._own
        options = self.options
        if self.edges is not None:
            options = replace(options, edges=_normalised(self.edges, own))
        return replace(
            self,
            imported=with_normalised_inputs(self.imported, own),
            calibration=_normalised(self.calibration, own),
            declared={**self.bounds, **dict.fromkeys(own, (-1.0, 1.0))},
            options=options,
            edges=None,
        )

    def build(self, progress: Callable[[str], None] = lambda _: None) -> Plan:
        """Compile.

        Raises
        ------
        UnsupportedError, CompileError
            As :func:`hecc.compile`.
        """
        own, task = self._own, self.normalised()
        plan = load_compiler(self.scheme)(
            task.imported, task.model, task.calibration, task.bounds, task.options, progress
        )
        inputs = []
        for signature in plan.header.inputs:
            name = signature.name
            known: dict[str, Any] = {"preprocessing": self.preprocessing[name], "columns": self.columns[name]}
            if name in own:
                known |= {"ranges": own[name], "low": min(own[name].lows), "high": max(own[name].highs)}
            inputs.append(msgspec.structs.replace(signature, **known))
        outputs = (msgspec.structs.replace(s, labels=self.labels.get(s.name, ())) for s in plan.header.outputs)
        return replace(plan, header=msgspec.structs.replace(plan.header, inputs=tuple(inputs), outputs=tuple(outputs)))


def _normalised(
    rows: Mapping[str, NDArray[np.float64]], own: Mapping[str, ElementRanges]
) -> dict[str, NDArray[np.float64]]:
    """What is encrypted for rows of each input."""
    return {name: own[name].normalised(values) if name in own else values for name, values in rows.items()}


def _with_preprocessing(
    wanted: Sequence[Form], given: Preprocessing | Mapping[str, Preprocessing] | None
) -> list[Form]:
    if given is None:
        return list(wanted)
    if isinstance(given, Preprocessing):
        given = {form.name: given for form in wanted}
    unknown = set(given) - {form.name for form in wanted}
    if unknown:
        known = ", ".join(repr(form.name) for form in wanted)
        raise InputError(f"preprocessing: there is no input {min(unknown)!r}; the network takes {known}")
    found = []
    for form in wanted:
        stated = given.get(form.name)
        try:
            if stated is not None:
                stated.check(form.shape)
        except InputError as error:
            raise InputError(f"preprocessing of input {form.name!r}: {error}") from None
        found.append(replace(form, preprocessing=stated))
    return found


def _unused_inputs(imported: Graph) -> list[str]:
    """Inputs that no output depends on, with a warning."""
    read = {value for node in imported.with_nodes(imported.nodes).nodes for value in node.inputs}
    unused = [node.output.name for node in imported.inputs() if node.output.name not in {*read, *imported.outputs}]
    for name in unused:
        log.warning(
            "input %r: no output depends on it, and it would be encrypted and sent for nothing; export the network "
            "without it",
            name,
        )
    return unused


def _calibration(tensors: Mapping[str, Tensor], wanted: Sequence[Form]) -> dict[str, NDArray[np.float64]]:
    rows = {}
    for form in wanted:
        tensor = tensors[form.name]
        values = check_rows(f"calibration for input {form.name!r}", tensor, form.shape)
        rows[form.name] = values if form.range is None else settle(values, *form.range, rounding(tensor, *form.range))
    check_counts("calibration", rows)
    return rows

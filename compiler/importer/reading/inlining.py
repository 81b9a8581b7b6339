"""Model-local functions: every call becomes the nodes of the function's body.

The inliner of onnx renames tensors and goes into branches. But it knows no defaults of attributes, and does not ask how
large the result becomes: a few lines of functions that call one another twice are billions of nodes. So calls are
*specialised* first. For every set of attributes that a function is called with, given or by default, there is a
function of its own that needs none; what they expand to is counted on the way.

A function may import another opset than the model, but by the standard its operators have to mean the same in both.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import onnx
import onnx.inliner

from hecc.runtime.errors import InputError, UnsupportedError

__all__ = ["MAX_NODES", "check_size", "fill_references", "inline", "too_many_nodes"]

MAX_NODES = 1 << 16
"""Nodes that a network may have, functions expanded: a hundred times as many as the largest that run encrypted."""

DEEPEST = 64
"""Functions that may be called from within one another."""

Key: TypeAlias = tuple[str, str, str]


def check_size(model: onnx.ModelProto) -> None:
    """Refuse a model with absurdly many nodes before anything is done with each.

    Raises
    ------
    UnsupportedError
        It has more than :data:`MAX_NODES`.
    """
    graphs = [model.graph, *(_subgraphs(model.graph.node))]
    if sum(len(graph.node) for graph in graphs) > MAX_NODES:
        raise too_many_nodes()


def inline(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model without local functions.

    Raises
    ------
    InputError
        Functions that call themselves, two of one name, or that onnx cannot inline.
    UnsupportedError
        More than :data:`MAX_NODES` nodes, or a call that hands over a graph which reads tensors around it.
    """
    functions: dict[Key, onnx.FunctionProto] = {}
    for function in model.functions:
        key = _key(function.domain, function.name, function.overload)
        if key in functions:
            raise InputError(f"the model has two functions {_shown(key)}; give them different names")
        if onnx.defs.has(function.name, key[0]):
            raise InputError(
                f"the model has a function {_shown(key)}, which is a standard operator's name; give it another"
            )
        functions[key] = function
    calls = _Calls(functions, {_domain(entry.domain): entry.version for entry in model.opset_import})
    size = calls.specialise(model.graph.node, {}, ())
    if size > MAX_NODES:
        raise too_many_nodes()
    whole = onnx.ModelProto()
    whole.CopyFrom(model)
    del whole.functions[:]
    whole.functions.extend(made for made, _ in calls.made.values() if made is not None)
    known = {entry.domain for entry in whole.opset_import}
    for domain in sorted({function.domain for function in whole.functions} - known):
        whole.opset_import.add(domain=domain, version=1)
    try:
        return onnx.inliner.inline_local_functions(whole)
    except Exception as error:  # the inliner raises whatever its assertions find
        reason = next(iter(str(error).splitlines()), type(error).__name__).rstrip(".")
        raise InputError(
            f"the model's functions cannot be put in place of their calls: {reason}; inline them before, or export the "
            "network without functions"
        ) from None


@dataclass
class _Calls:
    """Calls of functions, and what they expand to.

    Attributes
    ----------
    functions
        The model's, by domain, name and overload.
    opsets
        The model's, by domain.
    made
        Functions without attributes, and the nodes that each expands to, by what they were made from; no function while
        it is being made.
    """

    functions: Mapping[Key, onnx.FunctionProto]
    opsets: Mapping[str, int]
    made: dict[tuple[Key, bytes], tuple[onnx.FunctionProto | None, int]] = field(default_factory=dict)

    def specialise(
        self, nodes: Iterable[onnx.NodeProto], given: Mapping[str, onnx.AttributeProto], callers: tuple[Key, ...]
    ) -> int:
        """Put attributes where nodes of a body refer to them, and turn calls into those of functions without any.

        Parameters
        ----------
        nodes
            Of a body or a graph; they are changed.
        given
            The attributes that the body was called with.
        callers
            The functions around it.

        Returns
        -------
        int
            Nodes that they expand to.
        """
        size = 0
        for node in nodes:
            fill_references(node, given)
            for graph in _own_graphs(node):
                size += self.specialise(graph.node, given, callers)
            key = _key(node.domain, node.op_type, node.overload)
            if key in self.functions:
                size += self._call(node, key, callers)
            else:
                size += 1
                if callers:
                    self._check_meaning(node, callers[-1])
            if size > MAX_NODES:
                raise too_many_nodes()
        return size

    def _check_meaning(self, node: onnx.NodeProto, key: Key) -> None:
        """Refuse a node of a function that means something else in the opset of the model."""
        domain = _domain(node.domain)
        imported = self.functions[key].opset_import
        own = next((entry.version for entry in imported if _domain(entry.domain) == domain), None)
        models = self.opsets.get(domain)
        if own is None or models is None or own == models:
            return
        if _signature(node.op_type, own, domain) != _signature(node.op_type, models, domain):
            raise UnsupportedError(
                f"the function {_shown(key)} is written in opset {own}, where {node.op_type} is another than in opset "
                f"{models}, which the model uses; write both in one opset"
            )

    def _call(self, node: onnx.NodeProto, key: Key, callers: tuple[Key, ...]) -> int:
        if key in callers:
            raise InputError(f"the function {_shown(key)} calls itself; the model is not valid ONNX: export it again")
        if len(callers) >= DEEPEST:
            raise UnsupportedError(f"functions call one another more than {DEEPEST} deep; inline them before")
        function = self.functions[key]
        given = {attribute.name: attribute for attribute in [*function.attribute_proto, *node.attribute]}
        for attribute in given.values():
            for graph in _graphs(attribute):
                if next(_free(graph), None) is not None:
                    raise UnsupportedError(
                        f"the call '{node.name or node.output[0]}' of the function {_shown(key)} hands it a graph that "
                        "reads tensors around it; write what the function does in its place"
                    )
        for name in node.input[len(function.input) :]:
            if name:
                raise InputError(
                    f"the function {_shown(key)} takes {len(function.input)} inputs and is called with "
                    f"{len(node.input)}; the model is not valid ONNX: export it again"
                )
        fingerprint = b"".join(given[name].SerializeToString(deterministic=True) + b"\0" for name in sorted(given))
        known = self.made.get((key, fingerprint))
        if known is None:
            body = onnx.FunctionProto()
            body.CopyFrom(function)
            del body.attribute[:], body.attribute_proto[:]
            body.overload = f"{len(self.made)}"
            self.made[key, fingerprint] = None, 0
            size = 1 + self.specialise(body.node, given, (*callers, key))
            for entry in body.opset_import:
                # The inliner wants the model's; that its operators mean the same was checked.
                entry.version = self.opsets.get(_domain(entry.domain), entry.version)
            known = self.made[key, fingerprint] = body, size
        made, size = known
        assert made is not None, "a function that calls itself was refused"
        node.domain, node.overload = made.domain, made.overload
        del node.attribute[:]
        return size


def fill_references(node: onnx.NodeProto, given: Mapping[str, onnx.AttributeProto]) -> None:
    """Put attributes in place of references to them; one that was not given is left out, as it is optional.

    An attribute that holds a graph is put as it is: its nodes are the caller's to fill.
    """
    filled = []
    for attribute in node.attribute:
        if attribute.ref_attr_name and attribute.ref_attr_name not in given:
            continue
        named = onnx.AttributeProto()
        named.CopyFrom(given[attribute.ref_attr_name] if attribute.ref_attr_name else attribute)
        named.name = attribute.name
        filled.append(named)
    del node.attribute[:]
    node.attribute.extend(filled)


def _own_graphs(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    for attribute in node.attribute:
        yield from _graphs(attribute)


def _graphs(attribute: onnx.AttributeProto) -> Iterator[onnx.GraphProto]:
    yield from [attribute.g] if attribute.HasField("g") else []
    yield from attribute.graphs


def _subgraphs(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.GraphProto]:
    for node in nodes:
        for graph in _own_graphs(node):
            yield graph
            yield from _subgraphs(graph.node)


def _free(graph: onnx.GraphProto) -> Iterator[str]:
    """The tensors that a graph takes from around it."""
    own = {item.name for item in [*graph.input, *graph.initializer]}
    own.update(name for node in graph.node for name in node.output)
    for node in graph.node:
        yield from (name for name in node.input if name and name not in own)
        for inner in _own_graphs(node):
            yield from (name for name in _free(inner) if name not in own)
    yield from (output.name for output in graph.output if output.name not in own)


def _key(domain: str, name: str, overload: str) -> Key:
    return _domain(domain), name, overload


def _domain(domain: str) -> str:
    return "" if domain == "ai.onnx" else domain


def _signature(operator: str, version: int, domain: str) -> object:
    """What an operator takes and makes, types aside, which no opset narrows; None where there is no such operator."""
    try:
        schema = onnx.defs.get_schema(operator, version, domain)
    except onnx.defs.SchemaError:
        return None
    attributes = {
        name: (attribute.type, attribute.required, attribute.default_value.SerializeToString())
        for name, attribute in schema.attributes.items()
    }
    return attributes, [item.name for item in schema.inputs], [item.name for item in schema.outputs]


def _shown(key: Key) -> str:
    domain, name, overload = key
    return f"'{domain}.{name}'" + (f" ({overload})" if overload else "")


def too_many_nodes() -> UnsupportedError:
    """Refuse a network that has become too large."""
    return UnsupportedError(
        f"the network has more than {MAX_NODES} nodes, with its functions expanded; use a smaller one"
    )

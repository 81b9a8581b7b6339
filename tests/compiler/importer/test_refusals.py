"""Every sentence with which a model is refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import external_data_helper, helper, numpy_helper

from hecc.compiler.ckks.limits import LIMITS
from hecc.compiler.importer import import_model
from hecc.compiler.importer.building.refusals import UNFOLDABLE, WAYS_OUT, Limits
from hecc.compiler.importer.operators import CONVERTERS
from hecc.compiler.importer.reading.prepare import newest_opset
from hecc.runtime.errors import HeccError, InputError, UnsupportedError

Model = Callable[..., onnx.ModelProto]
ONES = np.ones((3,), np.float32)
INVALID = "; the model is not valid ONNX: export the network again"


def message(built: Any, kind: type[HeccError] = UnsupportedError, **options: bool) -> str:
    with pytest.raises(kind) as caught:
        import_model(built, limits=LIMITS, **options)
    assert isinstance(caught.value, kind)
    return str(caught.value)


@pytest.mark.parametrize("operator", ["Less", "LessOrEqual"])
def test_trees_that_hummingbird_wrote_as_tensors_are_told_as_trees(model: Model, operator: str) -> None:
    built = model(
        f"""g (float[N,3] x) => (float[N,2] y)
        <float[3,4] w = {{1,0,0,0, 0,1,0,0, 0,0,1,1}}, float[4] t = {{1,2,3,4}}, float[4,2] v = {{1,0, 0,1, 1,0, 0,1}}>
        {{ f = MatMul(x, w)  c = {operator}(f, t)  d = Cast<to=1>(c)  e = MatMul(d, v)  m = LpPool<kernel_shape=[1]>(e)
           y = Transpose(m) }}"""
    )
    for node in built.graph.node:
        node.name = f"/_operators.0/{node.op_type}"
    assert message(built) == (
        f"{operator} '/_operators.0/{operator}' (opset 13): decision trees compare encrypted features; use a linear "
        "model or a neural network instead"
    )
    # A comparison by itself is no tree.
    for node in built.graph.node:
        node.name = ""
    assert "decision trees" not in message(built)


# --- operators --------------------------------------------------------------------------------------------------------


def test_an_activation_is_refused_with_its_name_operator_opset_and_a_way_out(model: Model) -> None:
    built = model("g (float[1,3] x) => (float[1,3] y) { r = Round(x)  y = Softplus(r) }")
    built.graph.node[0].name = "/layer1/Round"
    assert message(built) == (
        "Round '/layer1/Round' (opset 13): rounding is not a polynomial; replace it by a "
        "square or another polynomial of low degree and train again"
    )


def test_all_refused_nodes_are_named_at_once_and_those_of_one_kind_together(model: Model) -> None:
    built = model(
        """g (float[1,1,4,4] x, float[1,4] z) => (float[1,4] y, float[1,4] w) {
            a = Floor(x)  b = LpPool<kernel_shape=[2,2], strides=[2,2]>(a)  c = Floor(b)
            s = Shape(c)  i = Constant<value_ints=[1, -1]>()
            f = Reshape(c, i)  q = Hardmax(f)  y = Softplus(q)  r = Round(f)  w = Softplus(r)
        }"""
    )
    assert message(built) == (
        "Floor 'a' (opset 13): rounding is not a polynomial; replace it by a square or another polynomial of low "
        "degree and train again\n"
        "  the same for Floor 'c'\n"
        "  LpPool 'b' (opset 13): an Lp norm is not a polynomial; use average pooling instead and train again\n"
        "  Hardmax 'q' (opset 13): hardmax cannot be computed on encrypted data in the middle of a network; move it to "
        "the end, where the client applies it after decryption\n"
        "  Round 'r' (opset 13): rounding is not a polynomial; replace it by a square or another "
        "polynomial of low degree and train again"
    )


def test_what_a_scheme_cannot_evaluate_is_refused_and_nothing_else_is_blamed(model: Model) -> None:
    limits = Limits({"MaxPool": ("a maximum is not exact", "use average pooling instead")})
    body = """r = Relu(x)  p = {}<kernel_shape=[2,2], strides=[2,2]>(r)  s = LeakyRelu(p)
        i = Constant<value_ints=[1, -1]>()  y = Reshape(s, i)  z = Relu(y)"""
    graph = "g (float[1,1,4,4] x) => (float[1,4] z) {{ {} }}"
    with pytest.raises(UnsupportedError) as refusal:
        import_model(model(graph.format(body.format("MaxPool"))), limits=limits)
    assert str(refusal.value) == "MaxPool 'p' (opset 13): a maximum is not exact; use average pooling instead"
    # The others are for the compiler to judge, and so is the maximum under CKKS.
    import_model(model(graph.format(body.format("AveragePool"))), limits=limits)
    import_model(model(graph.format(body.format("MaxPool"))), limits=LIMITS)


def test_behind_a_node_of_unknown_shape_only_what_is_certain_is_named(model: Model) -> None:
    built = model(
        "g (float[1,3] x) => (float[1,3] y) { n = NonZero(x)  c = Cast<to=1>(n)  r = LpPool<kernel_shape=[1]>(c)  "
        "s = Shape(c)  y = Expand(r, s) }"
    )
    lines = message(built).splitlines()
    assert [line.split()[0] for line in lines] == ["NonZero", "LpPool"]


def test_nodes_that_no_output_needs_are_not_refused(model: Model) -> None:
    built = model("g (float[1,3] x) => (float[1,3] y) { r = Round(x)  y = Neg(x) }")
    assert [node.output.name for node in import_model(built).nodes] == ["x", "y"]


def test_an_operator_without_a_sentence_of_its_own_gets_the_general_one(model: Model) -> None:
    built = model("g (float[1,3] x) => (float[1,3] y) { y = Neg(x) }")
    built.graph.node[0].op_type = "Det"
    assert message(built) == (
        "Det 'y' (opset 13): the operator is not supported; express it by supported ones (see "
        "docs/reference/operators.md), or cut the network there and do the rest in clear"
    )


def test_an_operator_that_onnx_does_not_know_is_refused(model: Model) -> None:
    built = model("g (float[1,3] x) => (float[1,3] y) { y = Frobnicate(x) }")
    assert message(built).startswith("Frobnicate 'y' (opset 13): the operator is not supported; ")


@pytest.mark.parametrize(
    ("domain", "expected"),
    [
        (
            "ai.onnx.ml",
            (
                "ai.onnx.ml.Ensemble 'y' (opset 3): of the operators of classical machine learning only linear "
                "ones and support vector machines are supported; use a linear model or a neural network (see "
                "docs/reference/operators.md)"
            ),
        ),
        (
            "com.microsoft",
            (
                "com.microsoft.Ensemble 'y' (opset 3): operators of the domain 'com.microsoft' are not supported; "
                "export the "
                "network with the standard ONNX operators only"
            ),
        ),
    ],
)
def test_other_domains_are_refused(domain: str, expected: str, model: Model) -> None:
    built = model("g (float[1,3] x) => (float[1,3] y) { y = Neg(x) }")
    built.graph.node[0].op_type = "Ensemble"
    built.graph.node[0].domain = domain
    built.opset_import.append(helper.make_opsetid(domain, 3))
    assert message(built) == expected


def test_the_standard_domain_may_be_written_out(model: Model) -> None:
    built = model("g (float[1,3] x) => (float[1,3] y) { y = Neg(x) }")
    built.graph.node[0].domain = built.opset_import[0].domain = "ai.onnx"
    assert import_model(built).node("y").source.operator == "Neg"


def test_control_flow_that_depends_on_encrypted_data_is_refused(model: Model) -> None:
    built = model(
        """g (float[1,3] x) => (float[1,3] y) {
            m = ReduceSum(x)  z = Constant<value_float = 0.0>()  c = Greater(m, z)
            y = If(c) <
                then_branch = a () => (float[1,3] t) { t = Neg(x) },
                else_branch = b () => (float[1,3] e) { e = Neg(x) }
            >
        }"""
    )
    assert message(built) == (
        "If 'y' (opset 13): control flow cannot depend on encrypted data; export the network without it, for "
        "instance with "
        "torch.onnx.export(..., dynamo=True)"
    )


def test_random_operators_are_not_folded(model: Model) -> None:
    built = model("g (float[1,3] x) => (float[1,3] y) { r = RandomNormal<shape=[1,3]>()  y = Add(x, r) }")
    assert message(built) == "RandomNormal 'r' (opset 13): its result is random; export the network in inference mode"


def test_every_way_out_is_for_an_operator_of_onnx_and_none_that_is_supported() -> None:
    known = {schema.name for schema in onnx.defs.get_all_schemas_with_history() if schema.domain == ""}
    assert WAYS_OUT.keys() <= known
    assert not WAYS_OUT.keys() & CONVERTERS.keys()
    assert LIMITS.refused.keys() <= CONVERTERS.keys()
    assert {"If", "Loop", "Scan", "RandomNormal"} <= UNFOLDABLE


@pytest.mark.parametrize(
    ("graph", "constants", "expected"),
    [
        (
            "y = Div(x, w)",
            {"w": np.array([1, 0, 1], np.float32)},
            "Div 'y' (opset 13): its constant 'w' holds a zero to divide by; remove the division by zero",
        ),
        (
            "p = Pow(x, w)  y = Softplus(p)",
            {"w": np.array([2, 0.5, 3], np.float32)},
            (
                "Pow 'p' (opset 13): its exponents, 0.5, 2, 3 and so on, are not the same for all elements, nor "
                "integers up to 64; use one exponent for all elements"
            ),
        ),
        (
            "y = Pow(w, x)",
            {"w": ONES},
            "Pow 'y' (opset 13): its exponent 'x' is encrypted; use a constant exponent",
        ),
        (
            "y = Pow(x, w)",
            {"w": np.full((2, 1, 3), 2, np.float32)},
            "Pow 'y' (opset 13): its exponent 'w' repeats the base along new axes; use a scalar exponent",
        ),
        (
            "y = Gemm(a, a, x)",
            {"a": np.ones((3, 3), np.float32)},
            "Gemm 'y' (opset 13): only its summand C is encrypted; write it as an Add",
        ),
        (
            "y = Dropout(x, , t)",
            {"t": np.array(True)},
            (
                "Dropout 'y' (opset 13): it is in training mode, where its result is random; export the network in "
                "inference mode: call model.eval() first"
            ),
        ),
        (
            "y, m = Dropout(x)  z = Cast<to=1>(m)  w = Add(y, z)",
            {},
            (
                "Dropout 'y' (opset 13): its additional output 'm' is used; export the network in inference mode, "
                "which needs only the first"
            ),
        ),
        (
            "y = Cast<to=7>(x)",
            {},
            "Cast 'y' (opset 13): casting to int64 rounds, which is not a polynomial; keep the network in float32",
        ),
        (
            "n = Neg(x)  s = Cast<to=7>(n)  y = Reshape(x, s)",
            {},
            "Cast 's' (opset 13): casting to int64 rounds, which is not a polynomial; keep the network in float32",
        ),
        (
            "y = Pad(x, p, v)",
            {"p": np.array([0, 1, 0, 1]), "v": np.array(np.inf, np.float32)},
            "Pad 'y' (opset 13): it pads with infinity or NaN; pad with a number",
        ),
        (
            "y = Conv(w, x)",
            {"w": np.ones((1, 1, 3), np.float32)},
            (
                "Conv 'y' (opset 13): its input 'w' is a constant where the data is expected; make the data the first "
                "input, "
                "and the weights constants"
            ),
        ),
        (
            "v = Neg(x)  y = BatchNormalization(x, w, w, v, w)",
            {"w": ONES},
            (
                "BatchNormalization 'y' (opset 13): its input 'v' depends on encrypted data; make it a constant (an "
                "initializer) of the model"
            ),
        ),
        (
            "r = ConstantOfShape(n)  s = Slice(r, i, j)  y = Add(x, s)",
            {"n": np.array([1 << 40]), "i": np.array([0]), "j": np.array([3])},
            f"ConstantOfShape 'r' (opset 13): its result would have {1 << 40} elements; stay below {1 << 23} elements",
        ),
    ],
)
def test_a_use_of_a_supported_operator_is_refused(graph: str, constants: Any, expected: str, model: Model) -> None:
    output = "w" if "w = " in graph else "y"
    built = model(f"g (float[1,3] x) => (float[1,3] {output}) {{ {graph} }}", **constants)
    assert message(built).splitlines()[0] == expected


@pytest.mark.parametrize(
    ("node", "shape", "weight", "expected"),
    [
        (
            'Conv<dilations=[2], auto_pad="SAME_UPPER">(x, w)',
            "1,1,8",
            (1, 1, 3),
            "dilations together with automatic padding are ambiguous; write explicit pads",
        ),
        ("Conv<pads=[-1,0]>(x, w)", "1,1,8", (1, 1, 3), "it has negative pads; crop with a Pad or Slice of its own"),
        ("Conv(x, w)", "1,1,3,3,3,3", (1, 1, 2, 2, 2, 2), "it has 4 spatial axes; use one to three"),
        ("Conv(x, w)", "1,2,8", (1, 1, 3), f"its weight of shape 1x1x3 does not fit 2 channels in 1 groups{INVALID}"),
        ("Conv(x, w)", "1,1,2", (1, 1, 3), f"its window of 3 pixels does not fit the padded image of 2{INVALID}"),
        (
            "Conv<strides=[1,1]>(x, w)",
            "1,1,8",
            (1, 1, 3),
            f"kernel_shape, strides, dilations and pads do not all fit 1 spatial axes{INVALID}",
        ),
        (
            "Conv<strides=[0]>(x, w)",
            "1,1,8",
            (1, 1, 3),
            f"kernel_shape, strides and dilations must be positive{INVALID}",
        ),
        ('Conv<auto_pad="SOME">(x, w)', "1,1,8", (1, 1, 3), f"auto_pad 'SOME' does not exist{INVALID}"),
        ("Conv(x, w, w)", "1,1,8", (2, 1, 3), f"its bias 'w' does not have one number per output channel{INVALID}"),
        ("AveragePool<kernel_shape=[1]>(x)", "1,3", (1,), f"its input 'x' has no spatial axes{INVALID}"),
        ("GlobalAveragePool(x)", "1,3", (1,), f"its input 'x' has no spatial axes{INVALID}"),
        ("Gemm(x, w)", "1,3", (4, 2), f"its factors have inner extents 3 and 4{INVALID}"),
        ("Gemm(x, w)", "1,3,1", (4, 2), f"its factors are not matrices{INVALID}"),
        ("Gemm(x, w, w)", "1,3", (3, 3), f"its summand C does not broadcast to the product's shape{INVALID}"),
        ("MatMul(x, w)", "1,3", (4, 2), f"its factors have inner extents 3 and 4{INVALID}"),
        ("MatMul(x, w)", "1,3", (), f"a factor is a scalar{INVALID}"),
        ("Add(x, w)", "1,3", (4,), f"shapes 1x3 and 4 do not broadcast together{INVALID}"),
        ("BatchNormalization(x, w, w, w, w)", "1,3", (4,), f"its 'w' has shape 4, not 3{INVALID}"),
        ("Transpose<perm=[1,1]>(x)", "1,3", (1,), f"axes [1, 1] repeat one another{INVALID}"),
        ("Transpose<perm=[0]>(x)", "1,3", (1,), f"perm [0] does not name all 2 axes{INVALID}"),
        ("Flatten<axis=3>(x)", "1,3", (1,), f"axis 3 does not exist in a tensor of rank 2{INVALID}"),
        ("ReduceMean<axes=[2]>(x)", "1,3", (1,), f"axis 2 does not exist in a tensor of rank 2{INVALID}"),
    ],
)
def test_a_node_that_contradicts_itself_is_refused(
    node: str, shape: str, weight: tuple[int, ...], expected: str, model: Model
) -> None:
    built = model(f"g (float[{shape}] x) => (float[1] y) {{ y = {node} }}", w=np.ones(weight, np.float32))
    found = message(built, HeccError)
    assert found == f"{built.graph.node[0].op_type} 'y' (opset 13): {expected}"


@pytest.mark.parametrize(
    ("node", "numbers", "expected"),
    [
        ("Reshape(x, s)", [2, 2], f"cannot reshape 1x3 to [2, 2]{INVALID}"),
        ("Reshape(x, s)", [-1, -1], f"cannot reshape 1x3 to [-1, -1]{INVALID}"),
        ("Reshape(x, s)", [-1, 2], f"cannot reshape 1x3 to [-1, 2]{INVALID}"),
        ("Reshape(x, s)", [0, 3, 0], f"cannot reshape 1x3 to [0, 3, 0]{INVALID}"),
        ("Squeeze(x, s)", [1], f"axis 1 of 'x' has extent 3, not one{INVALID}"),
        ("Pad(x, s)", [0, 0, 0], f"it has 3 pads for 2 axes{INVALID}"),
        ("Pad(x, s)", [0, -3, 0, 0], f"its pads leave no elements{INVALID}"),
        ('Pad<mode="mirror">(x, s)', [0, 0, 0, 0], f"mode 'mirror' does not exist{INVALID}"),
    ],
)
def test_a_node_with_impossible_integers_is_refused(node: str, numbers: list[int], expected: str, model: Model) -> None:
    built = model(f"g (float[1,3] x) => (float[1] y) {{ y = {node} }}", s=np.array(numbers))
    assert message(built, InputError) == f"{built.graph.node[0].op_type} 'y' (opset 13): {expected}"


def test_training_mode_is_refused(model: Model) -> None:
    built = model(
        "g (float[1,3] x) => (float[1,3] y) { y, m, v = BatchNormalization<training_mode=1>(x, w, w, w, w) }",
        15,
        w=ONES,
    )
    assert message(built) == (
        "BatchNormalization 'y' (opset 15): it is in training mode, where it divides by the standard deviation of "
        "encrypted data; export the network in inference mode: call model.eval() first"
    )


def test_a_negative_variance_is_refused(model: Model) -> None:
    built = model("g (float[1,3] x) => (float[1,3] y) { y = BatchNormalization(x, w, w, w, v) }", w=ONES, v=-ONES)
    assert message(built, InputError) == f"BatchNormalization 'y' (opset 13): its variance 'v' is not positive{INVALID}"


@pytest.mark.parametrize(
    ("operator", "number", "remedy"),
    [
        ("Add", np.nan, "train the network again"),
        ("Sub", -np.inf, "write a number such as -1e4 if it is a mask, or train the network again"),
    ],
)
def test_weights_that_are_not_numbers_are_refused(operator: str, number: float, remedy: str, model: Model) -> None:
    weight = np.array([1, number, 1], np.float32)
    built = model(f"g (float[1,3] x) => (float[1,3] y) {{ y = {operator}(x, w) }}", w=weight)
    assert message(built, InputError) == f"{operator} 'y' (opset 13): its constant 'w' holds infinity or NaN; {remedy}"


def test_integer_weights_are_refused(model: Model) -> None:
    built = model("g (float[1,3] x) => (float[1,3] y) { y = Add(x, w) }", w=np.ones(3, np.int64))
    assert message(built) == "Add 'y' (opset 13): its constant 'w' holds int64; cast it to float32 in the network"


def test_a_sparse_constant_is_refused(model: Model) -> None:
    built = model("g (float[1,3] x) => (float[1,3] y) { y = Add(x, w) }")
    values = numpy_helper.from_array(np.ones(1, np.float32), "w")
    sparse = helper.make_sparse_tensor(values, numpy_helper.from_array(np.array([1])), [3])
    built.graph.node.insert(0, helper.make_node("Constant", [], ["w"], sparse_value=sparse))
    assert message(built) == (
        "Constant 'w' (opset 13): it holds a sparse tensor; store it densely: hecc finds the zeros by itself"
    )
    del built.graph.node[0]
    built.graph.sparse_initializer.append(sparse)
    assert message(built) == (
        "the weight 'w' is a sparse initializer; store it densely: hecc finds the zeros by itself"
    )


def test_what_the_reference_cannot_fold_is_refused(model: Model) -> None:
    built = model("g (float[1,3] x) => (float[1,3] y) { w = Gather(v, i)  y = Add(x, w) }", v=ONES, i=np.array([7]))
    assert message(built) == (
        "Gather 'w' (opset 13): ONNX's reference implementation cannot evaluate it (IndexError); fold the "
        "network's constants before importing, for instance with onnxsim"
    )


def test_a_folded_sequence_is_refused(model: Model) -> None:
    built = model(
        "g (float[1,3] x) => (float[1,3] y) { s = SequenceConstruct(w)  v = SequenceAt(s, i)  y = Add(x, v) }",
        w=ONES,
        i=np.array(0),
    )
    assert message(built).splitlines()[0] == (
        "SequenceConstruct 's' (opset 13): its result is not a tensor; use tensors instead of sequences, maps and "
        "optionals"
    )


# --- inputs and outputs -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("declared", "kind", "expected"),
    [
        (
            "int64[1,3] x",
            UnsupportedError,
            (
                "input 'x' holds int64; only real numbers can be encrypted: make the input float32 and drop the Cast "
                "behind it, if any, and look up embeddings before encryption"
            ),
        ),
        (
            "string[1,3] x",
            UnsupportedError,
            (
                "input 'x' holds strings; only real numbers can be encrypted: encode categories as numbers before "
                "encryption, and train the model on these"
            ),
        ),
        (
            "seq(float[1,3]) x",
            UnsupportedError,
            "input 'x' is declared as sequence, not as a tensor; only tensors can be encrypted",
        ),
        (
            "float[] x",
            UnsupportedError,
            "input 'x' has no shape; export the network with a fixed input shape",
        ),
        (
            "float[1,0] x",
            InputError,
            "input 'x' has no elements: axis 1 has extent 0; export the network again",
        ),
        (
            "float[N,length] x",
            UnsupportedError,
            "input 'x' has a dynamic axis 1 ('length'); export the network with a fixed size there",
        ),
        (
            "float[length] x",
            UnsupportedError,
            "input 'x' has a dynamic axis 0 ('length'); export the network with a fixed size there",
        ),
    ],
)
def test_inputs_that_cannot_be_encrypted_are_refused(
    declared: str, kind: type[HeccError], expected: str, model: Model
) -> None:
    built = model(f"g ({declared}) => (float[1,3] y) {{ y = Identity(x) }}")
    if declared == "float[] x":
        built.graph.input[0].type.tensor_type.ClearField("shape")
    assert message(built, kind) == expected


def test_a_dynamic_batch_is_refused_if_there_is_to_be_none(model: Model) -> None:
    built = model("g (float[N,3] x) => (float[N,3] y) { y = Neg(x) }")
    assert message(built, batch_axis=False) == (
        "input 'x' has a dynamic axis 0 ('N'); export the network with a fixed size there, or import with "
        "batch_axis=True if "
        "it is the batch"
    )


def test_an_output_that_is_constant_is_refused(model: Model) -> None:
    built = model("g (float[1,3] x) => (float[3] y) { y = Identity(w) }", w=ONES)
    assert message(built) == (
        "output 'y' does not depend on any input; remove it from the model's outputs and read its value from the model"
    )


def test_an_output_without_a_batch_axis_is_refused(model: Model) -> None:
    built = model("g (float[1,3] x) => (float[3,1] y) { y = Transpose(x) }")
    assert message(built) == (
        "output 'y' of one example has shape 3x1, so its axis 0 is not the batch axis of the inputs; compile with "
        "--no-batch-axis (batch_axis=False) if the whole input is one example, or keep the batch axis in front"
    )
    assert import_model(built, batch_axis=False).node("y").output.shape == (3, 1)


# --- files ------------------------------------------------------------------------------------------------------------

NOT_A_MODEL = "is not an ONNX model; export the network in ONNX's binary format, for instance with torch.onnx.export"


@pytest.mark.parametrize("content", [b"", b"garbage", b"\x08\x07", bytes(range(256)) * 10, b"PK\x03\x04" + bytes(100)])
def test_bytes_and_files_that_are_no_model_are_refused(content: bytes, tmp_path: Path) -> None:
    assert message(content, InputError) == f"the bytes given {NOT_A_MODEL}"
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    assert message(path, InputError) == f"'{path}' {NOT_A_MODEL}"


@pytest.mark.parametrize("given", [5, None, 1.5, ["model.onnx"]])
def test_what_can_be_no_model_is_refused(given: Any) -> None:
    assert message(given, InputError).startswith(f"a model of type '{type(given).__name__}'; give the path")


def test_a_truncated_model_is_refused(model: Model) -> None:
    whole = model("g (float[1,3] x) => (float[1,3] y) { y = Add(x, w) }", w=ONES).SerializeToString()
    for length in range(0, len(whole), 7):
        message(whole[:length], HeccError)


@pytest.mark.parametrize("what", ["node", "input", "output", "weight"])
@pytest.mark.parametrize(
    ("name", "shown"), [("a\nb", r"'a\nb'"), ("\x1b[2J", r"'\x1b[2J'"), ("n" * 600, "'" + "n" * 40 + "...'")]
)
def test_a_name_that_no_plan_could_have_is_refused(model: Model, what: str, name: str, shown: str) -> None:
    built = model("g (float[1,3] x) => (float[1,3] y) { y = Add(x, w) }", w=ONES)
    graph = built.graph
    match what:
        case "node":
            graph.node[0].name = name
        case "input":
            graph.input[0].name = graph.node[0].input[0] = name
        case "output":
            graph.output[0].name = graph.node[0].output[0] = name
        case _:
            graph.initializer[0].name = graph.node[0].input[1] = name
    limit = 256 if what in {"input", "output"} else 512
    assert message(built, InputError) == (
        f"the model names something {shown}, which cannot be printed or has more than {limit} characters; give it "
        "another name in the network, or rename it in the ONNX file"
    )


def test_damaged_weights_and_names_are_refused(model: Model) -> None:
    built = model("g (float[1,3] x) => (float[1,3] y) { y = Add(x, w) }", w=ONES)
    whole = built.SerializeToString()
    assert message(whole.replace(b"Add", b"A\xffd"), InputError) == (
        "the bytes given is damaged: it holds a name that is not text; export the network in ONNX's binary format, for "
        "instance with torch.onnx.export"
    )
    built.graph.initializer[0].dims[0] = 4
    found = message(built, InputError)
    assert found.startswith("the model is not valid ONNX: ")
    assert "w" in found
    # Where the checker has to give way, because it knows not all operators, the importer finds the damage itself.
    built.graph.node[0].op_type = "Frobnicate"
    assert message(built, InputError) == (
        "the weight 'w' is damaged: its data do not fit its shape and type; export the network again"
    )


def test_attributes_of_the_wrong_type_are_refused(model: Model) -> None:
    built = model("g (float[1,3] x) => (float[1,3] y) { y = Flatten<axis=1>(x) }")
    built.graph.node[0].attribute[0].type = onnx.AttributeProto.INTS
    built.graph.node[0].attribute[0].ints.append(1)
    assert message(built, InputError).startswith("the model is not valid ONNX: ")


def test_tensors_of_absurd_size_are_refused(model: Model) -> None:
    built = model("g (float[1,3] x) => (float[1,3] y) { y = Pad(x, p) }", p=np.array([0, 0, 0, 1 << 40]))
    assert message(built) == (
        f"Pad 'y' (opset 13): its result would have {(1 << 40) + 3} elements; stay below {1 << 23} elements"
    )
    built = model("g (float[1,1099511627776] x) => (float[1,3] y) { y = Neg(x) }")
    assert message(built) == f"input 'x' has {1 << 40} elements, more than {1 << 22}; use smaller inputs"


def test_files_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    missing = tmp_path / "missing.onnx"
    assert message(missing, InputError) == f"there is no file '{missing}'; give the path of an ONNX model"
    assert (
        message(str(tmp_path), InputError)
        == f"cannot read '{tmp_path}': Is a directory; give the path of an ONNX model"
    )


def test_weights_in_another_file_are_found_next_to_the_model_or_missed_by_name(tmp_path: Path, model: Model) -> None:
    built = model("g (float[1,3] x) => (float[1,3] y) { y = Add(x, w) }", w=ONES)
    external_data_helper.convert_model_to_external_data(built, location="weights.bin", size_threshold=0)
    path = tmp_path / "model.onnx"
    onnx.save(built, path)
    np.testing.assert_array_equal(import_model(path).parameters["w"], ONES)
    expected = (
        "keeps the weight 'w' in another file, 'weights.bin'; give the path of the model, next to which that file lies"
    )
    assert message(path.read_bytes(), InputError) == f"the bytes given {expected}"
    assert message(onnx.load(path, load_external_data=False), InputError) == f"the model in memory {expected}"
    (tmp_path / "weights.bin").unlink()
    assert message(path, InputError) == (
        f"'{path}' keeps the weight 'w' in 'weights.bin', which is missing; put that file next to the model, or save "
        "the model with its weights inside"
    )


def test_weights_outside_the_models_folder_are_not_read(tmp_path: Path, model: Model) -> None:
    built = model("g (float[1,3] x) => (float[1,3] y) { y = Add(x, w) }", w=ONES)
    folder = tmp_path / "folder"
    folder.mkdir()
    (tmp_path / "secret.bin").write_bytes(ONES.tobytes())
    tensor = built.graph.initializer[0]
    external_data_helper.set_external_data(tensor, location="../secret.bin")
    tensor.ClearField("raw_data")
    (folder / "model.onnx").write_bytes(built.SerializeToString())
    assert message(folder / "model.onnx", InputError) == (
        f"'{folder / 'model.onnx'}' keeps the weight 'w' in '../secret.bin', which is no file in the model's folder, "
        "and no other is read; save the model with its weights inside"
    )


@pytest.mark.parametrize(
    ("graph", "sentence"),
    [
        (
            "y = PRelu(x, s)",
            "the operator means something else than in opset 7, the oldest that is imported with it; export the",
        ),
        (
            "y = Dropout(x)",
            "it is in training mode; export the network in inference mode: call model.eval() first",
        ),
    ],
)
def test_what_older_opsets_meant_otherwise_is_refused(graph: str, sentence: str, model: Model) -> None:
    built = model(f"g (float[1,3] x) => (float[1,3] y) {{ {graph} }}", 6, s=np.ones(3, np.float32))
    assert message(built).startswith(f"{built.graph.node[0].op_type} 'y' (opset 6): {sentence}")


def test_functions_of_older_opsets_are_refused(model: Model) -> None:
    built = model("g (float[1,3] x) => (float[1,3] y) { y = own.f(x) }", 6)
    body = [helper.make_node("Neg", ["a"], ["b"])]
    built.functions.append(helper.make_function("own", "f", ["a"], ["b"], body, [helper.make_opsetid("", 6)]))
    built.opset_import.append(helper.make_opsetid("own", 1))
    assert message(built) == (
        "the model uses opset 6, older than 7, and is not written anew; export the network again with opset 13 or "
        "newer, and without functions of its own"
    )


def test_newer_opsets_are_refused(model: Model) -> None:
    newest = newest_opset()
    built = model("g (float[1,3] x) => (float[1,3] y) { y = Neg(x) }", newest)
    import_model(built)
    built.opset_import[0].version = newest + 1
    assert message(built) == (
        f"the model uses opset {newest + 1}, newer than {newest}, the newest that the installed onnx "
        f"{onnx.__version__} "
        f"knows; upgrade onnx, export with opset_version={newest}, or convert it with onnx.version_converter"
    )


def test_models_that_are_not_valid_are_refused(model: Model) -> None:
    built = model("g (float[1,3] x) => (float[1,3] y) { y = Neg(z) }")
    assert message(built, InputError) == (
        "Neg 'y' needs 'z', which nothing defines; the model is not valid ONNX: export it again"
    )
    built.graph.node[0].input[0] = "y"
    assert message(built, InputError) == "Neg 'y' depends on its own output; the model is not valid ONNX"
    built = model("g (float[1,3] x) => (float[1,3] y) { y = Neg(x) }")
    built.graph.output[0].name = "z"
    assert message(built, InputError) == (
        "the model's outputs needs 'z', which nothing defines; the model is not valid ONNX: export it again"
    )
    del built.graph.output[:]
    assert message(built, InputError) == "the model has no outputs; export it again"
    built = model("g (float[1,3] x) => (float[1,3] y) { y = Neg(x, x) }")
    found = message(built, InputError)
    assert found.startswith("the model is not valid ONNX: ")
    assert "Neg" in found
    assert found.endswith("; export the network again")

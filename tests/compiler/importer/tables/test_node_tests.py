"""The official ONNX node tests: each is passed, or refused for a reason that was looked at."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from hecc.compiler.ckks.limits import LIMITS
from hecc.compiler.importer.operators import CONVERTERS
from hecc.compiler.importer.tables.conformance import DISPUTED, NodeTest, Outcome, node_tests, run
from hecc.compiler.importer.tables.table import read_records, render
from hecc.compiler.importer.tail.rules import STARTING

ROOT = Path(__file__).resolve().parents[4]
DOCUMENT = ROOT / "docs" / "reference" / "operators.md"
RECORDS = ROOT / "tests" / "end_to_end" / "node_tests"

# Which tests are refused, and what the sentence says. A test that matches no pattern must pass; one that matches a
# pattern must be refused with that sentence.
INTEGERS = r"input '\w+' holds (u?int|bool)\d*"
# Numbers of a short type that a network makes real ones of at once.
REAL = r"(test_cast_(FLOAT8E\w+|U?INT4)_to_FLOAT(16)?|test_castlike_(FLOAT8E[45]\w+|U?INT4)_to_FLOAT(16)?_expanded)$"
OPERATORS = {
    # Integers, truth values and texts cannot be encrypted.
    **dict.fromkeys(["And", "NonZero", "Or", "Xor"], "holds bool"),
    **dict.fromkeys(["BitShift", "BitwiseAnd", "BitwiseNot", "BitwiseOr", "BitwiseXor"], INTEGERS),
    **dict.fromkeys(["ConstantOfShape", "EyeLike", "MelWeightMatrix", "TfIdfVectorizer", "ImageDecoder"], INTEGERS),
    **dict.fromkeys(["RegexFullMatch", "StringConcat", "StringNormalizer", "StringSplit"], "holds strings"),
    # Sequences and optionals.
    **dict.fromkeys(["SequenceInsert", "SequenceLength", "SequenceMap"], "declared as sequence"),
    # The shape, or the whole, of a result that depends on encrypted data.
    **dict.fromkeys(["NonMaxSuppression", "Unique"], r"the shape of its result depends|holds int64"),
    **dict.fromkeys(["Bernoulli", "RandomUniformLike"], "its result is random"),
    # Jumps.
    **dict.fromkeys(["IsInf", "IsNaN", "Mod"], rf"the operator is not supported|{INTEGERS}"),
    # Not written yet.
    **dict.fromkeys(["DeformConv", "Det", "MaxUnpool", "RoiAlign", "TensorScatter"], "the operator is not supported"),
    **dict.fromkeys(["DFT", "STFT", "Scatter", "SplitToSequence"], "the operator is not supported"),
    "LpPool": "an Lp norm",
    "DynamicQuantizeLinear": "output 'y_scale' does not depend on any input",
    "Equal": rf"{INTEGERS}|holds strings",
    "BitCast": rf"the operator is not supported|{INTEGERS}",
    "CumProd": rf"the operator is not supported|{INTEGERS}",
    "OneHot": rf"the operator is not supported|{INTEGERS}",
    **dict.fromkeys(["BlackmanWindow", "HammingWindow", "HannWindow"], INTEGERS),
    "If": "input 'cond' holds bool",
    "OptionalHasElement": "declared as optional|no checked rule",
    "OptionalGetElement": "declared as (optional|sequence)|the operator is not supported",
    "Range": rf"the shape of its result depends on encrypted data|{INTEGERS}",
    # Other domains.
    **dict.fromkeys(["Adagrad", "Adam", "Momentum"], "operators of the domain 'ai.onnx.preview.training'"),
    "LabelEncoder": "holds strings|it compares encrypted features",
    "TreeEnsemble": "decision trees",
}
"""Operators of which all tests are refused, and what the sentence says."""

REFUSED = {
    # Encrypted numbers are real: integers, strings, sequences and optionals cannot be encrypted.
    r"test_(add|sub|mul|div)_u?int\d+(_trunc)?": INTEGERS,
    r"test_pow_types_int.*": INTEGERS,
    r"test_(edge|reflect|wrap)_pad": INTEGERS,
    r"test_clip_default_int8_(min|max|inbounds)(_expanded)?": INTEGERS,
    r"test_where_long_example": "input 'condition' holds bool",
    r"test_tri[lu]\w*": r"input 'x' holds int64|input 'x' has no elements",
    r"test_gathernd_example_int32(_batch_dim1)?": r"input 'data' holds int32",
    r"test_cumsum_\d+d_int32\w*": INTEGERS,
    r"test_identity_sequence": "declared as sequence",
    r"test_identity_opt": "declared as optional",
    rf"(?!{REAL})test_cast(like)?_(e8m0_)?(U?INT|FLOAT[48]E)\w+?_to_\w+": r"input 'input' holds (u?int|float[48]e)\d",
    r"test_(greater|less)(_equal)?_u?int\d+(_expanded)?": INTEGERS,
    r"test_(max|min)_u?int\d+": r"input 'data_0' holds u?int\d+",
    r"test_top_k_(same_values\w*|uint64)": r"input 'x' holds u?int64",
    r"test_not_\dd": "holds bool",
    r"test_reduce_(max|min)_(bool_inputs|empty_set_bool)": "input 'data' holds bool",
    # A cast that rounds is not a polynomial.
    r"test_cast(like)?_(no_saturate_|e8m0_)?(FLOAT|FLOAT16)_to_(U?INT|FLOAT[48]E)\w+": r"casting to .* rounds",
    r"test_quantizelinear_(e4m3fn|e5m2|float4e2m1)": "quantising to .* rounds",
    r"test_dequantizelinear_(u?int2|float4e2m1)": r"input 'x' holds (u?int|float)\d",
    # Elements that are combined with those that are replaced.
    r"test_scatter(_elements|nd)_(with_duplicate_indices|(with_reduction_)?(add|mul|multiply|max|min)\w*)": "reduction",
    # Where the maximum is, is an integer that nothing computes.
    r"test_maxpool_with_argmax_\w+": "its additional output 'z' is used",
    r"test_maxpool_2d_uint8": INTEGERS,
    # Training.
    r"test_batchnorm_\w+_training_mode": "it is in training mode",
    r"test_training_dropout\w*": "it is in training mode",
    r"test_dropout_default_mask(_ratio)?": "its additional output 'z' is used",
    # Nothing is encrypted: the output is a constant.
    r"test_constant": "does not depend on any input",
    r"test_shape(_\w+)?": "does not depend on any input",
    r"test_size(_\w+)?": "does not depend on any input",
    r"test_slice_start_out_of_bounds": "does not depend on any input",
    # Written out by ONNX into operators that are refused.
    r"test_range_(bfloat16|float16|float|int32)_type_\w+_expanded": rf"rounding|{INTEGERS}",
    r"test_(blackman|hamming|hann)window(_symmetric)?_expanded": "the shape of its result depends on encrypted data",
    r"test_dynamicquantizelinear\w*_expanded": "rounding",
    r"test_(greater|less)_equal(_bcast)?_expanded": "comparisons cannot be computed",
    r"test_scan_sum": "a loop over batches is not supported",
    r"test_loop1[36]_seq(_none)?": "holds int64|declared as",
    r"test_sequence_map_\w+_expanded": "declared as sequence",
    # Masks: one that hides all scores of a query, and scores that are returned as they are, minus infinity and all.
    r"test_attention\w*(fully?_?masked|boolmask_nan|causal_padded_kv_bf16|structural_empty)\w*": "a mask hides all",
    r"test_attention\w*(mode3_softmax_precision|local_window_gqa_rank4_mask)(_expanded)?": "a mask hides all",
    r"test_attention\w*qk_matmul_bias_[34]d_mask_causal(_expanded)?": "does not depend on any input",
    r"test_causal_conv_with_state_kernel_size_one(_expanded)?": "'present_state' does not depend on any input",
    # No elements.
    r"test_reshape_allowzero_reordered": "axis 0 has extent 0",
    r"test_reduce_(l1_|l2_|log_sum_|log_sum_exp_|max_|min_|prod_|sum_|sum_square_)empty_set(?!_bool)\w*": (
        "axis 1 has extent 0"
    ),
    r"test_split_zero_size_splits_opset\d+": "axis 0 has extent 0",
}

UNTESTED = {"Erfc", "Not", "Trilu"}
"""Operators that ONNX does not have, or tests with integers or in opset 1 only; other tests of the importer do."""

TESTS = list(node_tests())


@pytest.fixture(scope="module")
def outcomes() -> list[Outcome]:
    return [run(test, LIMITS) for test in TESTS]


@pytest.mark.parametrize("test", TESTS, ids=lambda test: test.name)
def test_an_official_node_test_passes_or_is_refused_for_a_reviewed_reason(test: NodeTest) -> None:
    refusal = run(test).refusal
    reasons = [reason for pattern, reason in REFUSED.items() if re.fullmatch(pattern, test.name)]
    if not reasons and test.operator in OPERATORS:
        reasons = [OPERATORS[test.operator]]
    assert len(reasons) <= 1, "a test has one reason"
    if reasons:
        assert re.search(reasons[0], refusal), refusal or "it is not refused any more"
    else:
        assert refusal == ""


def test_every_operator_passes_and_the_table_in_the_documentation_is_current(outcomes: list[Outcome]) -> None:
    passed = {outcome.operator for outcome in outcomes if not outcome.refusal}
    assert passed >= CONVERTERS.keys() - UNTESTED
    assert passed >= STARTING - {"Binarizer", "Normalizer", "ZipMap"}, "all of ONNX's own domain"
    assert not passed & {*UNTESTED, *OPERATORS}
    assert sum(not outcome.refusal for outcome in outcomes) >= 900
    assert sum(outcome.encryptable for outcome in outcomes) >= 850
    committed = DOCUMENT.read_text(encoding="utf-8")
    if f"with onnx {onnx.__version__};" not in committed:
        pytest.skip(
            f"the table was written with another version of onnx than {onnx.__version__}, which has other tests"
        )
    records = read_records(RECORDS)
    assert committed == render(outcomes, LIMITS, records), (
        "run: python -m hecc.compiler.ckks.limits docs/reference/operators.md tests/end_to_end/node_tests"
    )
    # Nothing is listed as verified that is not selected.
    for record in records.values():
        assert record.keys() <= {outcome.name for outcome in outcomes if outcome.encryptable}
    assert sum("error" in entry for entry in records["ckks"].values()) >= 850


def test_a_cell_of_the_table_says_what_became_of_the_tests() -> None:
    outcomes = [Outcome(name, "Abs", encryptable=True) for name in ("a", "b", "c", "d", "e")]
    refused = "Abs 'y' (opset 13): it has a pole between 0 and 5; keep it away"
    records = {
        "ckks": {"a": {"error": 0.1}, "b": {"error": 1.5}, "c": {"unfinished": "it takes more than 9 s"}},
        "more": {name: {"error": 0.0, "compares": True} for name in "abcde"},
        "sharing": {"a": {"error": 0.1}, "b": {"refused": refused}, "c": {"refused": refused.replace("5", "7")}},
    }
    (line,) = (line for line in render(outcomes, LIMITS, records).splitlines() if line.startswith("| Abs | 1 of 5"))
    cells = line.strip("| ").split(" | ")
    assert cells[1] == "1 of 5; 2 not run yet; 1 less precise than is promised; it takes more than 9 s"
    assert cells[2] == "5 of 5; it compares, so `--comparisons exact` or `smooth`"
    assert cells[3] == "1 of 5; 2 not run yet; 2 refused: it has a pole between … and …"


def test_every_reason_for_refusal_is_needed() -> None:
    for pattern in REFUSED:
        assert any(re.fullmatch(pattern, test.name) for test in TESTS), pattern
    assert OPERATORS.keys() <= {test.operator for test in TESTS}


def test_a_wrong_result_fails_an_official_test() -> None:
    test = next(test for test in TESTS if test.name == "test_transpose_default")
    inputs, outputs = test.data[0]
    broken = NodeTest(test.name, test.operator, test.model, ((inputs, [outputs[0] + 1]),))
    with pytest.raises(AssertionError):
        run(broken)


@pytest.mark.parametrize("test", list(node_tests(disputed=True)), ids=lambda test: test.name)
def test_where_onnx_disagrees_with_onnxruntime_hecc_does_too(test: NodeTest, runtime: Callable[..., Any]) -> None:
    with pytest.raises(AssertionError):
        run(test)
    inputs, _ = test.data[0]
    feeds = {item.name: np.asarray(value) for item, value in zip(test.model.graph.input, inputs, strict=True)}
    agreed = replace(test, data=((inputs, [runtime(test.model, feeds)]),))
    assert run(agreed).refusal == ""


def test_every_disputed_test_is_one_of_onnx() -> None:
    assert {test.name for test in node_tests(disputed=True)} == DISPUTED

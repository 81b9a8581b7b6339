"""The comparison with SEAL's own operations: what is counted is what SEAL's evaluator does, and the figures add up."""

import importlib.util
import json
import re
import subprocess
import sys
from collections import Counter
from importlib import resources
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

import hecc
from hecc.runtime.ckks.ciphertexts import CiphertextFile
from hecc.runtime.ckks.circuit.instructions import (
    INSTRUCTIONS,
    AddScalar,
    Bootstrap,
    Circuit,
    Conjugate,
    FourierFactor,
    MatrixProduct,
    MultiplyScalar,
    Polynomial,
    Raise,
    SparseMatrix,
)
from hecc.runtime.ckks.devices.seal.engine import SealEngine
from hecc.runtime.ckks.keys.keyfiles import EvaluationKeyFile
from hecc.runtime.ckks.readings.types import verify_expanded

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "instructions.py"


NAMES = {
    "apply_galois": "rotate",
    "sub": "subtract",
    "add_inplace": "add",
    "rescale_to": "rescale",
    "mod_switch_to": "drop_limbs",
}
"""What the comparison calls SEAL's operations that it does not call as SEAL does."""


class Counting:
    """One of SEAL's objects, whose calls are counted by name, limbs and polynomials of what comes out."""

    def __init__(self, inner: Any, counts: Counter[tuple[str, int, int]]) -> None:
        self._inner = inner
        self._counts = counts

    def __getattr__(self, name: str) -> Any:
        def call(*arguments: Any) -> None:
            target = arguments[0] if name.endswith("_inplace") else arguments[-1]
            before = arguments[0].coeff_modulus_size() if name != "encode" else 0
            getattr(self._inner, name)(*arguments)
            if name == "encode":
                self._counts["encode_scalar" if isinstance(arguments[0], float) else "encode", 0, 2] += 1
            elif name in ("rescale_to", "mod_switch_to"):
                for level in range(before, target.coeff_modulus_size(), -1):
                    self._counts[NAMES[name], level, target.size()] += 1
            else:
                polynomials = 2 if name in ("multiply", "square") else target.size()
                self._counts[NAMES.get(name, name), target.coeff_modulus_size(), polynomials] += 1

        return call


@pytest.fixture(scope="module")
def instructions() -> ModuleType:
    """The script as a module."""
    specification = importlib.util.spec_from_file_location("instructions", SCRIPT)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    # Dataclasses and named tuples look their module up there.
    sys.modules[specification.name] = module
    specification.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small network's plan."""
    data = resources.files("hecc") / "data"
    with np.load(str(data / "digits.npz")) as digits:
        compiled = hecc.compile((data / "digits.onnx").read_bytes(), calibration=digits["calibration"], precision=8)
    path = tmp_path_factory.mktemp("plan") / "digits.bin"
    compiled.save(path)
    return path


def test_what_is_counted_is_what_seals_evaluator_does(instructions: ModuleType, plan: Path, tmp_path: Path) -> None:
    loaded = hecc.Plan.load(plan)
    keys = loaded.header.keys
    circuit, types = verify_expanded(loaded.require_circuit(), keys)
    client = hecc.Client(loaded)
    made = client.keygen(tmp_path / "keys", device="seal")
    client.encrypt(np.zeros((1, 1, 8, 8))).save(tmp_path / "row.bin")
    done: Counter[tuple[str, int, int]] = Counter()
    row = CiphertextFile.load(tmp_path / "row.bin")
    streams = {ins.name: [row.stream(ins.name, 0, k) for k in range(ins.count)] for _, ins in circuit.inputs()}
    with SealEngine(circuit, keys).session(EvaluationKeyFile(made.evaluation)) as session:
        session._evaluator = Counting(session._evaluator, done)
        session._encoder = Counting(session._encoder, done)
        session.run(streams)
    counted: Counter[tuple[str, int, int]] = Counter()
    for index in range(len(circuit.instructions)):
        for operation, times in instructions.operations(circuit, index, types).items():
            # The encoder does not say at which level it encodes.
            limbs = 0 if operation.name.startswith("encode") else operation.limbs
            counted[operation.name, limbs, operation.polynomials] += times
    assert +counted == done
    assert counted.total() > 100


def test_a_matrix_product_is_a_product_per_weight_and_scalars_are_encoded_once(instructions: ModuleType) -> None:
    matrix = {"offsets": np.array([0, 2, 2, 5]), "columns": np.array([0, 1, 0, 1, 2]), "values": np.ones(5)}
    circuit = Circuit(
        16,
        (
            MatrixProduct(x=0, count=3, matrix="w"),
            AddScalar(x=0, value=1.0),
            MultiplyScalar(x=1, value=2.0),
            Conjugate(x=2),
            MatrixProduct(x=0, count=3, matrix="w", bias="b"),
        ),
        {f"w.{name}": array.astype(SparseMatrix.FIELDS[name]) for name, array in matrix.items()},
    )
    types = [SimpleNamespace(limbs=4, count=3, polynomials=2)] * 5
    found = [dict(instructions.operations(circuit, index, types)) for index in range(5)]
    assert found == [
        {("encode_scalar", 4, 2): 5, ("multiply_plain", 4, 2): 5, ("add", 4, 2): 3},
        {("encode_scalar", 4, 2): 1, ("add_plain", 4, 2): 3},
        {("encode_scalar", 4, 2): 1, ("multiply_plain", 4, 2): 3},
        {("rotate", 4, 2): 3},
        {("encode_scalar", 4, 2): 8, ("multiply_plain", 4, 2): 5, ("add", 4, 2): 3, ("add_plain", 4, 2): 3},
    ]


def test_every_instruction_that_there_is_can_be_counted(instructions: ModuleType) -> None:
    # Of a new instruction somebody has to say what SEAL does for it.
    source = SCRIPT.read_text(encoding="utf-8")
    counter = source[source.index("def operations(") : source.index("def steps(")]
    missing = [kind for kind in INSTRUCTIONS if not re.search(rf"\b{kind.__name__}\(\)", counter)]
    # The first is expanded before, and SEAL has none of the others.
    assert missing == [Polynomial, FourierFactor, Bootstrap, Raise]


def test_the_script_reports_ratios_that_add_up(plan: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    options = ["--threads", "1", "--runs", "2", "--rounds", "1", "--sizes", "11:2", "--json", str(report)]
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(plan), *options], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(report.read_text(encoding="utf-8"))
    (primitives,), (network,) = found["primitives"], found["plans"]
    assert (primitives["ring_degree"], primitives["limbs"], primitives["digits"]) == (2048, 2, 2)
    assert len(primitives["seconds"]) == 5
    for row in primitives["seconds"].values():
        assert row["seal"] > 0
        assert row["native"]["1"] > 0

    (native,) = network["native"]
    header = hecc.Plan.load(plan).header
    assert network["rotations"] == header.estimate.rotations
    seconds = {True: 0.0, False: 0.0}
    for operation in network["operations"]:
        seconds[operation["name"].startswith("encode")] += operation["times"] * operation["seconds"]
    assert network["seal_seconds"] == pytest.approx(seconds[False])
    assert network["seal_seconds_with_encoding"] == pytest.approx(seconds[False] + seconds[True])
    assert network["seal_seconds"] == pytest.approx(sum(row["seal"] for row in network["kinds"].values()))
    assert native["ratio"] == pytest.approx(network["seal_seconds"] / native["seconds"])
    assert set(native["instructions"]) == set(network["kinds"])
    assert network["memory_ratio"] == pytest.approx(network["seal_evaluator_peak_bytes"] / network["native_peak_bytes"])
    # The sum is of SEAL's operations alone: its evaluator, driven from Python, needs at least about as long.
    assert 0.2 * network["seal_evaluator_seconds"] < network["seal_seconds"] < 5 * network["seal_evaluator_seconds"]
    for words in ("log2 QP", "digits", "hoisted rotation", "the whole run", "peak memory", "linear_transform"):
        assert words in done.stdout


def test_a_file_that_is_no_network_is_refused_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "text.onnx").write_text("no network")
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "text.onnx", "--sizes"], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 1
    assert re.fullmatch(r"error: text\.onnx: .+\n", done.stderr)

"""Which kernels run on which machine: chosen by CPUID, forced by HECC_KERNELS, on lesser machines by HECC_MASK_CPU.

Each choice is made once per process, so these tests make processes.
"""

import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
FEATURES = ("avx", "fma", "avx2", "avx512f", "avx512dq", "avx512vl", "avx512ifma")
NEEDED = {"avx512ifma": set(FEATURES), "avx2": {"avx", "fma", "avx2"}, "portable": set()}

CHOICE = """
from hecc.runtime.native import Kernels, NttTables, implementations
print(",".join(implementations()), Kernels().implementation, NttTables(2048, 40961).implementation)
"""


def run(program: str, *arguments: str, **variables: str) -> str:
    """What a process prints that has these of hecc's environment variables and no others."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("HECC_")}
    result = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**environment, **variables},
        timeout=120,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


@pytest.fixture(scope="module")
def available() -> list[str]:
    """What this machine runs with nothing masked, even where the tests themselves run with a mask."""
    return run(CHOICE).split()[0].split(",")


def without(available: list[str], *masked: str) -> list[str]:
    """What there is on such a machine without some features."""
    return [name for name in available if not NEEDED[name] & set(masked)]


@pytest.mark.parametrize(
    "masked",
    [*((feature,) for feature in FEATURES), ("avx512ifma", "avx2"), ("avx2", "avx512ifma"), FEATURES],
    ids=",".join,
)
def test_the_fastest_kernels_are_chosen_whose_features_are_all_there(available, masked):
    names = without(available, *masked)
    assert run(CHOICE, HECC_MASK_CPU=",".join(masked)) == f"{','.join(names)} {names[0]} {names[0]}"


def test_a_machine_without_avx512_takes_avx2_and_one_without_both_the_portable_ones(available):
    if available[0] != "avx512ifma":
        pytest.skip("this machine has no AVX-512 that could be masked")
    assert run(CHOICE, HECC_MASK_CPU="avx512ifma") == "avx2,portable avx2 avx2"
    assert run(CHOICE, HECC_MASK_CPU="avx512ifma,avx2") == "portable portable portable"


def test_without_a_mask_nothing_is_hidden(available):
    assert run(CHOICE, HECC_MASK_CPU="") == f"{','.join(available)} {available[0]} {available[0]}"


REFUSALS = """
from hecc.runtime.native import Kernels, NttTables, implementations
for make in (Kernels, lambda: NttTables(2048, 40961), Kernels, implementations):
    try:
        make()
    except ValueError as error:
        print(error)
"""


@pytest.mark.parametrize("name", ["avx512ifma", "avx2"])
def test_forcing_masked_kernels_is_refused_with_what_there_is(available, name):
    left = ", ".join(without(available, name))
    sentence = f"there are no kernels '{name}' for this machine; it can run: {left}"
    # Again and again, and never another choice; the list of what there is works all the same.
    assert run(REFUSALS, HECC_KERNELS=name, HECC_MASK_CPU=name).splitlines() == [sentence] * 3


@pytest.mark.parametrize(
    ("mask", "name"), [("avx9", "avx9"), ("avx2,AVX512F", "AVX512F"), ("avx2, fma", " fma"), (",avx2", "")]
)
def test_masking_a_feature_that_nothing_asks_for_is_refused(mask, name):
    sentence = f"HECC_MASK_CPU names '{name}', which is no feature that the kernels use; they use: "
    assert run(REFUSALS, HECC_MASK_CPU=mask).splitlines() == [sentence + ", ".join(FEATURES)] * 4


EVALUATION = """
import sys
from types import SimpleNamespace
import numpy as np
from hecc.runtime.native import _evaluator
from hecc.runtime.ckks.circuit.security import ntt_primes
from hecc.runtime.ckks.circuit.parameters import KeyLayout
from hecc.runtime.ckks.keys.switching_keys import packed_key

data, special = ntt_primes(40, 2048, 3), ntt_primes(49, 2048, 1)
context = _evaluator.Context(2048, data, special, 1, 2, "")
generator = np.random.default_rng(0)
def residues(shape, primes):
    return np.stack([generator.integers(0, q, shape, dtype=np.uint64) for q in primes], axis=-2)
x = context.ciphertexts(np.ascontiguousarray(residues((1, 2, 2048), data)))
spec, layout = SimpleNamespace(ring_degree=2048), KeyLayout(3, (*data, *special), 3)
key = _evaluator.SwitchingKey(context, packed_key(residues((3, 2, 2048), (*data, *special)), spec, layout))
weights = context.encode(generator.uniform(-1, 1, (1, 1024)), 2.0**30, 3)
result = context.rescale(context.multiply_plain(context.rotate(x, key, 3), weights), 1)
np.save(sys.argv[1], result.array())
print(context.kernels)
"""


def test_an_evaluation_gives_the_same_residues_on_every_machine(available, tmp_path: Path):
    files = []
    for number, masked in enumerate(((), ("avx512ifma",), ("avx512ifma", "avx2"))):
        files.append(tmp_path / f"{number}.npy")
        expected = without(available, *masked)[0]
        assert run(EVALUATION, str(files[-1]), HECC_MASK_CPU=",".join(masked)) == expected
    assert len({file.read_bytes() for file in files}) == 1


@pytest.mark.slow
def test_only_the_files_of_the_vector_kernels_need_a_processor_that_has_vectors(tmp_path: Path):
    tools = [shutil.which(tool) for tool in ("cmake", "objdump", "nm")]
    if None in tools or platform.machine() not in ("x86_64", "AMD64") or not (ROOT / "CMakeLists.txt").exists():
        pytest.skip("needs cmake, binutils, an x86-64 processor and the sources")
    cmake, objdump, nm = map(str, tools)

    def output(*command: str) -> str:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=600).stdout

    output(cmake, "-S", str(ROOT), "-B", str(tmp_path), "-DHECC_PYTHON_MODULE=OFF")
    output(cmake, "--build", str(tmp_path), "--parallel", "2")
    objects = {file.name.partition(".")[0]: str(file) for file in tmp_path.rglob("*.o")}
    vector = {name for name in objects if "_avx" in name}
    assert {"kernels_avx2", "kernels_avx512ifma"} <= vector
    # The encodings of AVX: mnemonics that start with v, and registers wider than SSE's.
    wide = re.compile(r"^\s+[0-9a-f]+:\s+v[a-z]|%[yz]mm", re.MULTILINE)
    found = {name for name, file in objects.items() if wide.search(output(objdump, "-d", "--no-show-raw-insn", file))}
    assert found == vector
    # Of a function that several files define the linker keeps one copy, and none of these may offer theirs. Constants
    # have one copy, too, but the same in all files.
    shared = re.compile(r" W (.*)")
    assert {name: shared.findall(output(nm, "-C", objects[name])) for name in vector} == {name: [] for name in vector}

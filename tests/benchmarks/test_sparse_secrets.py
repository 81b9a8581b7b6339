"""The estimate behind the table of sparse secrets: what the documentation says of it, and that every row holds."""

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from hecc.runtime.ckks.circuit.security import SPARSE_TABLE

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "benchmarks" / "sparse_secrets.py"
PAGE = ROOT / "docs" / "explanation" / "sparse-secrets.md"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("sparse_secrets", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["sparse_secrets"] = module
    spec.loader.exec_module(module)
    return module


def table(name: str) -> list[list[str]]:
    """The cells of a table of the page, without its head."""
    after = PAGE.read_text(encoding="utf-8").split(f"<!-- sparse: {name} -->\n")[1].splitlines()
    rows = after[: next(i for i, line in enumerate(after) if not line.startswith("|"))]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows[2:]]


def run(*options: str) -> list[str]:
    done = subprocess.run([sys.executable, str(SCRIPT), *options], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_the_page_has_the_rows_that_the_script_prints() -> None:
    printed = [[cell.strip() for cell in line.strip("|").split("|")] for line in run()[2:]]
    assert table("rows") == printed
    assert len(printed) == 7


def test_the_script_reproduces_what_others_published_of_the_estimator(script: ModuleType) -> None:
    rows = table("published")
    assert len(rows) == len(script.PUBLISHED) == 5
    for row, (instance, said) in zip(rows, script.PUBLISHED, strict=True):
        found = script.cheapest(instance).bits
        assert row[:5] == [_power(instance.degree), str(instance.weight), str(instance.bits), f"{found:.1f}", str(said)]
        assert found == pytest.approx(said, abs=0.5)


def test_the_largest_moduli_are_those_of_the_page(script: ModuleType) -> None:
    rows = {(row[0], int(row[1]), int(row[2])): (int(row[3]), int(row[4])) for row in table("largest")}
    assert len(rows) == len(script.DEMANDED)
    for instance, level in script.DEMANDED:
        largest, allowed = rows[_power(instance.degree), instance.weight, level]
        assert allowed == instance.bits == SPARSE_TABLE[instance.degree, instance.weight][level]
        # As the search finds it, which looks at ten moduli.
        assert script.cheapest(script.Instance(instance.degree, instance.weight, largest)).bits >= level + 2
        assert script.cheapest(script.Instance(instance.degree, instance.weight, largest + 1)).bits < level + 2


def test_every_row_of_the_table_has_its_level_and_bits_to_spare(script: ModuleType) -> None:
    for (degree, weight), row in SPARSE_TABLE.items():
        for level, bits in row.items():
            assert script.cheapest(script.Instance(degree, weight, bits)).bits > level + 5


def test_the_page_has_the_table_of_the_client() -> None:
    lines = PAGE.read_text(encoding="utf-8").split("| N | weight | 128 bits |")[1].splitlines()[2:]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[: len(SPARSE_TABLE)]]
    shown = {
        (1 << int(size.removeprefix("2^")), int(weight)): {
            level: int(cell) for level, cell in zip((128, 192, 256), cells, strict=True) if cell
        }
        for size, weight, *cells in rows
    }
    assert shown == SPARSE_TABLE


def test_less_modulus_more_weight_and_no_meeting_in_the_middle_cost_an_attacker_more(script: ModuleType) -> None:
    instance = script.Instance(1 << 14, 32, 84)
    bits = script.cheapest(instance).bits
    assert script.cheapest(script.Instance(1 << 14, 32, 70)).bits > bits + 3
    assert script.cheapest(script.Instance(1 << 14, 48, 84)).bits > bits + 20
    assert script.cheapest(script.Instance(1 << 15, 32, 84)).bits > bits + 15
    assert script.cheapest(instance, mitm=False).bits > bits + 15


def _power(number: int) -> str:
    return f"2^{number.bit_length() - 1}"

"""Machine profiles: files that say what they are, and nothing else is taken for one."""

from pathlib import Path

import msgspec
import pytest

from hecc.compiler.ckks.prediction.machine import MachineProfile
from hecc.runtime.ckks.plan.rates import Rates
from hecc.runtime.errors import InputError

RATES = Rates(butterfly=1e-10, product=2e-10, term=3e-11)
PROFILE = MachineProfile(
    machine="A processor",
    kernels="portable",
    producer="hecc 0",
    threads=4,
    one_thread=RATES,
    all_threads=RATES,
    error=0.1,
)


def test_a_profile_is_the_same_after_a_journey_through_a_file(tmp_path: Path) -> None:
    PROFILE.save(tmp_path / "machine.json")
    assert MachineProfile.load(tmp_path / "machine.json") == PROFILE


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not a machine profile"),
        ("{}", "not a machine profile"),
        ("[" * 10_000, "not a machine profile"),
        (" " * 100_000, "too large"),
        ('{"format":2}', "not a machine profile"),
    ],
)
def test_other_files_are_refused(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "machine.json"
    path.write_text(text)
    with pytest.raises(InputError, match=f"{said}.*bench --machine-profile"):
        MachineProfile.load(path)


@pytest.mark.parametrize(
    "changes",
    [
        {"one_thread": {"butterfly": -1e-9, "product": 1e-9, "term": 1e-9}},
        {"one_thread": {"butterfly": 0.0, "product": 1e-9, "term": 1e-9}},
        {"all_threads": {"butterfly": 1.0, "product": 1e-9, "term": 1e-9}},
        {"machine": "two\nlines"},
        {"threads": 0},
        {"surprise": 1},
    ],
)
def test_impossible_figures_are_refused(changes: dict[str, object], tmp_path: Path) -> None:
    path = tmp_path / "machine.json"
    path.write_bytes(msgspec.json.encode(msgspec.to_builtins(PROFILE) | changes))
    with pytest.raises(InputError, match="bench --machine-profile"):
        MachineProfile.load(path)


def test_a_path_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        MachineProfile.load(tmp_path / "nothing.json")
    with pytest.raises(InputError, match="cannot be written"):
        PROFILE.save(tmp_path / "nowhere" / "machine.json")

"""Evaluators are found by name, and imported only then."""

from __future__ import annotations

import subprocess
import sys
from typing import get_args

import pytest

from hecc.runtime.ckks.circuit.parameters import KeyShape
from hecc.runtime.ckks.devices.evaluator import EVALUATORS, load_evaluator
from hecc.runtime.errors import InputError


@pytest.mark.parametrize("name", EVALUATORS)
def test_every_evaluator_of_the_table_can_be_loaded(name: str) -> None:
    assert callable(load_evaluator(name).prepare)
    assert load_evaluator(name).key_shape in get_args(KeyShape)


def test_an_unknown_evaluator_is_refused_with_the_choice() -> None:
    with pytest.raises(InputError, match=r"there is no evaluator 'abacus'; choose one of .*seal"):
        load_evaluator("abacus")


def test_the_table_of_evaluators_loads_none_of_them() -> None:
    code = "import sys, hecc.runtime.ckks.devices.evaluator; sys.exit('tenseal' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)

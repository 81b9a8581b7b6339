"""Compiling the same model twice gives the same bytes, whatever the process."""

import os
import subprocess
import sys

import numpy as np

import hecc

PROGRAM = """
import sys
import numpy, hecc
with numpy.load(sys.argv[2]) as digits:
    plan = hecc.compile(sys.argv[1], calibration=digits["calibration"])
plan.save(sys.argv[3])
plan.client().save(sys.argv[3] + ".client")
"""


def test_compiling_twice_gives_the_same_bytes(model, digits, plan, tmp_path):
    plan.save(tmp_path / "first.bin")
    hecc.compile(model, calibration=digits["calibration"]).save(tmp_path / "second.bin")
    assert (tmp_path / "first.bin").read_bytes() == (tmp_path / "second.bin").read_bytes()


def test_the_order_of_sets_does_not_matter(model, digits, tmp_path):
    (tmp_path / "model.onnx").write_bytes(model)
    np.savez(tmp_path / "digits.npz", calibration=digits["calibration"])
    for seed in ("1", "2", "3"):
        command = [sys.executable, "-c", PROGRAM, "model.onnx", "digits.npz", f"plan{seed}"]
        subprocess.run(command, cwd=tmp_path, env={**os.environ, "PYTHONHASHSEED": seed}, check=True, timeout=60)
    for kind in ("", ".client"):
        plans = [(tmp_path / f"plan{seed}{kind}").read_bytes() for seed in "123"]
        assert plans[0] == plans[1] == plans[2]


def test_the_saved_plan_is_the_compiled_one(plan, tmp_path):
    plan.save(tmp_path / "plan.bin")
    loaded = hecc.Plan.load(tmp_path / "plan.bin")
    assert loaded.fingerprint == plan.fingerprint == plan.client().fingerprint
    assert str(loaded.circuit) == str(plan.circuit)
    loaded.save(tmp_path / "again.bin")
    assert (tmp_path / "again.bin").read_bytes() == (tmp_path / "plan.bin").read_bytes()

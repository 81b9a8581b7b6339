"""The kernels' own test program under the address and undefined-behaviour sanitizers."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.slow
def test_no_kernel_leaves_its_arrays_or_behaves_undefined(tmp_path: Path) -> None:
    cmake = shutil.which("cmake")
    if cmake is None or not (ROOT / "CMakeLists.txt").exists():
        pytest.skip("needs cmake and the sources")
    options = ["-DCMAKE_BUILD_TYPE=Debug", "-DHECC_PYTHON_MODULE=OFF", "-DHECC_NATIVE_TESTS=ON", "-DHECC_SANITIZE=ON"]
    for command in (
        [cmake, "-S", str(ROOT), "-B", str(tmp_path), "-DHECC_WERROR=ON", *options],
        [cmake, "--build", str(tmp_path), "--parallel", "2"],
        [cmake, "--build", str(tmp_path), "--target", "test"],
    ):
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        assert result.returncode == 0, f"{result.stdout}\n{result.stderr}"

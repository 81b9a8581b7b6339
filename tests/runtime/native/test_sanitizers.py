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
    check_linkage(tmp_path)


def check_linkage(build: Path) -> None:
    """No function of a vector translation unit can take the place of another unit's on a machine that cannot run it."""
    nm = shutil.which("nm")
    if nm is None:
        return
    objects = sorted(build.rglob("*_avx*.o"))
    assert {"kernels_avx2.cpp.o", "kernels_avx512ifma.cpp.o"} <= {path.name for path in objects}
    for path in objects:
        symbols = subprocess.run([nm, str(path)], capture_output=True, text=True, check=True).stdout.splitlines()
        shared = [line for line in symbols if line.split()[-2] == "W"]  # a weak function
        assert not shared, f"{path.name} shares {shared} with other translation units"

"""The key of MORE: well conditioned, whole, and of the plan's size."""

import numpy as np
import pytest

from hecc.runtime.errors import FileFormatError, InputError
from hecc.runtime.files.container import ContainerWriter, Kind
from hecc.runtime.more.keyfiles import KeyHeader, load_evaluation
from hecc.runtime.more.keys import MAX_CONDITION, SecretKey, generate, write_keys


@pytest.mark.parametrize("size", [2, 3, 8])
def test_new_keys_are_well_conditioned_and_differ(size):
    keys = [generate(size) for _ in range(20)]
    assert all(1.5 < np.linalg.cond(key.matrix) <= MAX_CONDITION + 1e-9 for key in keys)
    assert len({key.key_id for key in keys}) == 20
    assert np.ptp([key.matrix[0, 0] for key in keys]) > 0


@pytest.mark.parametrize(
    "matrix", [np.ones((2, 2)), np.array([[1, 1], [1, 1 + 1e-9]]), np.array([[1, np.nan], [0, 1]]), np.ones((2, 3))]
)
def test_a_key_that_would_lose_the_data_is_refused(matrix):
    with pytest.raises(InputError, match="make a new"):
        SecretKey("0" * 64, matrix)


def test_files_of_a_key_set(tmp_path):
    key = generate(2)
    made = write_keys(key, tmp_path / "keys", force=False)
    assert made.public is None
    np.testing.assert_array_equal(SecretKey.load(made.secret).matrix, key.matrix)
    assert load_evaluation(made.evaluation) == KeyHeader(key_id=key.key_id, size=2)
    assert made.secret.stat().st_mode & 0o077 == 0
    # The server's file has no number of the matrix in it.
    assert key.matrix[0, 0].tobytes() not in made.evaluation.read_bytes()
    with pytest.raises(InputError, match="there is a secret key already"):
        write_keys(generate(2), tmp_path / "keys", force=False)
    assert SecretKey.load(write_keys(generate(3), tmp_path / "keys", force=True).secret).size == 3


def test_a_forged_key_file_is_refused(tmp_path):
    with ContainerWriter(tmp_path / "secret.bin", Kind.SECRET_KEY, KeyHeader(key_id="0" * 64, size=3)) as writer:
        writer.add("matrix", np.eye(2))
    with pytest.raises(FileFormatError, match="not of the size"):
        SecretKey.load(tmp_path / "secret.bin")

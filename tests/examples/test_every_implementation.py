"""Every example runs to its end with every implementation of the kernels, and all give the same result files."""

import gzip
import os
import re
import subprocess
import sys
import zipfile
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from hecc.runtime.native import implementations

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
HECC = Path(sys.executable).with_name("hecc")
NETWORKS = ("lola", "mlp", "lenet")
ROWS = 2


def run(*command: str | Path, folder: Path, kernels: str = "") -> str:
    """What a command prints in a folder, with these kernels or those that the tests run with."""
    environment = {**os.environ, **({"HECC_KERNELS": kernels} if kernels else {})}
    done = subprocess.run(
        [str(part) for part in command], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def check_that_all_agree(model: Path, folder: Path, *, images: str = "images.npy", outputs: int = 10) -> None:
    """Compile, make keys and encrypt once; every implementation then gives the same file of results."""
    for arguments in (
        ("compile", model, "--calibration", "calibration.npy"),
        ("keygen", "plan.client.bin"),
        ("encrypt", "plan.client.bin", images),
        *(("run", "plan.bin", "encrypted.bin", "--output", f"{name}.bin") for name in implementations()),
    ):
        kernels = Path(arguments[-1]).stem if arguments[0] == "run" else ""
        run(HECC, *arguments, folder=folder, kernels=kernels)
    results = {name: (folder / f"{name}.bin").read_bytes() for name in implementations()}
    assert len(set(results.values())) == 1, f"the results differ: {sorted(results)}"
    # And what they agree on is right: as the plan simulated in clear, without noise.
    run(HECC, "decrypt", "plan.client.bin", "portable.bin", folder=folder)
    run(HECC, "simulate", "plan.bin", images, "--no-noise", "--output", "clear.npy", folder=folder)
    decrypted, clear = np.load(folder / "output.npy"), np.load(folder / "clear.npy")
    assert decrypted.shape == (ROWS, outputs)
    assert np.abs(decrypted - clear).max() < 2**-10 * np.abs(clear).max()


@pytest.fixture(scope="session")
def pictures(tmp_path_factory) -> Path:
    """A folder with files such as MNIST's, of bright spots on black: no test depends on data that are not here."""
    folder = tmp_path_factory.mktemp("pictures")
    generator = np.random.default_rng(0)
    axis = np.arange(28)
    for part, count in (("train", 600), ("t10k", 16)):
        images = np.zeros((count, 28, 28))
        for _ in range(4):
            x, y = generator.uniform(6, 22, (2, count, 1))
            across, down = (np.exp(-((axis - centre) ** 2) / 8) for centre in (x, y))
            images = np.maximum(images, across[:, None, :] * down[:, :, None])
        labels = generator.integers(0, 10, count)
        for kind, header, values in (("images-idx3", 16, 255 * images), ("labels-idx1", 8, labels)):
            with gzip.open(folder / f"{part}-{kind}-ubyte.gz", "wb") as file:
                file.write(bytes(header) + values.round().astype(np.uint8).tobytes())
    return folder


@pytest.fixture(scope="session")
def xrays(tmp_path_factory) -> Path:
    """A folder with files such as the chest X-rays', of bright spots on black."""
    image = pytest.importorskip("PIL.Image", reason="the example reads JPEG files with Pillow")
    folder = tmp_path_factory.mktemp("xrays")
    generator = np.random.default_rng(0)
    axis = np.arange(100)
    rows = ["file,split,pneumonia,kind"]
    for split, count in (("train", 300), ("test", 16)):
        with zipfile.ZipFile(folder / f"chest_xray_224_{split}.zip", "w") as archive:
            for number in range(count):
                spots = np.zeros((100, 100))
                for x, y in generator.uniform(20, 80, (5, 2)):
                    spots += np.exp(-((axis[:, None] - x) ** 2 + (axis - y) ** 2) / 200)
                name = f"{split}-{number}.jpeg"
                with archive.open(f"{split}/{name}", "w") as file:
                    image.fromarray((255 * np.minimum(spots, 1)).astype(np.uint8)).save(file, "JPEG")
                rows.append(f"{name},{split},{number % 2},normal")
    (folder / "chest_xray_224_labels.csv").write_text("\n".join(rows) + "\n")
    return folder


def test_the_digits_have_the_same_result_file_with_every_implementation(tmp_path):
    data = resources.files("hecc") / "data"
    (tmp_path / "model.onnx").write_bytes((data / "digits.onnx").read_bytes())
    with np.load(str(data / "digits.npz")) as digits:
        np.save(tmp_path / "images.npy", digits["images"][:ROWS])
        np.save(tmp_path / "calibration.npy", digits["calibration"])
    check_that_all_agree(tmp_path / "model.onnx", tmp_path)


@pytest.mark.parametrize("kernels", implementations())
def test_the_demonstration_runs_to_its_end(kernels, tmp_path):
    assert "encrypted" in run(HECC, "demo", "--images", "2", folder=tmp_path, kernels=kernels)


@pytest.mark.slow
@pytest.mark.parametrize("network", NETWORKS)
def test_an_mnist_network_has_the_same_result_file_with_every_implementation(network, pictures, tmp_path):
    script = EXAMPLES / "mnist" / "run.py"
    run(sys.executable, script, "--data", pictures, "--images", str(ROWS), "--arrays", folder=tmp_path)
    check_that_all_agree(EXAMPLES / "mnist" / f"{network}.onnx", tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("kernels", implementations())
@pytest.mark.parametrize("network", NETWORKS)
def test_the_mnist_example_runs_to_its_end(network, kernels, pictures, tmp_path):
    script = EXAMPLES / "mnist" / "run.py"
    arguments = ("--data", pictures, "--network", network, "--images", str(ROWS))
    text = run(sys.executable, script, *arguments, folder=tmp_path, kernels=kernels)
    for reference in ("onnxruntime", "simulate"):
        assert f"same prediction as {reference:13} {ROWS} of {ROWS}" in text


@pytest.mark.slow
def test_the_chest_xray_network_has_the_same_result_file_with_every_implementation(xrays, tmp_path):
    script = EXAMPLES / "chest_xray" / "run.py"
    run(sys.executable, script, "--data", xrays, "--images", str(ROWS), "--arrays", folder=tmp_path)
    check_that_all_agree(EXAMPLES / "chest_xray" / "xray.onnx", tmp_path, images="xrays.npy", outputs=2)


@pytest.mark.slow
def test_the_chest_xray_example_runs_to_its_end(xrays, tmp_path):
    script = EXAMPLES / "chest_xray" / "run.py"
    text = run(sys.executable, script, "--data", xrays, "--images", str(ROWS), "--simulate", folder=tmp_path)
    assert f"same prediction as onnxruntime   {ROWS} of {ROWS}" in text
    assert "simulated on all 16 images: accuracy" in text


def test_the_breast_cancer_network_predicts_the_same_for_every_patient(tmp_path):
    text = run(sys.executable, EXAMPLES / "breast_cancer" / "run.py", "--batch", folder=tmp_path)
    assert "same prediction as onnxruntime   143 of 143" in text
    assert "right                            140 of 143" in text


@pytest.mark.slow
@pytest.mark.parametrize("activation", ["tanh", "logistic"])
def test_a_breast_cancer_network_trained_again_predicts_the_same_for_every_patient(activation, tmp_path):
    folder = EXAMPLES / "breast_cancer"
    text = run(sys.executable, folder / "train.py", "--activation", activation, "--out", tmp_path, folder=tmp_path)
    assert int(text.split()[1]) >= 135
    for arguments in ([], ["--batch"]):
        text = run(sys.executable, folder / "run.py", "--folder", tmp_path, *arguments, folder=tmp_path)
        assert "same prediction as onnxruntime   143 of 143" in text


def test_the_network_with_relu_and_maxpool_keeps_its_predictions(tmp_path):
    text = run(sys.executable, EXAMPLES / "digits_cnn" / "run.py", "--images", str(ROWS), folder=tmp_path)
    same, images = map(int, re.search(r"same prediction as onnxruntime +(\d+) of (\d+)", text).groups())
    assert images == 450
    assert same >= 0.99 * images
    assert f"encrypted as simulated           {ROWS} of {ROWS}" in text


@pytest.mark.slow
def test_a_network_with_relu_and_maxpool_trained_again_keeps_its_predictions(tmp_path):
    pytest.importorskip("torch")
    folder = EXAMPLES / "digits_cnn"
    text = run(sys.executable, folder / "train.py", "--epochs", "30", "--out", tmp_path, folder=tmp_path)
    assert int(text.split()[0]) >= 420
    arguments = ("--folder", tmp_path, "--images", str(ROWS), "--accuracy-loss", "3")
    text = run(sys.executable, folder / "run.py", *arguments, folder=tmp_path)
    assert int(re.search(r"same prediction as onnxruntime +(\d+) of 450", text)[1]) >= 0.96 * 450
    assert f"encrypted as simulated           {ROWS} of {ROWS}" in text


def test_there_is_no_example_that_these_tests_forget():
    # The others train networks, with PyTorch and without hecc.
    scripts = {str(script.relative_to(EXAMPLES)) for script in EXAMPLES.rglob("*.py")}
    networks = {"mnist", "chest_xray", "breast_cancer", "digits_cnn"}
    trainers = {f"{name}/train.py" for name in networks | {"digits"}}
    others = {f"more/{name}.py" for name in ("angiography", "circulation", "digits", "story")}
    others |= {f"two_parties/{name}.py" for name in ("architectures", "data", "train", "validate")}
    assert scripts == {*trainers, *others, *(f"{name}/run.py" for name in networks), "chest_xray/data.py"}
    # Those of two_parties are for the scheme sharing; tests/examples/test_two_parties.py runs them.
    models = [model for model in EXAMPLES.rglob("*.onnx") if "two_parties" not in model.parts]
    assert {model.stem for model in models} == {*NETWORKS, "xray", "network"}
    for script in trainers:
        assert "import hecc" not in (EXAMPLES / script).read_text(encoding="utf-8")

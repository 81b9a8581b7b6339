"""Preprocessing and labels on the command line, from compile to decrypt, and evaluate."""

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hecc.runtime.inputs.preprocessing import Preprocessing
from hecc.runtime.plan.plan import Plan

STATED = ("--resize", "8", "--scale", "1/255", "--mean", "0.5", "--std", ".25")


@pytest.fixture
def photos(here):
    """Sixteen digits as images of 16x16 pixels, in folders that are classes, and names of the classes."""
    Path("names.txt").write_text("".join(f"digit {number}\n" for number in range(10)))
    labels = np.load("labels.npy")
    for number, (image, label) in enumerate(zip(np.load("images.npy"), labels, strict=True)):
        folder = Path("photos") / f"digit {label}"
        folder.mkdir(parents=True, exist_ok=True)
        pixels = np.round(255 * image[0]).astype(np.uint8).repeat(2, axis=0).repeat(2, axis=1)
        Image.fromarray(pixels).save(folder / f"{number:02}.png")
    return here


def test_pixels_that_are_not_scaled_are_warned_of(cli, photos):
    arguments = ("compile", "model.onnx", "--resize", "8", "--calibration", "photos")
    (warning,) = [text for text in cli.answer(*arguments)["warnings"] if "--scale" in text]
    assert warning.startswith("--resize without --scale: the network gets pixels as values from 0 to 255; ")
    for stated in (("--scale", "1"), ("--mean", "127")):
        assert not any("--scale" in text for text in cli.answer(*arguments, *stated)["warnings"])


def test_a_photo_becomes_a_name_with_a_confidence(cli, photos):
    stated = ("--resize", "8", "--scale", "1/255", "--class-names", "names.txt")
    text = cli.succeed("compile", "model.onnx", "--calibration", "photos", *stated, "-v").stdout
    assert "grey images resized (shorter side to 8); centre 8x8; times 1/255; layout nchw\n" in text
    assert re.search(r"labels logits +digit 0, digit 1, .*, \.\.\. \(10\)\n", text)
    cli.succeed("keygen", "plan.client.bin", "--keys", "new")
    names = ["photos/digit 3/03.png", "photos/digit 1/01.png"]
    assert cli.answer("encrypt", "plan.client.bin", *names, "--keys", "new")["files"] == names
    cli.succeed("run", "plan.bin", "encrypted.bin", "--evaluation-keys", "new/evaluation.bin")
    text = cli.succeed("decrypt", "plan.client.bin", "result.bin", "--keys", "new").stdout
    assert re.search(r"\n  row +prediction +then\n  0 +digit 3 \d+\.\d% +digit \d \d+\.\d%, digit \d ", text)
    assert "\n  the confidences are the softmax of 'logits'\n" in text
    found = cli.answer("decrypt", "plan.client.bin", "result.bin", "--keys", "new")
    assert [row[0]["label"] for row in found["top"]["logits"]] == ["digit 3", "digit 1"]
    assert [row[0]["class"] for row in found["top"]["logits"]] == found["predictions"]["logits"] == [3, 1]
    values = np.load("output.npy")
    assert values.shape == (2, 10)
    softmax = np.exp(values) / np.exp(values).sum(axis=1, keepdims=True)
    np.testing.assert_allclose([row[0]["confidence"] for row in found["top"]["logits"]], softmax.max(axis=1))


def test_every_option_arrives_in_the_plan(cli, here):
    np.save("std.npy", np.array([0.25], dtype=np.float32))
    cli.succeed("compile", "model.onnx", "--resize", "9x8", "--scale", ".5", "--mean", "1/2", "--std", "std.npy")
    expected = Preprocessing(resize=(9, 8), scale=0.5, mean=(0.5,), std=(0.25,))
    assert Plan.load("plan.client.bin").header.inputs[0].preprocessing == expected
    fields = cli.answer("inspect", "plan.client.bin")["inputs"][0]["preprocessing"]
    assert fields == {"resize": [9, 8], "scale": 0.5, "mean": [0.5], "std": [0.25], "layout": "nchw"}


def test_calibration_is_the_older_name_of_calibrate(cli, here):
    first = cli.answer("compile", "model.onnx", "--calibration", "calibration.npy")
    assert cli.answer("compile", "model.onnx", "--calibration", "calibration.npy")["plan_bytes"] == first["plan_bytes"]


def save_dicom(path, pixels):
    """An X-ray image of somebody as a detector stores it: 12 bits, white where a photograph is black."""
    pydicom = pytest.importorskip("pydicom", reason="the extra dicom is not installed")
    made = pydicom.Dataset()
    made.file_meta = pydicom.dataset.FileMetaDataset()
    made.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    made.SOPClassUID, made.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.1.1", pydicom.uid.generate_uid()
    made.PatientName, made.PatientID = "Doe^Jane", "MRN4711"
    made.Rows, made.Columns = pixels.shape
    made.SamplesPerPixel, made.PixelRepresentation, made.PhotometricInterpretation = 1, 0, "MONOCHROME1"
    made.BitsAllocated, made.BitsStored, made.HighBit = 16, 12, 11
    made.WindowCenter, made.WindowWidth = 2048, 4096
    made.PixelData = (4095 - np.rint(pixels * (4095 / 255))).astype(np.uint16).tobytes()
    made.save_as(path, enforce_file_format=True)


def test_dicom_images_are_images_and_name_nobody(cli, photos):
    files = sorted(Path("photos").glob("*/*.png"))
    for file in files[::2]:
        save_dicom(file.with_suffix(".dcm"), np.asarray(Image.open(file)))
    cli.succeed("compile", "model.onnx", *STATED, "--calibration", "photos")
    cli.succeed("keygen", "plan.client.bin", "--keys", "new")
    names = [str(file) for pair in ((file.with_suffix(".dcm"), file) for file in files[::2]) for file in pair]
    for name in ("encrypt", "simulate"):
        plan, keys = ("plan.client.bin", ["--keys", "new"]) if name == "encrypt" else ("plan.bin", [])
        outputs = [] if name == "encrypt" else ["--output", "simulated.npy", "--no-noise"]
        given = names if name == "encrypt" else ["photos"]
        said = cli.succeed(name, plan, *given, *keys, *outputs, "--json")
        assert "Doe" not in said.output
        assert "4711" not in said.output
    cli.succeed("run", "plan.bin", "encrypted.bin", "--evaluation-keys", "new/evaluation.bin")
    cli.succeed("decrypt", "plan.client.bin", "result.bin", "--keys", "new")
    # The same picture, as DICOM and as PNG: but for half a grey level they are one.
    values = np.load("output.npy").reshape(len(files[::2]), 2, -1)
    np.testing.assert_allclose(values[:, 0], values[:, 1], atol=0.1)
    written = [file for file in Path().rglob("*") if file.is_file() and file.suffix != ".dcm"]
    assert {Path("plan.bin"), Path("plan.client.bin"), Path("encrypted.bin"), Path("result.bin")} <= set(written)
    for file in written:
        content = file.read_bytes()
        assert b"Doe^Jane" not in content, file
        assert b"MRN4711" not in content, file


def test_a_dicom_image_without_its_extra_is_a_sentence(cli, photos, monkeypatch):
    save_dicom("x.dcm", np.zeros((16, 16)))
    cli.succeed("compile", "model.onnx", *STATED, "--calibration", "photos")
    monkeypatch.setitem(sys.modules, "pydicom", None)
    sentence = "pydicom is not installed, and needed for reading DICOM images; run `pip install 'hecc[dicom]'`"
    assert cli.refusal("simulate", "plan.bin", "x.dcm") == sentence


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        (("--scale", "1/x"), "--scale: '1/x' is not a number; give one as 0.5 or 1/255"),
        (("--scale", "1/0"), "--scale: '1/0' is not a number"),
        (("--mean", "1,,2"), "--mean: '' is not a number"),
        (("--std", "nowhere.npy"), "nowhere.npy: cannot be read"),
        (("--resize", "8x8x8"), "--resize 8x8x8: not a size; give one number of pixels, or HEIGHTxWIDTH"),
        (("--resize", "large"), "--resize large: not a size"),
        (("--resize", "4"), "preprocessing of input 'image': a resize to 4 is smaller than the network's 8x8"),
        (("--class-names", "scores=names.txt"), "class_names: there is no output 'scores'; the network has 'logits'"),
        (("--class-names", "a", "--class-names", "b"), "--class-names: several files need the names of their outputs"),
    ],
)
def test_options_that_are_no_preprocessing_are_refused(cli, photos, options, fault):
    assert fault in cli.refusal("compile", "model.onnx", *options)


def test_raw_arrays_are_preprocessed_only_when_told(cli, photos):
    cli.succeed("compile", "model.onnx", *STATED, "--calibration", "photos")
    cli.succeed("keygen", "plan.client.bin", "--keys", "new")
    raw = np.random.default_rng(0).integers(0, 256, (1, 8, 8))
    np.save("raw.npy", raw)
    assert "are outside -2 to 2" in cli.refusal("encrypt", "plan.client.bin", "raw.npy", "--keys", "new")
    cli.succeed("encrypt", "plan.client.bin", "raw.npy", "--raw", "--keys", "new")
    np.save("own.npy", (raw / 255 - 0.5) / 0.25)
    for file, options in (("raw.npy", ["--raw"]), ("own.npy", [])):
        cli.succeed("simulate", "plan.bin", file, *options, "--no-noise", "--output", f"from-{file}")
    np.testing.assert_allclose(np.load("from-raw.npy"), np.load("from-own.npy"), rtol=1e-9)


def test_evaluate_measures_in_clear_simulated_and_encrypted(cli, here):
    arguments = (
        "evaluate",
        "plan.bin",
        "--inputs",
        "images.npy",
        "--labels",
        "labels.npy",
        "--keys",
        "keys",
        "--rows",
        2,
    )
    text = cli.succeed(*arguments).stdout
    assert text.startswith("classification by the output 'logits'\n")
    assert re.search(r"\n +rows +accuracy +same class as plan without noise +largest error +time\n", text)
    assert re.search(r"\n  plan without noise +16 +100.00% +0", text)
    assert re.search(r"\n  simulated +16 +100.00% +100.00% +[\d.e-]+% ", text)
    assert re.search(r"\n  encrypted +2 +100.00% +100.00% +[\d.e-]+% ", text)
    assert re.search(r"\n  3 +0 +0 +0 +2 +0 .* 100.00% +100.00%\n", text)
    found = cli.answer(*arguments)
    assert found["clear"]["accuracy"] == found["simulated"]["accuracy"] == found["encrypted"]["accuracy"] == 1.0
    assert found["reference"] == "plan_without_noise"
    assert found["plan_without_noise"] == found["clear"]
    assert "network" not in found
    assert found["encrypted"]["rows"] == 2
    assert np.trace(found["confusion"]) == 16
    assert found["precision"] == found["recall"] == [1.0] * 10


def test_evaluate_compares_with_the_network_itself(cli, here):
    arguments = ("evaluate", "plan.bin", "--inputs", "images.npy", "--labels", "labels.npy", "--model", "model.onnx")
    text = cli.succeed(*arguments).stdout
    assert re.search(r"\n +rows +accuracy +same class as network +largest error +time\n", text)
    assert re.search(r"\n  network +16 +100.00% +[\d.]+ ms|\n  network +16 +100.00% +[\d.]+ s", text)
    assert re.search(r"\n  plan without noise +16 +100.00% +100.00% +[\d.e-]+% ", text)
    assert re.search(r"\n  simulated +16 +100.00% +100.00% +[\d.e-]+% ", text)
    found = cli.answer(*arguments)
    assert found["reference"] == "network"
    assert found["network"]["largest_error"] == 0
    assert found["clear"] == found["plan_without_noise"]


def test_evaluate_refuses_another_model(cli, here):
    arguments = ("evaluate", "plan.bin", "--inputs", "images.npy", "--model")
    sentence = cli.refusal(*arguments, "refused.onnx")
    assert sentence.startswith("refused.onnx is not the model that the plan was compiled from, whose SHA-256 is ")
    assert cli.refusal(*arguments, "nowhere.onnx").startswith("there is no file 'nowhere.onnx'; give ")
    assert cli.refusal(*arguments, "images.npy").startswith("'images.npy' is a NumPy array (.npy), not an ONNX model; ")


def test_evaluate_asks_for_the_passphrase_of_the_keys(cli, here):
    made = cli.invoke("keygen", "plan.client.bin", "--keys", "private", "--passphrase", input="long enough\n" * 2)
    assert made.exit_code == 0, made.output
    arguments = ("evaluate", "plan.bin", "--inputs", "three.npy", "--keys", "private", "--rows", "1", "--json")
    found = cli.invoke(*arguments, input="long enough\n")
    assert json.loads(found.stdout)["encrypted"]["agreement"] == 1.0
    assert "does not open this secret key" in cli.invoke(*arguments, input="something else\n").stderr


def test_a_factor_of_any_size_can_be_shown(cli, here):
    for scale in ("1e-30", "1e30", "0.7"):
        cli.succeed("compile", "model.onnx", "--scale", scale, "--calibration", "calibration.npy")
        assert f"times {float(scale):g}; layout nchw" in cli.succeed("inspect", "plan.client.bin").stdout


def test_evaluate_takes_labels_from_the_folders(cli, photos):
    cli.succeed("compile", "model.onnx", *STATED[:4], "--class-names", "names.txt", "--calibration", "photos")
    found = cli.answer("evaluate", "plan.bin", "--inputs", "photos")
    assert found["classes"][3] == "digit 3"
    assert found["clear"] == {**found["clear"], "rows": 16, "accuracy": 1.0}


def test_evaluate_says_so_when_it_is_a_regression(cli, here):
    np.save("targets.npy", np.zeros((16, 10)))
    text = cli.succeed("evaluate", "plan.bin", "--inputs", "images.npy", "--labels", "targets.npy").stdout
    assert text.startswith("regression by the output 'logits'\n")
    assert "mean absolute error" in text
    found = json.loads(
        cli.succeed("evaluate", "plan.bin", "--inputs", "images.npy", "--labels", "targets.npy", "--json").stdout
    )
    assert found["clear"]["mean_absolute_error"] > 0


def test_a_table_is_encrypted(cli, here):
    np.savetxt("rows.csv", np.load("three.npy").reshape(3, -1), delimiter=",")
    assert cli.answer("encrypt", "plan.client.bin", "rows.csv")["rows"] == 3
    np.savetxt("rows.csv", np.load("three.npy").reshape(3, -1)[:, :-1], delimiter=",")
    assert "rows.csv, line 1: 63 columns, not 64" in cli.refusal("encrypt", "plan.client.bin", "rows.csv")

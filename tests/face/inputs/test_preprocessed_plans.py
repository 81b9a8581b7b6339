"""Preprocessing and labels are stated once, travel in the plan, and are what the client does."""

import numpy as np
import pytest
from PIL import Image

import hecc
from hecc.runtime.plan.plan import Plan

NAMES = [f"digit {number}" for number in range(10)]
STATED = hecc.Preprocessing(resize=8, scale=1 / 255)


@pytest.fixture(scope="module")
def told(model):
    """The digit network's plan with everything a client should know."""
    return hecc.compile(model, preprocessing=STATED, class_names=NAMES, precision=9)


def save_digits(folder, digits, count):
    """Digits as images twice as large."""
    for number, image in enumerate(digits["images"][:count]):
        pixels = np.round(255 * image[0]).astype(np.uint8).repeat(2, axis=0).repeat(2, axis=1)
        Image.fromarray(pixels).save(folder / f"{number:02}.png")


def test_both_plan_files_hold_preprocessing_and_labels(told, tmp_path):
    told.save(tmp_path / "plan.bin")
    told.client().save(tmp_path / "plan.client.bin")
    for name in ("plan.bin", "plan.client.bin"):
        header = Plan.load(tmp_path / name).header
        assert header.inputs[0].preprocessing == STATED
        assert header.outputs[0].labels == tuple(NAMES)


def test_what_was_not_stated_is_not_in_the_file(plan, tmp_path):
    plan.client().save(tmp_path / "plan.client.bin")
    text = (tmp_path / "plan.client.bin").read_bytes()
    assert b"preprocessing" not in text
    assert b"labels" not in text


def test_other_preprocessing_makes_other_ciphertexts_necessary(model, told):
    other = hecc.compile(model, preprocessing=hecc.Preprocessing(scale=1 / 255), class_names=NAMES, precision=9)
    assert other.input_fingerprint != told.input_fingerprint
    renamed = hecc.compile(model, preprocessing=STATED, class_names=NAMES[::-1], precision=9)
    assert renamed.input_fingerprint == told.input_fingerprint
    assert renamed.fingerprint != told.fingerprint


def test_the_range_of_images_is_known_without_calibration(model, told, digits):
    assert (told.header.inputs[0].low, told.header.inputs[0].high) == (0.0, 1.0)
    centred = hecc.Preprocessing(scale=1 / 255, mean=(0.5,), std=(0.25,))
    narrow = 0.5 * digits["calibration"]
    for calibration in (None, narrow):
        found = hecc.compile(model, preprocessing=centred, calibration=calibration, precision=8).header.inputs[0]
        assert (found.low, found.high) == (-2.0, 2.0)
    wider = hecc.compile(model, preprocessing=centred, calibration=3 * digits["calibration"], precision=9)
    assert (wider.header.inputs[0].low, wider.header.inputs[0].high) == (-2.0, 3.0)


def test_images_are_encrypted_classified_and_named(told, digits, tmp_path):
    images = tmp_path / "images"
    images.mkdir()
    save_digits(images, digits, 2)
    told.client().save(tmp_path / "plan.client.bin")
    client = hecc.Client(tmp_path / "plan.client.bin")
    keys = client.keygen(tmp_path / "keys")
    with hecc.Server(told, keys.evaluation) as server:
        outputs = client.decrypt(server.run(client.encrypt(images)))
        again = client.decrypt(server.run(client.encrypt([images / "01.png"])))
    expected = hecc.simulate(told, images, noise=False)["logits"]
    np.testing.assert_allclose(outputs["logits"], expected, atol=2**-8 * np.abs(expected).max())
    best = client.classify(outputs, top=2)["logits"]
    assert [row[0].label for row in best] == ["digit 0", "digit 1"]
    assert [len(row) for row in best] == [2, 2]
    softmax = np.exp(outputs["logits"][1]) / np.exp(outputs["logits"][1]).sum()
    assert best[1][0].confidence == pytest.approx(softmax.max())
    assert client.classify(again)["logits"][0][0].label == "digit 1"


def test_calibration_images_are_preprocessed_with_the_same_code(model, digits, tmp_path):
    save_digits(tmp_path, digits, 8)
    from_images = hecc.compile(model, preprocessing=STATED, calibration=tmp_path, precision=9)
    pixels = np.stack([np.asarray(Image.open(file)) for file in sorted(tmp_path.iterdir())])
    from_raw = hecc.compile(model, preprocessing=STATED, calibration=pixels, raw=True, precision=9)
    assert from_images.fingerprint == from_raw.fingerprint


@pytest.mark.parametrize(
    ("options", "warned"),
    [
        ({}, True),
        ({"input_range": (0, 255)}, False),
        ({"preprocessing": hecc.Preprocessing(scale=1 / 255), "raw": True}, False),
    ],
)
def test_bytes_are_not_taken_as_they_are_without_a_word(model, digits, caplog, options, warned):
    pixels = np.round(255 * digits["images"]).astype(np.uint8)
    hecc.compile(model, calibration=pixels, precision=9, **options)
    assert (
        "holds bytes, taken as they are, from 0 to 255; if the network was trained on 0 to 1" in caplog.text
    ) == warned


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"preprocessing": hecc.Preprocessing(mean=(1, 2, 3))}, "preprocessing of input 'image': a mean of 3 values"),
        ({"preprocessing": {"photo": STATED}}, "preprocessing: there is no input 'photo'; the network takes 'image'"),
        (
            {"class_names": NAMES[:9]},
            r"class_names: output 'logits': 9 names of classes for an output of shape \(10,\)",
        ),
        ({"calibration": np.zeros((2, 8, 8), dtype=np.uint8), "raw": True}, "was not stated; compile with --scale"),
    ],
)
def test_what_does_not_fit_the_network_is_refused(model, options, fault):
    with pytest.raises(hecc.InputError, match=fault):
        hecc.compile(model, **options)


def test_a_table_goes_from_its_raw_columns_to_a_diagnosis(network, tmp_path):
    generator = np.random.default_rng(4)
    means, deviations = np.array([50.0, 120.0, 0.2]), np.array([10.0, 15.0, 0.1])
    patients = means + deviations * generator.uniform(-2, 2, (40, 3))
    np.savetxt(tmp_path / "patients.csv", patients, delimiter=",", header="age,pressure,ratio", comments="")
    plan = hecc.compile(
        network((3,), ("gemm", 1)),
        preprocessing=hecc.Preprocessing(mean=means, std=deviations),
        calibration=tmp_path / "patients.csv",
        class_names=["healthy", "ill"],
        margin=0,
        precision=8,
    )
    (source,) = plan.header.inputs
    assert source.columns == ("age", "pressure", "ratio")
    assert -2 <= source.low < -1 < 1 < source.high <= 2
    clear = hecc.simulate(plan, (patients - means) / deviations, noise=False)["gemm0"][:, 0]
    (tmp_path / "truth.txt").write_text("\n".join("ill" if score > 0 else "healthy" for score in clear))
    found = hecc.evaluate(plan, tmp_path / "patients.csv", tmp_path / "truth.txt", encrypted=True, rows=2)
    assert found.classes == ("healthy", "ill")
    assert [outcome.score for outcome in found.outcomes] == [1.0, pytest.approx(1.0, abs=0.05), 1.0]
    np.testing.assert_allclose(found.outcomes[0].values[:, 0], clear, rtol=1e-6)

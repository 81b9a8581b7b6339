"""Train the network of this example, 30-16-16-2, with scikit-learn, and export it to ONNX.

    python train.py            # some seconds; writes network.onnx and patients.npz beside this script

The data come with scikit-learn, so nothing is downloaded. Neither PyTorch nor hecc is needed to run this script.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from pathlib import Path
from typing import Any

try:
    import numpy as np
    import onnx
    from onnx import TensorProto, helper, numpy_helper
    from sklearn.datasets import load_breast_cancer  # type: ignore[import-untyped, import-not-found, unused-ignore]
    from sklearn.exceptions import ConvergenceWarning  # type: ignore[import-untyped, import-not-found, unused-ignore]
    from sklearn.model_selection import (  # type: ignore[import-untyped, import-not-found, unused-ignore]
        train_test_split,
    )
    from sklearn.neural_network import MLPClassifier  # type: ignore[import-untyped, import-not-found, unused-ignore]
    from sklearn.preprocessing import StandardScaler  # type: ignore[import-untyped, import-not-found, unused-ignore]
except ImportError as error:
    sys.exit(
        f"train.py needs the package '{error.name}', which is not installed here: pip install onnx scikit-learn "
        "(only training needs them, not hecc)"
    )

HERE = Path(__file__).resolve().parent
HIDDEN = (16, 16)
HELD_OUT = 143  # patients that training never sees, a quarter
CLIP = 5.0  # standard deviations; beyond them a measurement is as extreme as it gets
ACTIVATIONS = {"tanh": "Tanh", "logistic": "Sigmoid"}

Array = np.ndarray[Any, Any]


def standardised(raw: Array, scaler: StandardScaler) -> Array:
    """What a clinic does to its measurements before it encrypts them: mean 0, deviation 1, nothing extreme.

    Parameters
    ----------
    raw : ndarray
        Of shape (patients, 30), in the units of the data set.
    scaler : StandardScaler
        Fitted to the training set.

    Returns
    -------
    ndarray
        float32 of the same shape, values -5 to 5.
    """
    clipped: Array = np.clip(scaler.transform(raw), -CLIP, CLIP).astype(np.float32)
    return clipped


def to_onnx(network: MLPClassifier) -> onnx.ModelProto:
    """The network as ONNX: three Gemm nodes with activations between them, two logits.

    scikit-learn's network for two classes has one output z, the log-odds of the second. The two logits are -z/2 and
    z/2, whose softmax is the same probability.

    Parameters
    ----------
    network : MLPClassifier
        Trained.

    Returns
    -------
    ModelProto
        Input ``measurements`` of shape (batch, 30), output ``logits`` of shape (batch, 2).
    """
    weights, biases = list(network.coefs_), list(network.intercepts_)
    weights[-1] = np.hstack([-weights[-1], weights[-1]]) / 2
    biases[-1] = np.hstack([-biases[-1], biases[-1]]) / 2
    nodes, constants, last = [], [], "measurements"
    for number, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        final = number == len(weights) - 1
        out = "logits" if final else f"dense{number}"
        constants += [
            numpy_helper.from_array(a.astype(np.float32), f"{k}{number}") for k, a in (("w", weight), ("b", bias))
        ]
        nodes.append(helper.make_node("Gemm", [last, f"w{number}", f"b{number}"], [out], name=f"dense{number}"))
        last = out
        if not final:
            last = f"activation{number}"
            nodes.append(helper.make_node(ACTIVATIONS[network.activation], [out], [last], name=last))
    source = helper.make_tensor_value_info("measurements", TensorProto.FLOAT, ["batch", weights[0].shape[0]])
    result = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 2])
    graph = helper.make_graph(nodes, "breast_cancer", [source], [result], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return model


def main() -> None:
    """Train, export, save the patients."""
    parser = argparse.ArgumentParser(description="Train the network of this example and export it to ONNX.")
    add = parser.add_argument
    add("--activation", choices=ACTIVATIONS, default="tanh", help="of both hidden layers (tanh)")
    add("--out", type=Path, default=HERE, metavar="DIR", help="where to write (default: beside this script)")
    arguments = parser.parse_args()

    data = load_breast_cancer()
    ill = 1 - data.target  # scikit-learn's 0 is malignant
    train, held, train_ill, held_ill = train_test_split(
        data.data, ill, test_size=HELD_OUT, random_state=0, stratify=ill
    )
    scaler = StandardScaler().fit(train)
    # A strong weight decay keeps what goes into an activation small, so that a polynomial of low degree follows it.
    network = MLPClassifier(HIDDEN, activation=arguments.activation, alpha=1.0, max_iter=600, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        network.fit(standardised(train, scaler), train_ill)
    patients = standardised(held, scaler)
    arguments.out.mkdir(parents=True, exist_ok=True)
    onnx.save(to_onnx(network), arguments.out / "network.onnx")
    np.savez(
        arguments.out / "patients.npz",
        patients=patients,
        malignant=held_ill,
        calibration=standardised(train, scaler),
    )
    right = (network.predict(patients) == held_ill).sum()
    print(f"{arguments.activation}: {right} of {HELD_OUT} held-out patients right ({right / HELD_OUT:.1%})")


if __name__ == "__main__":
    main()

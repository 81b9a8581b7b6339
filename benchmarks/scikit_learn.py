"""Which estimators of scikit-learn run encrypted? Trains each, exports it with skl2onnx, compiles it, and compares.

Every estimator is a pipeline with a scaler on one of scikit-learn's own data sets. All rows that it was not trained on
are simulated and compared with its own ``predict`` and ``predict_proba``; the first of them are encrypted, too, and
must be answered as simulated. What is refused is written with the sentence that a user reads.

    python benchmarks/scikit_learn.py --results results.json --write docs/reference/scikit-learn.md [--only NAME ...]

With ``--results`` a run goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from marked import replaced
from numpy.typing import NDArray
from skl2onnx import to_onnx
from sklearn import datasets, set_config
from sklearn.calibration import CalibratedClassifierCV
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA, KernelPCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis, QuadraticDiscriminantAnalysis
from sklearn.ensemble import (
    BaggingClassifier,
    GradientBoostingClassifier,
    RandomForestClassifier,
    StackingClassifier,
    StackingRegressor,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF
from sklearn.linear_model import (
    BayesianRidge,
    ElasticNet,
    LogisticRegression,
    Perceptron,
    PoissonRegressor,
    Ridge,
    RidgeClassifier,
    SGDClassifier,
)
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import train_test_split
from sklearn.multiclass import OneVsOneClassifier, OneVsRestClassifier
from sklearn.naive_bayes import BernoulliNB, GaussianNB, MultinomialNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, Normalizer, PolynomialFeatures, StandardScaler
from sklearn.svm import SVC, SVR, LinearSVC, NuSVC, OneClassSVM
from sklearn.tree import DecisionTreeClassifier

import hecc
from hecc.runtime.tail.epilogue import describe

Array = NDArray[Any]

SETS: Mapping[str, Callable[[], Any]] = MappingProxyType(
    {
        "breast cancer": datasets.load_breast_cancer,
        "diabetes": datasets.load_diabetes,
        "digits": datasets.load_digits,
        "iris": datasets.load_iris,
        "wine": datasets.load_wine,
    }
)


def scaled(*steps: Any) -> Any:
    return make_pipeline(StandardScaler(), *steps)


def network(activation: str, *hidden: int) -> MLPClassifier:
    return MLPClassifier(hidden, activation=activation, max_iter=1000, random_state=0)


PRECISE = 5
"""Bits that ReLU is asked for where the table says so."""

LOGISTIC = [("a", LogisticRegression()), ("b", LinearDiscriminantAnalysis())]

ESTIMATORS: Mapping[str, tuple[str, Callable[[], Any]]] = MappingProxyType(
    {
        "LogisticRegression": ("breast cancer", lambda: scaled(LogisticRegression())),
        "LogisticRegression, MinMaxScaler": (
            "digits",
            lambda: make_pipeline(MinMaxScaler(), LogisticRegression(max_iter=1000)),
        ),
        "LinearSVC": ("wine", lambda: scaled(LinearSVC())),
        "RidgeClassifier": ("wine", lambda: scaled(RidgeClassifier())),
        "SGDClassifier(loss='log_loss')": ("wine", lambda: scaled(SGDClassifier(loss="log_loss", random_state=0))),
        "Perceptron": ("wine", lambda: scaled(Perceptron())),
        "LinearDiscriminantAnalysis": ("wine", LinearDiscriminantAnalysis),
        "PCA(20), LogisticRegression": (
            "digits",
            lambda: make_pipeline(PCA(20), LogisticRegression(max_iter=1000)),
        ),
        "QuadraticDiscriminantAnalysis": ("wine", lambda: scaled(QuadraticDiscriminantAnalysis(reg_param=0.1))),
        "GaussianNB": ("wine", lambda: scaled(GaussianNB())),
        "MultinomialNB": ("digits", MultinomialNB),
        "SVC(kernel='linear')": ("wine", lambda: scaled(SVC(kernel="linear"))),
        "SVC(kernel='poly')": ("wine", lambda: scaled(SVC(kernel="poly"))),
        "SVC(kernel='sigmoid')": ("wine", lambda: scaled(SVC(kernel="sigmoid"))),
        "SVC": ("breast cancer", lambda: scaled(SVC())),
        "SVC, MinMaxScaler": ("digits", lambda: make_pipeline(MinMaxScaler(), SVC())),
        "SVC(probability=True)": ("wine", lambda: scaled(SVC(probability=True, random_state=0))),
        "NuSVC": ("wine", lambda: scaled(NuSVC())),
        "OneClassSVM": ("iris", lambda: scaled(OneClassSVM())),
        "MLPClassifier, tanh": ("wine", lambda: scaled(network("tanh", 16))),
        "MLPClassifier, logistic": ("digits", lambda: make_pipeline(MinMaxScaler(), network("logistic", 32))),
        "MLPClassifier, relu": ("breast cancer", lambda: scaled(network("relu", 16))),
        "MLPClassifier, relu, two layers": ("wine", lambda: scaled(network("relu", 16, 16))),
        f"MLPClassifier, relu, precision={PRECISE}": ("breast cancer", lambda: scaled(network("relu", 16))),
        f"MLPClassifier, relu, two layers, precision={PRECISE}": ("wine", lambda: scaled(network("relu", 16, 16))),
        "MLPClassifier, relu, MinMaxScaler": ("digits", lambda: make_pipeline(MinMaxScaler(), network("relu", 32))),
        "PolynomialFeatures(2), LogisticRegression": (
            "iris",
            lambda: scaled(PolynomialFeatures(2), LogisticRegression(max_iter=1000)),
        ),
        "PolynomialFeatures(2), StandardScaler": (
            "wine",
            lambda: make_pipeline(PolynomialFeatures(2), StandardScaler(), LogisticRegression(max_iter=1000)),
        ),
        "KernelPCA(kernel='poly'), LogisticRegression": (
            "wine",
            lambda: scaled(KernelPCA(4, kernel="poly", degree=2, gamma=0.05), LogisticRegression()),
        ),
        "KernelPCA(kernel='rbf'), LogisticRegression": (
            "wine",
            lambda: scaled(KernelPCA(4, kernel="rbf", gamma=0.05), LogisticRegression()),
        ),
        "CalibratedClassifierCV(LinearSVC)": ("wine", lambda: scaled(CalibratedClassifierCV(LinearSVC(), cv=2))),
        "CalibratedClassifierCV(SVC)": ("breast cancer", lambda: scaled(CalibratedClassifierCV(SVC(), cv=2))),
        "CalibratedClassifierCV(method='isotonic')": (
            "breast cancer",
            lambda: scaled(CalibratedClassifierCV(LinearSVC(), cv=2, method="isotonic")),
        ),
        "VotingClassifier, soft": (
            "wine",
            lambda: scaled(VotingClassifier(LOGISTIC, voting="soft", flatten_transform=False)),
        ),
        "VotingClassifier, hard": (
            "wine",
            lambda: scaled(VotingClassifier(LOGISTIC, voting="hard", flatten_transform=False)),
        ),
        "BaggingClassifier(LogisticRegression)": (
            "wine",
            lambda: scaled(BaggingClassifier(LogisticRegression(), 5, random_state=0)),
        ),
        "OneVsRestClassifier": ("wine", lambda: scaled(OneVsRestClassifier(LogisticRegression()))),
        "OneVsOneClassifier": ("wine", lambda: scaled(OneVsOneClassifier(LogisticRegression()))),
        "StackingClassifier, two classes": ("breast cancer", lambda: scaled(StackingClassifier(LOGISTIC, cv=3))),
        "StackingClassifier, three classes": ("wine", lambda: scaled(StackingClassifier(LOGISTIC, cv=3))),
        "KMeans": ("iris", lambda: scaled(KMeans(3, random_state=0, n_init=3))),
        "GaussianMixture": ("iris", lambda: scaled(GaussianMixture(3, random_state=0))),
        "Ridge": ("diabetes", lambda: scaled(Ridge())),
        "ElasticNet": ("diabetes", lambda: scaled(ElasticNet())),
        "BayesianRidge": ("diabetes", lambda: scaled(BayesianRidge())),
        "PoissonRegressor": ("diabetes", lambda: scaled(PoissonRegressor())),
        "SVR": ("diabetes", lambda: scaled(SVR(C=100))),
        "SVR(kernel='poly')": ("diabetes", lambda: scaled(SVR(kernel="poly", C=10))),
        "GaussianProcessRegressor(RBF)": (
            "diabetes",
            lambda: scaled(GaussianProcessRegressor(RBF(4.0), alpha=1, optimizer=None)),
        ),
        "MLPRegressor, tanh": (
            "diabetes",
            lambda: scaled(MLPRegressor(hidden_layer_sizes=(16,), activation="tanh", max_iter=5000, random_state=0)),
        ),
        "MLPRegressor, relu": (
            "diabetes",
            lambda: scaled(MLPRegressor(hidden_layer_sizes=(16,), max_iter=5000, random_state=0)),
        ),
        "VotingRegressor": ("diabetes", lambda: scaled(VotingRegressor([("a", Ridge()), ("b", ElasticNet())]))),
        "StackingRegressor": (
            "diabetes",
            lambda: scaled(StackingRegressor([("a", Ridge()), ("b", ElasticNet())], final_estimator=Ridge(), cv=3)),
        ),
        "BernoulliNB": ("breast cancer", lambda: scaled(BernoulliNB())),
        "Normalizer, LogisticRegression": ("wine", lambda: scaled(Normalizer(), LogisticRegression())),
        "KNeighborsClassifier": ("wine", lambda: scaled(KNeighborsClassifier())),
        "DecisionTreeClassifier": ("wine", lambda: scaled(DecisionTreeClassifier(random_state=0))),
        "RandomForestClassifier": ("wine", lambda: scaled(RandomForestClassifier(100, random_state=0))),
        "GradientBoostingClassifier": ("breast cancer", lambda: scaled(GradientBoostingClassifier(random_state=0))),
    }
)
"""By what the table calls them: the data, and the pipeline."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=ESTIMATORS, default=list(ESTIMATORS), metavar="NAME")
    parser.add_argument("--rows", type=int, default=2, help="rows that are encrypted, too")
    parser.add_argument("--results", type=Path, help="where results are kept, and from where a run goes on")
    parser.add_argument("--write", type=Path, help="the page whose tables are written")
    arguments = parser.parse_args()
    set_config(assume_finite=True)
    kept = arguments.results and arguments.results.exists()
    results: dict[str, dict[str, Any]] = json.loads(arguments.results.read_text()) if kept else {}
    for name in arguments.only:
        if name not in results:
            results[name] = measure(name, arguments.rows)
            print(json.dumps({name: results[name]}), flush=True)
            if arguments.results:
                arguments.results.write_text(json.dumps(results, indent=1) + "\n")
    if arguments.write:
        rows = [(name, results[name]) for name in ESTIMATORS if name in results]
        text = replaced(arguments.write.read_text(), "measured", table(rows))
        arguments.write.write_text(replaced(text, "refused", refusals(rows)))


def trained(name: str) -> tuple[Any, Any, Array, Array]:
    """An estimator as it was trained, its network, the rows that it saw and those that it did not."""
    where, build = ESTIMATORS[name]
    data = SETS[where]()
    # skl2onnx forgets the names of classes of a OneVsOneClassifier.
    numbers = where == "diabetes" or name == "OneVsOneClassifier"
    answers = data.target if numbers else np.asarray(data.target_names)[data.target]
    train, test, known, _ = train_test_split(data.data.astype(np.float32), answers, test_size=0.3, random_state=0)
    with warnings.catch_warnings():
        # Of solvers that have not converged, and of options that scikit-learn will drop.
        warnings.simplefilter("ignore")
        estimator = build().fit(train, known)
        final = estimator.steps[-1][1] if hasattr(estimator, "steps") else estimator
        # Without options, skl2onnx 1.20 asks a LinearSVC for one that it does not have.
        options = {id(final): {"raw_scores": False}} if isinstance(final, LinearSVC) else None
        return estimator, to_onnx(estimator, train[:1], options=options), train, test


def measure(name: str, encrypted: int) -> dict[str, Any]:
    """Train, compile, simulate and encrypt; all figures of one estimator, or the sentence with which it is refused."""
    estimator, model, train, test = trained(name)
    options: dict[str, Any] = {"precision": PRECISE} if name.endswith(f"precision={PRECISE}") else {}
    report: dict[str, Any] = {"data": ESTIMATORS[name][0]}
    start = time.perf_counter()
    try:
        plan = hecc.compile(model, calibration=train, **options)
    except hecc.HeccError as error:
        return report | {"refused": str(error).splitlines()[0], "seconds": time.perf_counter() - start}
    report["compile_seconds"] = time.perf_counter() - start
    simulated = hecc.simulate(plan, test, skip_bad_rows=True)
    taken = [int(row) for row in simulated.index] if simulated.index else list(range(len(test)))
    found = compared(estimator, test[taken], simulated)
    client = hecc.Client(plan)
    with tempfile.TemporaryDirectory() as folder:
        keys = client.keygen(folder)
        with hecc.Server(plan, keys.evaluation) as server:
            start = time.perf_counter()
            answers = client.decrypt(server.run(client.encrypt(test[taken[:encrypted]])))
            report["run_seconds"] = (time.perf_counter() - start) / encrypted
    first = next(iter(simulated))
    same = (
        np.isclose(answers[first], simulated[first][:encrypted], rtol=1e-2)
        if is_real(answers[first])
        else (answers[first] == simulated[first][:encrypted])
    )
    header, estimate = plan.header, plan.header.estimate
    return (
        report
        | found
        | {
            "encrypted_as_simulated": int(same.reshape(encrypted, -1).all(axis=1).sum()),
            "encrypted": encrypted,
            "rows": len(taken),
            "not_taken": len(test) - len(taken),
            "lost": len(simulated.lost),
            "outside": len(simulated.outside),
            "levels": estimate.depth,
            "ring_degree": header.keys.ring_degree,
            "predicted_seconds": estimate.seconds,
            "key_bytes": estimate.evaluation_key_bytes,
            "client": [describe(output.epilogue) for output in header.outputs],
        }
    )


def compared(estimator: Any, rows: Array, simulated: Mapping[str, Array]) -> dict[str, Any]:
    """How the simulated answers agree with the estimator's own."""
    own = np.asarray(estimator.predict(rows))
    answers = next(iter(simulated.values())).reshape(len(rows), -1)[:, 0]
    if is_real(answers):
        return {"off": float(np.nanmax(np.abs(answers - own)) / np.ptp(own))}
    found: dict[str, Any] = {"agree": int((answers.astype(own.dtype) == own).sum())}
    if hasattr(estimator, "predict_proba"):
        probable = estimator.predict_proba(rows)
        alike = [value for value in simulated.values() if is_real(value) and value.shape == probable.shape]
        if alike:
            found["probabilities_off"] = float(np.nanmax(np.abs(alike[-1] - probable)))
    return found


def is_real(values: Array) -> bool:
    return values.dtype.kind == "f"


def table(rows: list[tuple[str, dict[str, Any]]]) -> str:
    """What runs, a line each."""
    lines = [
        "| estimator | data | as in clear | probabilities off by | levels | N | a row | keys | the client computes |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, report in rows:
        if "refused" not in report:
            agreement = f"{report['agree']} of {report['rows']}" if "agree" in report else f"within {report['off']:.2g}"
            probable = f"{report['probabilities_off']:.1g}" if "probabilities_off" in report else ""
            steps = " \\| ".join(dict.fromkeys(filter(None, report["client"]))) or "nothing"
            lines.append(
                f"| {name} | {report['data']} | {agreement} | {probable} | {report['levels']} | "
                f"{report['ring_degree']} | {1e3 * report['predicted_seconds']:.1f} ms | "
                f"{report['key_bytes'] / 1e6:.0f} MB | {steps} |"
            )
    return "\n".join(lines)


def refusals(rows: list[tuple[str, dict[str, Any]]]) -> str:
    """What is refused, with its sentence."""
    lines = ["| estimator | data | refused with |", "|---|---|---|"]
    lines += [f"| {name} | {report['data']} | {report['refused']} |" for name, report in rows if "refused" in report]
    return "\n".join(lines)


if __name__ == "__main__":
    main()

"""Regression of whole-body circulation on encoded patients, beside the same in clear.

    python circulation.py                # simulates the patients, then trains; a few minutes

A lumped-parameter model of the closed circulation: two ventricles with time-varying elastance (Suga and Sagawa 1974),
valves, and a Windkessel (resistance and compliance) for systemic and pulmonary vessels. Patients are drawn from
physiological ranges, and the network learns what a clinician asks for from what is measured at the arm and by
ultrasound. Writes figures/circulation.json, and a picture into docs/figures.
"""

from __future__ import annotations

import argparse
from typing import Any

import matplotlib as mpl
import numpy as np
import torch  # type: ignore[import-not-found, unused-ignore]
from scipy.integrate import solve_ivp  # type: ignore[import-untyped, unused-ignore]
from story import export, predict, save_picture, train_twice, write_figures
from torch import nn  # type: ignore[import-not-found, unused-ignore]

mpl.use("Agg")
import matplotlib.pyplot as plt

RANGES = {
    "heart_rate": (50.0, 110.0),  # beats per minute
    "left_contractility": (1.2, 4.0),  # mmHg/ml, end-systolic elastance
    "left_stiffness": (0.04, 0.11),  # mmHg/ml, at the end of diastole
    "right_contractility": (0.4, 0.9),
    "right_stiffness": (0.03, 0.06),
    "systemic_resistance": (0.7, 1.5),  # mmHg s/ml
    "systemic_compliance": (0.9, 2.2),  # ml/mmHg
    "venous_compliance": (60.0, 110.0),
    "pulmonary_resistance": (0.06, 0.2),
    "pulmonary_compliance": (3.0, 6.0),
    "stressed_volume": (900.0, 1500.0),  # ml, of all vessels together
}
TARGETS = ("end-diastolic volume", "arterial elastance", "ejection fraction")
UNITS = ("ml", "mmHg/ml", "")
VALVE, VENOUS_RESISTANCE, PULMONARY_VEINS = 0.012, 0.05, 9.0
BEATS, SAMPLES = 14, 200


def elastance(phase: Any, low: Any, high: Any) -> Any:
    """Between relaxed and contracted: half a cosine up for a third of the beat, and down in half of that time."""
    rise, fall = 0.33, 0.18
    up = (1 - np.cos(np.pi * phase / rise)) / 2
    down = (1 + np.cos(np.pi * (phase - rise) / fall)) / 2
    active = np.where(phase < rise, up, np.where(phase < rise + fall, down, 0.0))
    return low + (high - low) * active


def simulate(patients: dict[str, Any]) -> dict[str, Any]:
    """The last beat of each patient: volumes, pressures and flow, shape (patients, samples).

    All patients are one system of equations, with time in beats.
    """
    p, count = patients, len(patients["heart_rate"])
    seconds = 60 / p["heart_rate"]

    def flows(beat: float, volumes: Any) -> tuple[Any, ...]:
        left, right, arteries, veins, lung_in, lung_out = volumes
        phase = beat % 1.0
        pressure_left = elastance(phase, p["left_stiffness"], p["left_contractility"]) * left
        pressure_right = elastance(phase, p["right_stiffness"], p["right_contractility"]) * right
        aorta, cava = arteries / p["systemic_compliance"], veins / p["venous_compliance"]
        trunk, lung = lung_in / p["pulmonary_compliance"], lung_out / PULMONARY_VEINS
        mitral = np.maximum(lung - pressure_left, 0) / VALVE
        aortic = np.maximum(pressure_left - aorta, 0) / VALVE
        tricuspid = np.maximum(cava - pressure_right, 0) / VENOUS_RESISTANCE
        pulmonary = np.maximum(pressure_right - trunk, 0) / VALVE
        systemic = (aorta - cava) / p["systemic_resistance"]
        lungs = (trunk - lung) / p["pulmonary_resistance"]
        return mitral, aortic, tricuspid, pulmonary, systemic, lungs, pressure_left, aorta, trunk

    def slope(beat: float, state: Any) -> Any:
        mitral, aortic, tricuspid, pulmonary, systemic, lungs, *_ = flows(beat, state.reshape(6, count))
        changes = [
            mitral - aortic,
            tricuspid - pulmonary,
            aortic - systemic,
            systemic - tricuspid,
            pulmonary - lungs,
            lungs - mitral,
        ]
        return (np.stack(changes) * seconds).reshape(-1)

    shares = np.array([0.12, 0.12, 0.13, 0.48, 0.07, 0.08])
    start = (shares[:, np.newaxis] * p["stressed_volume"]).reshape(-1)
    times = BEATS - 1 + np.arange(SAMPLES) / SAMPLES
    solved = solve_ivp(slope, (0, BEATS), start, t_eval=times, rtol=1e-3, atol=0.05, max_step=1 / 100)
    states = solved.y.reshape(6, count, -1)
    found = [flows(beat, states[:, :, k]) for k, beat in enumerate(solved.t)]
    return {
        "left": states[0],
        "aortic_flow": np.stack([each[1] for each in found], axis=1),
        "pressure_left": np.stack([each[6] for each in found], axis=1),
        "aorta": np.stack([each[7] for each in found], axis=1),
        "trunk": np.stack([each[8] for each in found], axis=1),
    }


def measured(patients: dict[str, Any], beat: dict[str, Any], random: Any) -> tuple[Any, Any]:
    """What is measured, with 2% of noise, and what is asked for."""
    largest, smallest = beat["left"].max(1), beat["left"].min(1)
    stroke = largest - smallest
    end_systolic = np.take_along_axis(beat["aorta"], beat["left"].argmin(1)[:, np.newaxis], 1)[:, 0]
    features = np.stack(
        [
            patients["heart_rate"],
            beat["aorta"].max(1),
            beat["aorta"].min(1),
            beat["aorta"].mean(1),
            beat["trunk"].mean(1),
            stroke,
            beat["aortic_flow"].max(1),
            (beat["aortic_flow"] > 1).mean(1) * 60 / patients["heart_rate"],
            beat["pressure_left"].min(1),
        ],
        axis=1,
    )
    features *= 1 + 0.02 * random.normal(size=features.shape)
    return features, np.stack([largest, end_systolic / stroke, stroke / largest], axis=1)


def main() -> None:
    """Simulate, train twice, measure, draw."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--patients", type=int, default=3000)
    arguments.add_argument("--epochs", type=int, default=40)
    given = arguments.parse_args()
    random = np.random.default_rng(0)
    patients = {name: random.uniform(low, high, given.patients) for name, (low, high) in RANGES.items()}
    beat = simulate(patients)
    features, targets = measured(patients, beat, random)
    held = given.patients // 5
    mean, spread = features[held:].mean(0), features[held:].std(0)
    middle, width = targets[held:].mean(0), targets[held:].std(0)
    rows, answers = (features - mean) / spread, (targets - middle) / width
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(9, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 3))
    found = train_twice(
        export(network, rows[:1]),
        "mse",
        rows[held:],
        answers[held:],
        epochs=given.epochs,
        batch_size=50,
        optimizer="adam",
        learning_rate=0.003,
        schedule="cosine",
    )
    result: dict[str, Any] = {"patients": given.patients, "held_out": held}
    for k, name in enumerate(("heart_rate", "systolic", "diastolic", "mean", "pulmonary", "stroke_volume")):
        result[f"{name}_5_to_95_percent"] = [float(each) for each in np.percentile(features[:, k], (5, 95))]
    predictions = {kind: predict(found[kind], rows[:held]) * width + middle for kind in ("encoded", "clear")}
    for k, name in enumerate(TARGETS):
        truth = targets[:held, k]
        result[name] = {
            "range": [float(truth.min()), float(truth.max())],
            **{
                f"r2_{kind}": float(1 - ((values[:, k] - truth) ** 2).sum() / ((truth - truth.mean()) ** 2).sum())
                for kind, values in predictions.items()
            },
        }
    result |= {
        "largest_difference_of_losses": found["largest_difference"],
        "largest_difference_of_predictions": float(np.abs(predictions["encoded"] - predictions["clear"]).max()),
        "steps": len(found["encoded_losses"]),
        "seconds_encoded": found["encoded_seconds"],
        "seconds_clear": found["clear_seconds"],
    }
    write_figures("circulation", result)
    figure, axes = plt.subplots(1, 4, figsize=(13, 3.2))
    for number in range(3):
        axes[0].plot(beat["left"][number], beat["pressure_left"][number])
    axes[0].set_xlabel("left ventricle, ml")
    axes[0].set_ylabel("mmHg")
    axes[0].set_title("three patients", fontsize=9)
    for k, name in enumerate(TARGETS):
        axes[k + 1].scatter(targets[:held, k], predictions["encoded"][:, k], s=3)
        ends = [targets[:held, k].min(), targets[:held, k].max()]
        axes[k + 1].plot(ends, ends, color="0.5", linewidth=1)
        axes[k + 1].set_title(f"{name}, R² {result[name]['r2_encoded']:.3f}", fontsize=9)
        axes[k + 1].set_xlabel(f"simulated {UNITS[k]}")
    save_picture(figure, "circulation")


if __name__ == "__main__":
    main()

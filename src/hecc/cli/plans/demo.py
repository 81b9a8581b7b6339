"""``hecc demo``."""

from __future__ import annotations

import contextlib
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib import resources
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hecc.cli.console import Console, JsonOption, console
from hecc.cli.options import ForceOption
from hecc.cli.usage import FILES, INPUTS

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["demo_command"]

MODEL, DATA = "digits.onnx", "digits.npz"
IMAGES, SHOWN = 16, 6
"""How many images come with hecc, and how many of them the demonstration takes."""

PER_LINE, INK = 8, 0.4
"""How digits are drawn: how many side by side, and from which value on a pixel is dark."""


def demo_command(
    images: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=IMAGES,
            metavar="NUMBER",
            show_default=False,
            help=f"How many digits. [{SHOWN}; with --files {IMAGES}]",
            rich_help_panel=INPUTS,
        ),
    ] = None,
    files: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            show_default=False,
            help="Write the network and its digits into this folder, and run nothing: model.onnx, images.npy, "
            "labels.npy and calibration.npy.",
            rich_help_panel=FILES,
        ),
    ] = None,
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Recognise handwritten digits that stay encrypted.

    Compiles a small network that comes with hecc, makes keys in a temporary folder, encrypts digits, evaluates the
    network on them, decrypts the result, and compares with the network in clear.
    """
    if files is not None:
        with console(as_json) as out:
            _write_files(out, files, images or IMAGES, force)
        return
    images = images or SHOWN
    with console(as_json) as out, tempfile.TemporaryDirectory(prefix="hecc-demo-") as temporary:
        import numpy as np

        import hecc

        data = resources.files("hecc") / "data"
        with resources.as_file(data / DATA) as path, np.load(path, allow_pickle=False) as archive:
            digits, labels, calibration = archive["images"][:images], archive["labels"][:images], archive["calibration"]
        model = (data / MODEL).read_bytes()
        folder = Path(temporary)
        clock = _Clock()

        with clock.measure("compile"), out.stages("compiling the network") as stage:
            plan = hecc.compile(model, calibration=calibration, input_range=(0.0, 1.0), progress=stage)
            plan.save(folder / "plan.bin")
            plan.client().save(folder / "plan.client.bin")
        with clock.measure("keygen"), out.steps("making keys") as step:
            client = hecc.Client(folder / "plan.client.bin")
            keys = client.keygen(folder / "keys", progress=step)
        with clock.measure("encrypt"):
            client.encrypt(digits).save(folder / "encrypted.bin")
        with clock.measure("run"), out.steps("evaluating on encrypted digits") as step:
            with hecc.Server(folder / "plan.bin", keys.evaluation) as server:
                result = server.run(
                    folder / "encrypted.bin",
                    progress=lambda row, done, total, _: step(row * total + done, images * total),
                )
            result.save(folder / "result.bin")
        with clock.measure("decrypt"):
            (decrypted,) = client.decrypt(folder / "result.bin").values()
        witness, expected = _in_clear(model, digits)

        predictions, reference = decrypted.argmax(axis=1), expected.argmax(axis=1)
        error = float(np.abs(decrypted - expected).max())
        span = float(expected.max() - expected.min())
        agree = int((predictions == reference).sum())
        sizes = {str(file.relative_to(folder)): file.stat().st_size for file in sorted(folder.rglob("*.bin"))}

        _show_digits(out, digits[:, 0], {"label": labels, "in clear": reference, "encrypted": predictions})
        _show_facts(out, plan.header, clock, images, sizes, witness, (agree, error, span))
        out.result(
            labels=labels.tolist(),
            clear=reference.tolist(),
            encrypted=predictions.tolist(),
            reference=witness,
            agree=agree,
            largest_error=error,
            logit_range=span,
            seconds=clock.seconds,
            bytes=sizes,
            plan=plan.scheme.fields(plan.header),
        )


def _write_files(out: Console, folder: Path, images: int, force: bool) -> None:
    """The network and the data as a user would have them; a file that is somebody's own stays."""
    import io

    import numpy as np

    from hecc.runtime.figures import size_words
    from hecc.runtime.files.atomic import write_file

    data = resources.files("hecc") / "data"
    contents = {"model.onnx": (data / MODEL).read_bytes()}
    with resources.as_file(data / DATA) as path, np.load(path, allow_pickle=False) as archive:
        for name, array in archive.items():
            rows = array if name == "calibration" else array[:images]
            np.save(stream := io.BytesIO(), rows, allow_pickle=False)
            contents[f"{name}.npy"] = stream.getvalue()
    for name, content in contents.items():

        def same(file: Path, content: bytes = content) -> bool:
            return file.read_bytes() == content

        write_file(folder / name, content, own=same, kind="one of the demonstration's files", force=force)
    out.say(", ".join(f"{name} ({size_words(len(content))})" for name, content in contents.items()))
    out.result(files=[str(folder / name) for name in contents])


class _Clock:
    """Seconds of each stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextlib.contextmanager
    def measure(self, stage: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds[stage] = time.perf_counter() - start


def _in_clear(model: bytes, images: NDArray[Any]) -> tuple[str, NDArray[Any]]:
    """What computed the network in clear, and its logits: onnxruntime where it is installed."""
    if find_spec("onnxruntime") is not None:
        import onnxruntime

        session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
        return "onnxruntime", session.run(None, {session.get_inputs()[0].name: images})[0]
    from hecc.compiler.importer import import_model

    graph = import_model(model)
    (source,) = graph.inputs()
    return "hecc's imported graph", graph.evaluate({source.output.name: images})[graph.outputs[0]]


def _show_digits(out: Console, images: NDArray[Any], rows: dict[str, NDArray[Any]]) -> None:
    """The digits side by side, two pixels to a character, and numbers under each."""
    blocks = " ▀▄█"
    try:
        blocks.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        blocks = " '.#"
    margin = max(map(len, rows)) + 4
    dark = images > INK
    out.say()
    for start in range(0, len(images), PER_LINE):
        part = slice(start, start + PER_LINE)
        for top in range(0, dark.shape[1], 2):
            cells = (
                "".join(blocks[up + 2 * down] for up, down in zip(*image[top : top + 2], strict=True))
                for image in dark[part]
            )
            out.say(f"{'':{margin}}{'   '.join(cells)}".rstrip())
        for name, numbers in rows.items():
            out.say(f"  {name:<{margin - 2}}{'   '.join(f'{number:^8}' for number in numbers[part])}".rstrip())
        out.say()


def _show_facts(
    out: Console,
    header: Any,
    clock: _Clock,
    images: int,
    sizes: dict[str, int],
    witness: str,
    comparison: tuple[int, float, float],
) -> None:
    from hecc.runtime.ckks.plan.facts import security_words
    from hecc.runtime.figures import size_words, time_words

    agree, error, span = comparison
    done: dict[str, Callable[[str], str]] = {
        "keygen": lambda text: f"{text} for {len(header.keys.galois) + 1} evaluation keys",
        "encrypt": lambda text: f"{text} for {images} digits",
        "run": lambda text: f"{text}, {time_words(clock.seconds['run'] / images)} per digit",
    }
    out.facts(
        [
            ("agreement", f"{agree} of {images} predictions are those of the network in clear ({witness})"),
            ("largest error", f"{error:.2g} on logits that span {span:.3g}, {100 * error / span:.2g}% of it"),
            ("security", security_words(header.keys)),
            *((stage, done.get(stage, str)(time_words(seconds))) for stage, seconds in clock.seconds.items()),
            *((name, size_words(size)) for name, size in sizes.items()),
        ]
    )

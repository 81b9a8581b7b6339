"""The commands, one file each, with what is common to all of them in :mod:`hecc.cli.console`."""

from __future__ import annotations

from typing import Annotated

import typer

import hecc
from hecc.cli.client.decrypt import decrypt_command
from hecc.cli.client.encrypt import encrypt_command
from hecc.cli.client.keygen import keygen_command
from hecc.cli.plans.bench import bench_command
from hecc.cli.plans.compile import compile_command
from hecc.cli.plans.demo import demo_command
from hecc.cli.plans.estimate import estimate_command
from hecc.cli.plans.evaluate import evaluate_command
from hecc.cli.plans.inspect import inspect_command
from hecc.cli.plans.report import report_command
from hecc.cli.plans.simulate import simulate_command
from hecc.cli.plans.verify import verify_command
from hecc.cli.renamed import Command
from hecc.cli.server.run import run_command

__all__ = ["app"]

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    epilog="Example: hecc compile model.onnx && hecc keygen plan.client.bin && hecc encrypt plan.client.bin x.npy "
    "&& hecc run plan.bin encrypted.bin && hecc decrypt plan.client.bin result.bin",
)

for _command, _example in (
    (
        compile_command,
        "hecc compile model.onnx --calibration photos --resize 256 --scale 1/255 --mean .5 --labels names.txt",
    ),
    (estimate_command, "hecc estimate model.onnx --calibration images.npy"),
    (keygen_command, "hecc keygen plan.client.bin --keys seal-keys --device seal"),
    (encrypt_command, "hecc encrypt plan.client.bin photo.jpg"),
    (run_command, "hecc run plan.bin encrypted.bin"),
    (decrypt_command, "hecc decrypt plan.client.bin result.bin"),
    (inspect_command, "hecc inspect plan.bin --circuit"),
    (verify_command, "hecc verify plan.bin keys/evaluation.bin encrypted.bin result.bin"),
    (report_command, "hecc report plan.bin --output report.html"),
    (simulate_command, "hecc simulate plan.bin images.npy --labels labels.npy"),
    (
        evaluate_command,
        "hecc evaluate plan.bin --data test.npy --labels labels.npy --model model.onnx --encrypted --rows 5",
    ),
    (bench_command, "hecc bench plan.bin"),
    (demo_command, "hecc demo --images 6"),
):
    app.command(_command.__name__.removesuffix("_command"), cls=Command, epilog=f"Example: {_example}")(_command)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"hecc {hecc.__version__}")
        raise typer.Exit


@app.callback()
def _hecc(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Run neural networks on encrypted data.

    The network's owner compiles it; the client makes keys, encrypts, and decrypts; the server runs the plan and learns
    nothing of what it computes.
    """

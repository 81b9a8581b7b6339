"""The commands, one file each, with what is common to all of them in :mod:`hecc.cli.console`."""

from __future__ import annotations

from typing import Annotated

import typer

import hecc
from hecc.cli.client.attack import attack_command
from hecc.cli.client.decrypt import decrypt_command
from hecc.cli.client.encrypt import encrypt_command
from hecc.cli.client.keygen import keygen_command
from hecc.cli.client.prepare import prepare_command
from hecc.cli.client.query import query_command
from hecc.cli.dealer.authority import authority_command
from hecc.cli.dealer.deal import deal_command
from hecc.cli.plans.bench import bench_command
from hecc.cli.plans.compile import compile_command
from hecc.cli.plans.demo import demo_command
from hecc.cli.plans.estimate import estimate_command
from hecc.cli.plans.evaluate import evaluate_command
from hecc.cli.plans.inspect import inspect_command
from hecc.cli.plans.report import report_command
from hecc.cli.plans.simulate import simulate_command
from hecc.cli.plans.verify import verify_command
from hecc.cli.server.run import run_command
from hecc.cli.server.serve import serve_command
from hecc.cli.server.train import train_command
from hecc.cli.usage import Command, Group

__all__ = ["app"]

TRY, OWNER, CLIENT, SERVER, DEALER, CHECKS = (
    "To try hecc",
    "The network's owner",
    "The client",
    "The server",
    "The dealer",
    "Checks and measurements",
)
"""Who runs a command, as the help of all of them shows it."""

app = typer.Typer(
    cls=Group,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="""\b
Example:
  hecc compile model.onnx --calibration images.npy
  hecc keygen plan.client.bin
  hecc encrypt plan.client.bin image.npy
  hecc run plan.bin encrypted.bin
  hecc decrypt plan.client.bin result.bin""",
)

# Each with who runs it, what it does in a line of at most 66 characters, and an example.
for _command, _panel, _short, _example in (
    (
        demo_command,
        TRY,
        "Recognise handwritten digits that stay encrypted.",
        "hecc demo --images 6",
    ),
    (
        compile_command,
        OWNER,
        "Make a plan of a network: what the server runs on encrypted data.",
        "hecc compile model.onnx --calibration photos --scale 1/255",
    ),
    (
        estimate_command,
        OWNER,
        "Say what a network would cost, and what would make it cheaper.",
        "hecc estimate model.onnx --calibration images.npy",
    ),
    (
        keygen_command,
        CLIENT,
        "Make the keys: one to keep, one for the server.",
        "hecc keygen plan.client.bin --passphrase",
    ),
    (encrypt_command, CLIENT, "Encrypt arrays, tables or images.", "hecc encrypt plan.client.bin photo.jpg"),
    (decrypt_command, CLIENT, "Decrypt results, and show the predictions.", "hecc decrypt plan.client.bin result.bin"),
    (
        prepare_command,
        CLIENT,
        "Send a server what needs no input yet (scheme sharing).",
        "hecc prepare localhost:7000 --plan plan.client.bin",
    ),
    (
        query_command,
        CLIENT,
        "Ask a server about inputs it does not see (scheme sharing).",
        "hecc query localhost:7000 photo.jpg --plan plan.client.bin",
    ),
    (run_command, SERVER, "Run a plan on encrypted inputs.", "hecc run plan.bin encrypted.bin"),
    (
        serve_command,
        SERVER,
        "Serve a plan to clients that ask (scheme sharing).",
        "hecc serve plan.bin --listen localhost:7000",
    ),
    (
        train_command,
        SERVER,
        "Train a network on encoded rows (scheme more: no security).",
        "hecc train plan.bin encrypted.bin --epochs 5 --optimizer adam",
    ),
    (
        deal_command,
        DEALER,
        "Deal material for a plan (scheme sharing).",
        "hecc deal plan.client.bin --count 1000",
    ),
    (authority_command, DEALER, "Make certificates for tests.", "hecc authority tls"),
    (
        attack_command,
        CHECKS,
        "Recover the data from encoded rows: why more is no encryption.",
        "hecc attack encrypted.bin --output recovered.png",
    ),
    (inspect_command, CHECKS, "Say what a file is, and what it holds.", "hecc inspect plan.bin --circuit"),
    (
        verify_command,
        CHECKS,
        "Check that files are whole, and that they belong together.",
        "hecc verify plan.bin keys/evaluation.bin encrypted.bin result.bin",
    ),
    (report_command, CHECKS, "Describe a plan on a page for the browser.", "hecc report plan.bin --output report.html"),
    (
        simulate_command,
        CHECKS,
        "Run a plan without encryption, with noise as if there were.",
        "hecc simulate plan.bin images.npy --labels labels.npy",
    ),
    (
        evaluate_command,
        CHECKS,
        "Measure on a test set how good a plan's answers are.",
        "hecc evaluate plan.bin --inputs test.npy --labels labels.npy",
    ),
    (bench_command, CHECKS, "Measure this machine, or a plan on it.", "hecc bench plan.bin"),
):
    app.command(
        _command.__name__.removesuffix("_command"),
        cls=Command,
        short_help=_short,
        epilog=f"Example: {_example}",
        rich_help_panel=_panel,
    )(_command)


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

"""``hecc query``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hecc.cli.connections import (
    AuthorityOption,
    CertificateOption,
    DealerOption,
    InsecurePlainOption,
    KeyOption,
    MaterialOption,
    ServerArgument,
    traffic_words,
)
from hecc.cli.console import JsonOption, console
from hecc.cli.options import ClipOption, ForceOption, RawOption, SkipOption
from hecc.cli.outputs import check_targets
from hecc.cli.usage import FILES

__all__ = ["PlanOption", "query_command"]

PlanOption = Annotated[
    Path,
    typer.Option("--plan", metavar="FILE", help="Either plan file; the client's is enough.", rich_help_panel=FILES),
]


def query_command(
    server: ServerArgument,
    inputs: Annotated[
        list[Path],
        typer.Argument(
            metavar="PATH",
            help="A .npy file with one example or several rows; .npz with an array per input; a .csv or .parquet "
            "table; or images, or a folder of them, one row each.",
        ),
    ],
    plan: PlanOption = Path("plan.client.bin"),
    material: MaterialOption = Path("client.material"),
    raw: RawOption = False,
    clip: ClipOption = False,
    skip_bad_rows: SkipOption = False,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            show_default=False,
            help="The values, too: .npy for one output, .npz, or .csv or .parquet with a line per row.",
            rich_help_panel=FILES,
        ),
    ] = None,
    certificate: CertificateOption = Path("tls/client.pem"),
    key: KeyOption = Path("tls/client.key"),
    authority: AuthorityOption = Path("tls/authority.pem"),
    insecure_plain: InsecurePlainOption = False,
    dealer: DealerOption = None,
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Ask a server about inputs that it does not see, and show the predictions.

    Each row uses up one block of material, which `hecc prepare` has prepared, whatever becomes of the session. Images
    and tables are preprocessed as the plan says; arrays are the network's own inputs, unless they are --raw.
    """
    with console(as_json) as out:
        import hecc
        from hecc.cli.client.predictions import prediction_fields, show_predictions, top_fields
        from hecc.inputs.arrays import check_outputs, save_outputs
        from hecc.inputs.sources import check_readable, forms, load_inputs
        from hecc.runtime.figures import count_words
        from hecc.runtime.plan.plan import Plan

        check_readable(inputs)
        if output is not None:
            check_targets({"--output": output}, [plan, material, *inputs, certificate, key, authority])
        loaded = Plan.load(plan)
        header = loaded.header
        with out.steps("reading images") as step:
            given = load_inputs(
                inputs[0] if len(inputs) == 1 else inputs,
                forms(header.inputs),
                raw=raw,
                clip=clip,
                skip_bad_rows=skip_bad_rows,
                progress=step,
            )
        given.warn()
        rows = len(next(iter(given.tensors.values())))
        if output is not None:
            check_outputs(output, header, rows, force=force)
        with out.steps("asking") as step:
            answer = hecc.query(
                server,
                given,
                plan=loaded,
                material=material,
                certificate=certificate,
                key=key,
                authority=authority,
                insecure_plain=insecure_plain,
                dealer=dealer,
                progress=step,
            )
        outputs, traffic = answer.outputs, answer.traffic
        if output is not None:
            save_outputs(output, outputs, header, force=force)
        where = "" if output is None else f"{output}: "
        out.say(
            f"{where}{count_words(outputs.rows, 'row')}, "
            f"{traffic_words(traffic.sent, traffic.received, traffic.seconds)}; {count_words(answer.left, 'block')} of "
            "material ready"
        )
        show_predictions(out, header, outputs)
        out.result(
            output=None if output is None else str(output),
            rows=outputs.rows,
            left=answer.left,
            sent_bytes=traffic.sent,
            received_bytes=traffic.received,
            seconds=traffic.seconds,
            values={name: values.tolist() for name, values in outputs.items()},
            predictions=prediction_fields(outputs),
            top=top_fields(header, outputs),
            index=list(outputs.index) or None,
        )

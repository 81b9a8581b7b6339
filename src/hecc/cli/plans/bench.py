"""``hecc bench``."""

from __future__ import annotations

import importlib
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from hecc.cli.console import Console, JsonOption, console
from hecc.cli.options import ForceOption, ThreadsOption
from hecc.cli.outputs import check_targets
from hecc.cli.usage import FILES, SPEED
from hecc.runtime.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hecc.measure.roofline import Machine, Work
    from hecc.runtime.ckks.devices.names import DeviceName

__all__ = ["bench_command"]

OTHERS: Mapping[str, str] = MappingProxyType({"sharing": "hecc.cli.plans.schemes.sharing_bench:bench_parties"})
"""What measures plans of another scheme than CKKS, by its name."""

NATIVE: DeviceName = "native"
"""The device whose roofline is known, and which is always measured."""


def bench_command(
    plan: Annotated[
        Path | None, typer.Argument(help="The server's plan file; without one, the kernels are measured.")
    ] = None,
    device: Annotated[
        Literal["native", "seal"] | None,
        typer.Option(show_default=False, help="Beside hecc's own evaluator measure this one.", rich_help_panel=SPEED),
    ] = None,
    threads: ThreadsOption = None,
    runs: Annotated[
        int, typer.Option(min=1, metavar="NUMBER", help="Runs of the plan that are counted.", rich_help_panel=SPEED)
    ] = 7,
    machine_profile: Annotated[
        bool,
        typer.Option(
            "--machine-profile",
            help="Measure what predicted times depend on, for `hecc compile --machine`.",
            rich_help_panel=SPEED,
        ),
    ] = False,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="FILE", help="What --machine-profile writes.", rich_help_panel=FILES),
    ] = Path("machine.json"),
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Measure this machine, or a plan on it.

    Without a plan: the kernels of every implementation, single operations, and the memory. With one: seconds per row,
    peak memory, and how far that is from the roofline, which is what the transforms and the reads of keys and weights
    would take alone. Of a plan of the scheme sharing client and server run in two processes. With --machine-profile: a
    file that makes `hecc compile` and `hecc estimate` predict times for this machine.
    """
    with console(as_json) as out:
        if machine_profile:
            if plan is not None:
                raise InputError("--machine-profile measures the machine, not a plan; leave the plan out")
            _write_profile(out, output, threads, force)
        elif plan is None:
            _bench_machine(out, threads)
        else:
            from hecc.runtime.plan.plan import Plan

            loaded = Plan.load(plan)
            if loaded.header.scheme in OTHERS:
                if threads is not None:
                    raise InputError(f"--threads is for plans of the scheme ckks; leave it out for {plan}")
                module, _, name = OTHERS[loaded.header.scheme].partition(":")
                getattr(importlib.import_module(module), name)(out, loaded, plan, runs=runs, device=device)
            else:
                _bench_plan(out, plan, [] if device is None else [device], threads, runs)


def _bench_machine(out: Console, threads: int | None) -> None:
    from hecc.measure.kernels import BANDWIDTH_METHOD, measure_bandwidth, measure_kernels, measure_primitives
    from hecc.runtime.ckks.devices.device import default_threads
    from hecc.runtime.native import Kernels

    threads = threads or default_threads()
    chosen = Kernels().implementation
    with out.steps("timing kernels") as step:
        kernels = measure_kernels(progress=step)
    with out.steps("timing operations") as step:
        primitives = measure_primitives(sorted({1, threads}), progress=step)
    one = measure_bandwidth(1)
    together = measure_bandwidth(threads) if threads > 1 else one
    out.say("kernels on one thread, in milliseconds: transforms and a product of one limb, a plaintext of all limbs")
    out.table(
        ("N", "limbs", "implementation", "NTT", "inverse NTT", "encode", "multiply-accumulate"),
        [
            (
                str(found.ring_degree),
                str(found.limbs),
                found.implementation,
                *(
                    f"{1e3 * seconds:.4f}"
                    for seconds in (found.ntt_forward, found.ntt_inverse, found.encode, found.multiply_accumulate)
                ),
            )
            for found in kernels
        ],
    )
    out.say(f"plans run with: {chosen}")
    out.say()
    names = tuple(primitives[0].seconds)
    out.say("operations on one ciphertext, in milliseconds, with as few digits as 128 bits of security allow")
    out.table(
        ("N", "limbs", "digits", "special", "log2 QP", "threads", *names),
        [
            (
                str(found.ring_degree),
                str(found.limbs),
                str(found.digits),
                str(found.special_primes),
                f"{found.log2_qp:.0f}",
                str(found.threads),
                *(f"{1e3 * found.seconds[name]:.3f}" for name in names),
            )
            for found in primitives
        ],
    )
    out.say()
    out.say(f"memory, read: {BANDWIDTH_METHOD}")
    rows = [("one thread", f"{one / 1e9:.1f} GB/s")]
    if threads > 1:
        rows.append((f"{threads} threads", f"{together / 1e9:.1f} GB/s"))
    out.facts(rows)
    out.result(
        kernels=[
            {
                "ring_degree": found.ring_degree,
                "limbs": found.limbs,
                "implementation": found.implementation,
                "ntt_forward_seconds": found.ntt_forward,
                "ntt_inverse_seconds": found.ntt_inverse,
                "encode_seconds": found.encode,
                "multiply_accumulate_seconds": found.multiply_accumulate,
            }
            for found in kernels
        ],
        primitives=[
            {
                "ring_degree": found.ring_degree,
                "limbs": found.limbs,
                "digits": found.digits,
                "special_primes": found.special_primes,
                "log2_qp": found.log2_qp,
                "threads": found.threads,
                "seconds": dict(found.seconds),
            }
            for found in primitives
        ],
        chosen=chosen,
        threads=threads,
        bandwidth={"method": BANDWIDTH_METHOD, "one_thread": one, "all_threads": together},
    )


def _write_profile(out: Console, path: Path, threads: int | None, force: bool) -> None:
    from hecc.compiler.ckks.prediction.machine import is_profile
    from hecc.measure.probes import PROBES
    from hecc.measure.profiling import measure_rates, profile_of
    from hecc.runtime.ckks.devices.device import default_threads
    from hecc.runtime.figures import count_words
    from hecc.runtime.files.atomic import check_replaceable, check_target

    check_target(path)
    check_targets({"--output": path}, [])
    check_replaceable(path, own=is_profile, kind="a machine profile", force=force)
    numbers = sorted({1, threads or default_threads()})
    with out.stages("measuring this machine") as stage:
        fits = measure_rates(numbers, progress=stage)
    profile = profile_of(fits)
    profile.save(path, force=force)
    out.say(f"{path}: {profile.machine}, kernels {profile.kernels}")
    out.say("made-up circuits, measured and as the fitted rates predict them, in milliseconds")
    out.table(
        ("", *(f"{count_words(n, 'thread')}, {what}" for n in numbers for what in ("measured", "predicted"))),
        [
            (
                probe.name,
                *(f"{1e3 * seconds[i]:.1f}" for n in numbers for seconds in (fits[n].measured, fits[n].predicted)),
            )
            for i, probe in enumerate(PROBES)
        ],
    )
    out.say(f"rates, in nanoseconds; they miss these times by {100 * profile.error:.0f}%, typically")
    names = list(profile.one_thread.__struct_fields__)
    out.table(
        ("", *(count_words(n, "thread") for n in numbers)),
        [(name, *(f"{1e9 * getattr(fits[n].rates, name):.3f}" for n in numbers)) for name in names],
    )
    out.say(f"for this machine compile with: hecc compile MODEL --machine {path}")
    out.result(
        file=str(path),
        machine=profile.machine,
        kernels=profile.kernels,
        threads=profile.threads,
        error=profile.error,
        rates={str(n): {name: getattr(fits[n].rates, name) for name in names} for n in numbers},
        probes=[
            {
                "name": probe.name,
                "measured_seconds": {str(n): fits[n].measured[i] for n in numbers},
                "predicted_seconds": {str(n): fits[n].predicted[i] for n in numbers},
            }
            for i, probe in enumerate(PROBES)
        ],
    )


def _bench_plan(out: Console, path: Path, others: Sequence[str], threads: int | None, runs: int) -> None:
    from hecc.runtime.ckks.plan.plan import CkksPlan

    devices = _devices(others)
    plan = CkksPlan.load(path)
    circuit = plan.require_circuit()

    from hecc.measure.kernels import measure_machine
    from hecc.measure.roofline import Work, count_kinds
    from hecc.measure.runs.benchmark import measure_plan
    from hecc.runtime.ckks.devices.device import default_threads, load_device
    from hecc.runtime.ckks.plan.facts import security_words
    from hecc.runtime.figures import size_words
    from hecc.runtime.native import Kernels
    from hecc.runtime.plan.facts import run_words

    threads = threads or default_threads()
    keys, each = plan.header.keys, run_words(plan.header)
    kernels = Kernels().implementation
    with tempfile.TemporaryDirectory(prefix="hecc-bench-") as folder, out.stages(f"measuring {path}") as stage:
        stage("transforms and memory")
        before = measure_machine(keys, threads)
        times = measure_plan(path, devices, Path(folder), threads=threads, runs=runs, stage=stage)
        stage("transforms and memory, again")
        machine = before.best(measure_machine(keys, threads))
    work = count_kinds(circuit, keys)
    total = sum(work.values(), Work())
    roofline, native = total.seconds(machine), times[NATIVE]

    for name, found in times.items():
        ratio = "" if found is native else f", {found.seconds / native.seconds:.1f} times the native one's"
        out.say(f"{name}: {_ms(found.seconds)} per {each}, the median of {runs} warm runs{ratio}")
        out.facts(
            [
                ("threads", str(threads) if load_device(name).threaded else "1"),
                ("shortest and longest", f"{_ms(min(found.samples))}, {_ms(max(found.samples))}"),
                ("first run, with loading", _ms(found.prepare)),
                ("peak memory", f"{size_words(found.peak_memory)} for the server's process"),
            ]
        )
    limbs = f"{len(keys.data_primes)} data and {len(keys.special_primes)} special primes, digits of {keys.digit_limbs}"
    out.say("parameters")
    out.facts([("security", security_words(keys)), ("limbs", limbs), ("native kernels", kernels)])
    transforms = (
        f"{total.forward:.0f} forward at {1e6 * machine.forward:.2f} µs and {total.inverse:.0f} inverse at "
        f"{1e6 * machine.inverse:.2f} µs: {_ms(total.transform_seconds(machine))}"
    )
    reads = (
        f"{size_words(total.key_bytes)} of keys and {size_words(total.plaintext_bytes)} of encoded weights at "
        f"{machine.bandwidth / 1e9:.1f} GB/s: {_ms(total.read_seconds(machine))}"
    )
    out.say(f"roofline of {load_device(NATIVE).words}, per {each}")
    out.facts(
        [
            ("transforms", transforms),
            ("reads", reads),
            ("together", _ms(roofline)),
            ("measured / roofline", f"{native.seconds / roofline:.2f}"),
        ]
    )
    out.say("instructions")
    out.table(
        ("", *times, "roofline"),
        [
            (kind, *(_ms(found.instructions[kind]) for found in times.values()), _ms(work[kind].seconds(machine)))
            for kind in native.instructions
        ],
    )
    out.result(
        plan=str(path),
        threads=threads,
        runs=runs,
        kernels=kernels,
        ring_degree=keys.ring_degree,
        log2_qp=keys.log2_qp,
        data_primes=len(keys.data_primes),
        special_primes=len(keys.special_primes),
        digit_limbs=keys.digit_limbs,
        devices={
            name: {
                f"seconds_per_{each}": found.seconds,
                "samples": list(found.samples),
                "prepare_seconds": found.prepare,
                "peak_memory_bytes": found.peak_memory,
                "instructions": dict(found.instructions),
            }
            for name, found in times.items()
        },
        roofline=_roofline_fields(total, machine, native.seconds),
    )


def _roofline_fields(total: Work, machine: Machine, measured: float) -> dict[str, float]:
    """The roofline for JSON."""
    return {
        "forward_transforms": total.forward,
        "inverse_transforms": total.inverse,
        "key_bytes": total.key_bytes,
        "plaintext_bytes": total.plaintext_bytes,
        "forward_transform_seconds": machine.forward,
        "inverse_transform_seconds": machine.inverse,
        "bandwidth": machine.bandwidth,
        "transform_seconds": total.transform_seconds(machine),
        "read_seconds": total.read_seconds(machine),
        "seconds": total.seconds(machine),
        "ratio": measured / total.seconds(machine),
    }


def _devices(others: Sequence[str]) -> list[DeviceName]:
    """The native one, and the others that there are."""
    from hecc.runtime.ckks.devices.device import load_device

    return list(dict.fromkeys([NATIVE, *(load_device(name).name for name in others)]))


def _ms(seconds: float) -> str:
    milliseconds = 1e3 * seconds
    return f"{milliseconds:.0f} ms" if milliseconds >= 1000 else f"{milliseconds:.3g} ms"

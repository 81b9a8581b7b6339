"""A server's plan records what the compiler compared, and `hecc inspect` shows it, with what each layer loses."""

from pathlib import Path

import msgspec
import pytest

import hecc
from hecc.measure.layers import bits_lost, plan_layers
from hecc.runtime.ckks.plan.choices import Choices, LayoutOffer
from hecc.runtime.ckks.plan.plan import CkksPlan
from hecc.runtime.files import codec
from hecc.runtime.files.container import Container, ContainerWriter, Kind
from hecc.words.sentences import choice_lines


def test_what_was_compared_is_in_the_servers_plan_only(plan, tmp_path: Path) -> None:
    plan.save(tmp_path / "plan.bin")
    plan.client().save(tmp_path / "plan.client.bin")
    assert CkksPlan.load(tmp_path / "plan.bin").choices == plan.choices is not None
    assert CkksPlan.load(tmp_path / "plan.client.bin").choices is None
    CkksPlan.load(tmp_path / "plan.bin").save(tmp_path / "again.bin")
    assert (tmp_path / "again.bin").read_bytes() == (tmp_path / "plan.bin").read_bytes()


def test_the_ring_chosen_is_the_fastest_that_was_tried(plan) -> None:
    seconds = {trial.ring_degree: trial.seconds for trial in plan.choices.rings if trial.seconds is not None}
    assert min(seconds, key=seconds.__getitem__) == plan.header.keys.ring_degree
    assert len(seconds) > 1
    # Rings are compared by the same figure that the plan promises, rescales and shared instructions apart.
    assert seconds[plan.header.keys.ring_degree] == pytest.approx(plan.header.estimate.seconds, rel=0.1)


@pytest.mark.parametrize("options", [{"optimize": "throughput"}, {"batch": 8}], ids=str)
def test_rings_with_batches_of_different_sizes_are_compared_row_by_row(options, network) -> None:
    found = hecc.compile(network((4,), ("gemm", 4), ("square",), ("gemm", 2)), **options)
    seconds = {trial.ring_degree: trial.seconds for trial in found.choices.rings if trial.seconds is not None}
    header = found.header
    assert seconds[header.keys.ring_degree] == pytest.approx(header.estimate.seconds / header.batch, rel=0.2)
    # A larger ring is worth it only where it saves a tenth.
    assert seconds[header.keys.ring_degree] <= min(seconds.values()) / 0.9
    assert len(seconds) > 1


def test_the_offers_of_a_layer_are_its_layouts(plan) -> None:
    layers = {layer.source: layer for layer in plan_layers(plan)}
    assert plan.choices.layers
    compared = 0
    for choice in plan.choices.layers:
        taken = choice.offers[choice.chosen]
        assert taken.seconds is not None
        assert taken.diagonals == layers[choice.source].diagonals
        assert taken.rotations == layers[choice.source].rotations
        assert taken.layout.count == layers[choice.source].ciphertexts
        for offer in choice.offers:
            assert (offer.seconds is None) == (offer.rotations is None)
            if offer.seconds is None:
                assert offer.diagonals > taken.diagonals
        compared += len(choice.offers) - 1
    assert compared > 0


def test_a_plan_without_them_is_as_good(plan, tmp_path: Path) -> None:
    bare = CkksPlan(plan.header, plan.circuit)
    bare.save(tmp_path / "bare.bin")
    loaded = CkksPlan.load(tmp_path / "bare.bin")
    assert loaded.choices is None
    assert loaded.fingerprint == plan.fingerprint


@pytest.mark.parametrize("fault", ["chosen", "source", "layout"])
def test_forged_choices_are_refused(fault: str, plan, tmp_path: Path) -> None:
    plan.save(tmp_path / "plan.bin")
    first, *others = plan.choices.layers
    offer = first.offers[0]
    forged = {
        "chosen": msgspec.structs.replace(first, chosen=len(first.offers)),
        "source": msgspec.structs.replace(first, source="\x1b[2J"),
        "layout": msgspec.structs.replace(
            first,
            chosen=0,
            offers=(msgspec.structs.replace(offer, layout=msgspec.structs.replace(offer.layout, count=1 << 40)),),
        ),
    }[fault]
    choices = msgspec.structs.replace(plan.choices, layers=(forged, *others))
    container = Container(tmp_path / "plan.bin", Kind.SERVER_PLAN)
    with ContainerWriter(tmp_path / "forged.bin", Kind.SERVER_PLAN, plan.header) as writer:
        for name in container:
            value = container.bytes(name) if container.layout(name)[0] == "bytes" else container.array(name)
            writer.add(name, codec.encode(choices) if name == "choices" else value)
    with pytest.raises(hecc.FileFormatError, match="impossible plan"):
        CkksPlan.load(tmp_path / "forged.bin")


def test_choices_are_told_in_words(plan) -> None:
    lines = list(choice_lines(plan.choices, plan.header.keys.ring_degree))
    assert lines[0].startswith("N = 2^13 was chosen of: ")
    assert "2^11 nothing fits" in lines[0]
    assert lines[0].endswith(" ms per row")
    assert any(line.strip().startswith("instead of") for line in lines)
    layout = plan.choices.layers[0].offers[0].layout
    many = LayoutOffer(layout=layout, diagonals=4096, rotations=None, seconds=None)
    layer = msgspec.structs.replace(plan.choices.layers[0], offers=(*plan.choices.layers[0].offers[:1], many), chosen=0)
    assert list(choice_lines(Choices(rings=(), layers=(layer,)), 8192))[-1].endswith(
        "4096 diagonals, too many to be considered"
    )


def test_bits_are_lost_from_layer_to_layer(plan) -> None:
    layers = plan_layers(plan)
    lost = [bits_lost(layers, number) for number in range(len(layers))]
    assert lost[0] is None
    # The network is a chain: what all layers lose is what is missing in the end.
    assert sum(bits for bits in lost if bits is not None) == pytest.approx(
        layers[0].precision_bits - layers[-1].precision_bits
    )

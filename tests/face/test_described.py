"""What people see of objects: a line, a few lines, or a table in a notebook, where nothing of a file is markup."""

from html.parser import HTMLParser

import msgspec
import numpy as np
import pytest

import hecc
from hecc.runtime.described import Described, aligned
from hecc.words.summary import cautions


@pytest.fixture(scope="module")
def objects(plan, digits, tmp_path_factory):
    """One of each kind that users hold, by a word that names it."""
    client = hecc.Client(plan)
    keyless = repr(client), str(client)
    keys = client.keygen(tmp_path_factory.mktemp("described") / "keys")
    request = client.encrypt(digits["images"][:3])
    with hecc.Engine(plan) as engine, hecc.Server(engine, keys.evaluation) as server:
        result = server.run(request)
        yield {
            "the server's plan": plan,
            "the client's plan": plan.client(),
            "a client of plan": client,
            "a server of plan": server,
            "an engine of plan": engine,
            "key set": keys,
            "the encrypted input: 3 rows": request,
            "the encrypted result: 3 rows": result,
        }
    assert "none yet; call keygen" in keyless[1]


def test_every_object_says_what_it_is(objects):
    for title, found in objects.items():
        assert isinstance(found, Described)
        assert repr(found).startswith(f"<{title}")
        assert "\n" not in repr(found)
        assert len(repr(found)) < 120
        first, *facts = str(found).splitlines()
        assert repr(found) == f"<{first}>"
        assert 2 <= len(facts) <= 6
        assert max(map(len, facts)) <= 120


def test_a_plan_is_summed_up_in_words_that_need_no_cryptography(plan):
    names = [name for name, _ in plan.scheme.summary(plan.header)]
    assert names == ["in and out", "security", "precision", "cost"]
    text = str(plan)
    for words in (
        "image (1x8x8, values 0 to 1) -> logits (10 values)",
        "128 bits, like AES-128: inputs and results are hidden from the server\n",
        "% of their range",
        " s per row, ",
        "; keys of 47.3 MB, sent once",
    ):
        assert words in text
    for jargon in ("log2", "ring", "limb", "prime", "rotation", "Galois", "QP"):
        assert jargon not in text


def test_the_summary_tells_of_rows_that_may_be_off(plan):
    header = plan.header
    estimate = msgspec.structs.replace(header.estimate, outside_per_thousand=3.0, far_precision_bits=5.0)
    found = dict(plan.scheme.summary(msgspec.structs.replace(header, estimate=estimate)))
    assert ", 3.1% where they leave it (" in found["precision"]
    assert "rows that may be further off: at most 3 of 1,000 expected" in found["precision"]
    exact = msgspec.structs.replace(estimate, precision_bits=float("inf"))
    assert dict(plan.scheme.summary(msgspec.structs.replace(header, estimate=exact)))["precision"].startswith(
        "results are exact; "
    )


def test_a_plan_that_only_claims_to_be_secure_is_found_out(plan):
    claimed = msgspec.structs.replace(plan.header.keys.security, level=256)
    keys = msgspec.structs.replace(plan.header.keys, security=claimed)
    found = dict(plan.scheme.summary(msgspec.structs.replace(plan.header, keys=keys)))
    assert found["security"].startswith("none: ")
    assert "AES" not in found["security"]


def test_a_level_against_quantum_computers_says_so(model, digits):
    plan = hecc.compile(model, calibration=digits["calibration"], security=192, quantum=True, precision=8)
    found = dict(plan.scheme.summary(plan.header))["security"]
    assert found.startswith("192 bits, like AES-192: ")
    assert found.endswith(" are hidden from the server and from quantum computers")


def test_a_batch_is_what_is_paid_for(model, digits):
    plan = hecc.compile(model, calibration=digits["calibration"], batch=4)
    assert " s per batch of up to 4 rows, " in str(plan)


class Texts(HTMLParser):
    """The tags of a page, and the texts between them."""

    def __init__(self):
        super().__init__()
        self.tags, self.texts = set(), []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        assert [name for name, _ in attrs] in ([], ["style"])

    def handle_data(self, data):
        self.texts.append(data)


def test_a_notebook_gets_a_table_in_which_nothing_of_a_file_is_markup(plan, objects):
    evil = '<script>alert("x")</script>&amp;'
    inputs = (msgspec.structs.replace(plan.header.inputs[0], name=evil),)
    spoilt = type(plan)(msgspec.structs.replace(plan.header, inputs=inputs))
    for found in (*objects.values(), spoilt):
        parser = Texts()
        parser.feed(found._repr_html_())
        assert parser.tags == {"table", "caption", "tr", "th", "td"}
        title, facts = found.described()
        assert parser.texts == [title, *(text for fact in facts for text in fact)]
    assert any(evil in text for text in parser.texts)


def test_aligned_facts_are_lines(plan):
    assert [*aligned([("a", "one"), ("long", "two")])] == ["  a     one", "  long  two"]
    assert [*aligned([])] == []


def test_a_plan_is_compared_by_what_it_says_and_not_by_how_it_is_shown(plan):
    assert type(plan)(plan.header) == type(plan)(plan.header)


def test_a_table_has_a_range_for_each_column(network):
    rows = np.random.default_rng(1).uniform((0, -100), (1, 100), size=(60, 2))
    plan = hecc.compile(network((2,), ("gemm", 3)), calibration=rows, input_range=([0, -100], [1, 100]))
    assert "x (2, a range for each column) -> gemm0 (3 values)" in str(plan)
    within = "a range for each column, all within -100 to 100"
    assert f"not within {within} for 'x'." in "".join(cautions(plan.header, measured=False, unknown=False))
    assert within in hecc.report(plan)

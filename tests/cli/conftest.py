"""One compiled digit network with keys and rows for all tests of the command line."""

import json
import shutil
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper
from typer.testing import CliRunner, Result

from hecc.cli.commands import app


class Cli:
    """The command line in this process."""

    def invoke(self, *arguments: Any, **options: Any) -> Result:
        """Run a command."""
        return CliRunner().invoke(app, [str(argument) for argument in arguments], **options)

    def succeed(self, *arguments: Any) -> Result:
        """Run a command that has to work."""
        result = self.invoke(*arguments)
        assert result.exit_code == 0, result.output
        return result

    def answer(self, *arguments: Any) -> dict[str, Any]:
        """What a command says with --json: one object and nothing else on stdout."""
        return load_object(self.succeed(*arguments, "--json").stdout)

    def refusal(self, *arguments: Any, code: int = 1) -> str:
        """The sentence with which a command refuses."""
        result = self.invoke(*arguments)
        assert result.exit_code == code, result.output
        assert result.stdout == ""
        assert "Traceback" not in result.stderr
        (line,) = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
        return line.removeprefix("error: ")


def load_object(text: str) -> dict[str, Any]:
    """The one JSON object of a text."""
    loaded = json.loads(text)
    assert isinstance(loaded, dict)
    return loaded


def refused_model() -> bytes:
    """A network that cannot be compiled."""
    nodes = [helper.make_node("Bernoulli", ["x"], ["y"], name="dice")]
    shapes = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4]) for name in "xy"]
    graph = helper.make_graph(nodes, "refused", shapes[:1], shapes[1:])
    return bytes(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]).SerializeToString())


@pytest.fixture(scope="session")
def cli() -> Cli:
    """The command line."""
    return Cli()


@pytest.fixture(scope="session")
def made(cli: Cli, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder after compile, keygen, encrypt and run, everything under its default name."""
    folder = tmp_path_factory.mktemp("made")
    data = resources.files("hecc") / "data"
    with np.load(str(data / "digits.npz")) as archive:
        digits = dict(archive)
    (folder / "model.onnx").write_bytes((data / "digits.onnx").read_bytes())
    np.save(folder / "images.npy", digits["images"])
    np.save(folder / "three.npy", digits["images"][:3])
    np.save(folder / "labels.npy", digits["labels"])
    np.save(folder / "calibration.npy", digits["calibration"])
    (folder / "refused.onnx").write_bytes(refused_model())
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        cli.succeed("compile", "model.onnx", "--security", 128, "--calibration", "calibration.npy")
        cli.succeed("keygen", "plan.client.bin")
        cli.succeed("encrypt", "plan.client.bin", "three.npy")
        cli.succeed("run", "plan.bin", "encrypted.bin")
    return folder


@pytest.fixture(scope="session")
def other(cli: Cli, made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same network for less precision: other primes, so other keys."""
    folder = tmp_path_factory.mktemp("other")
    shutil.copy(made / "three.npy", folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        cli.succeed("compile", made / "model.onnx", "--calibration", made / "calibration.npy", "--precision", 8)
        cli.succeed("keygen", "plan.client.bin")
        cli.succeed("encrypt", "plan.client.bin", "three.npy")
        cli.succeed("run", "plan.bin", "encrypted.bin")
    return folder


@pytest.fixture
def here(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of that folder that a test may spoil, as the current one."""
    # The evaluation keys are large, and no test writes into them.
    shutil.copytree(made, tmp_path, dirs_exist_ok=True, ignore=shutil.ignore_patterns("evaluation.bin"))
    (tmp_path / "keys" / "evaluation.bin").symlink_to(made / "keys" / "evaluation.bin")
    monkeypatch.chdir(tmp_path)
    return tmp_path

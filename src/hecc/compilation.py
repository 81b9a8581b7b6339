"""``hecc.compile``: from an ONNX model and what its inputs look like to a plan."""

from __future__ import annotations

from collections.abc import Callable
from typing import Unpack

from hecc.preparation import Model, PlanOptions, prepare, takes_plan_options
from hecc.renamed import tells_new_names
from hecc.runtime.plan.plan import Plan

__all__ = ["compile"]


@tells_new_names
@takes_plan_options
def compile(  # noqa: A001 - hecc.compile, as re.compile
    model: Model, *, progress: Callable[[str], None] | None = None, **options: Unpack[PlanOptions]
) -> Plan:
    """Compile an ONNX model to a plan that runs on encrypted inputs.

    Parameters
    ----------
    model
        Path or bytes of an ONNX file, a model in memory, or a ``torch.nn.Module``.
    example_input
        For a module: a tensor like those that it takes, or a sequence of them for several inputs. Only shapes and
        types matter; the module is exported in inference mode, by PyTorch's own exporter.
    security
        Bits of security: 128, 192 or 256.
    quantum
        Keep that level against an adversary with a quantum computer, too.
    precision
        Bits: the error of each element of an output, behind what the client computes, is at most ``2 ** -precision`` of
        its range over the calibration inputs, whether it comes from the scheme or from the polynomials that stand for
        activations.
    input_range
        Lowest and highest value of an input's elements, for all inputs or by name; the client refuses to encrypt
        others. It is that of the values after preprocessing. By default what 8-bit images become if ``preprocessing``
        is stated for an image, and the range of ``calibration``; or -1 to 1 when there is neither.
    calibration
        Some hundred real inputs, shape (rows, ...), for a network with one input, or by name; or the path of a .npy,
        .npz or .csv file, an image or a folder of images. From them the compiler learns how large the values inside the
        network become. Without them it makes inputs up, and has to allow for values sixteen times as large as those it
        sees, instead of four times, and to fit the polynomials of smooth activations on intervals twice as wide.
    preprocessing
        What turns raw values into the network's inputs, for all inputs or by name. It is stored in the plan: the client
        does it to images and tables.
    raw
        The arrays of ``calibration`` hold raw values, too, which are to be preprocessed.
    labels
        Names of the classes, or a text file of them, one per line: for the only output, or by output. They are stored
        in the plan, for the client's predictions.
    batch_axis
        Whether axis 0 of every input is the batch. With ``False`` the whole tensor is one example.
    device
        What the plan is optimised for: "native", hecc's own evaluator, the fast one, or "seal", Microsoft SEAL's, the
        reference. Either runs the plan; keys are for one of them.
    optimize
        "latency" for an answer in the shortest time, "throughput" for the most answers per hour: the plan has a
        ciphertext for each element of an input, and a row in each of its slots.
    batch
        Rows that are evaluated at once; by default one, or with "throughput" as many as a ciphertext has slots. To
        answer several as soon as possible, they lie side by side in the slots where there is room.
    disclose
        How many results of one key the client may show to others, the server included: rows, or batches of rows. Such
        a plan has room for the noise that hides what a result tells of the key, and promises its precision with it.
    machine
        Profile of the machine that will run the plan (:func:`hecc.machine_profile`), or its file: parameters are chosen
        by its speed, and times predicted for it. Without one they are those of the machine that hecc was developed on.
    key_budget
        Bytes that the evaluation keys may take in the server's memory. Linear transforms then share rotations as far as
        that needs, and the plan is the fastest found within the budget.
    chain_of
        Another plan, or its file, whose ring, primes and digits this one is to use: one key set can then serve both
        (:meth:`hecc.Client.keygen`). By default those that are fastest for this network.
    progress
        Called with the name of each stage as it starts.

    Returns
    -------
    Plan
        The server's plan; ``plan.client()`` is the client's, without the weights.

    Raises
    ------
    InputError
        The file is missing or no ONNX model; the calibration inputs do not fit the network or the range; the
        preprocessing or the labels do not fit the network.
    UnsupportedError
        The network has an operator that cannot be evaluated on encrypted data; the message names the node.
    CompileError
        No parameters give the precision and the security asked for, or no polynomial follows an activation so closely.
    SecurityError
        A security level that hecc does not know.
    """
    stage = progress or (lambda _: None)
    return prepare(model, stage, **options).build(stage)

"""How a network is trained: the paper's settings, and what was found better. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass, replace

from steelquant.errors import UsageError
from steelquant.networks.registry import ModelInfo


@dataclass(frozen=True)
class Protocol:
    """The settings of a training run.

    Attributes
    ----------
    name
        ``paper`` or ``best``.
    epochs
        Passes over the training crops; may be a fraction.
    batch
        Crops an iteration.
    learning_rate
        Of Adam; with ``cosine`` its peak.
    weight_decay
        L2 regularisation: inside Adam's gradient for ``paper``, decoupled (AdamW) for ``best``.
    validate_every
        Iterations between validations.
    patience
        Validations without a smaller loss after which training stops; None never stops early.
    validation_crops
        At most so many validation crops, spread evenly; None takes all.
    class_weights
        Whether the cross-entropy weighs classes by median frequency over frequency.
    dice
        Weight of the soft Dice loss beside the cross-entropy.
    cosine
        Whether the learning rate rises over the first 5 % and then falls as a cosine to zero.
    augment
        Whether crops are moved, scaled, mirrored, and changed in light, focus and noise.
    logit_gain
        Least mean gain that the batch norm before SegNet's logits starts from, see
        :meth:`steelquant.networks.segnet.SegNet.sharpen`. An encoder that starts from plain VGG16 then keeps
        its features, and the decoder starts as its mirror. None leaves all as MATLAB does: batch norms at
        gain 1 and offset 0, the decoder from He initialisation.
    """

    name: str
    epochs: float
    batch: int
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    validate_every: int = 50
    patience: int | None = 4
    validation_crops: int | None = None
    class_weights: bool = True
    dice: float = 0.0
    cosine: bool = False
    augment: bool = False
    logit_gain: float | None = None


def protocol_for(
    name: str, model: ModelInfo, *, epochs: float | None = None, batch: int | None = None
) -> Protocol:
    """Return the protocol ``paper`` (Muñoz-Rodenas et al. 2024, Table 2) or ``best`` for a model.

    Raises
    ------
    UsageError
        If the name, the epochs or the batch make no sense.
    """
    if name == "paper":
        protocol = Protocol("paper", model.paper_epochs, model.paper_batch)
    elif name == "best":
        protocol = Protocol(
            "best",
            epochs=3.0,
            batch=16,
            learning_rate=5e-4 if model.name == "segnet" else 1e-3,
            weight_decay=1e-2,
            validate_every=100,
            patience=None,
            validation_crops=256,
            class_weights=False,
            dice=0.5,
            cosine=True,
            augment=True,
            logit_gain=4.0 if model.name == "segnet" else None,
        )
    else:
        raise UsageError(f"--protocol takes paper or best, not {name!r}")
    if epochs is not None:
        if not 0 < epochs < float("inf"):
            raise UsageError(f"--epochs must be a number above 0, not {epochs:g}")
        protocol = replace(protocol, epochs=epochs)
    if batch is not None:
        if batch < 1:
            raise UsageError(f"--batch must be at least 1, not {batch}")
        protocol = replace(protocol, batch=batch)
    return protocol

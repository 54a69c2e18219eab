"""What the paper reports of its five networks, to stand beside ours (Muñoz-Rodenas et al. 2024)."""

from __future__ import annotations

PAPER_TABLE_3: dict[str, tuple[float, float, float, float, int, str]] = {
    "unet": (95.874, 0.128, 96.553, 0.095, 320, "00:06:50"),
    "resnet50": (97.185, 0.068, 97.485, 0.060, 480, "00:08:14"),
    "resnet18": (97.229, 0.068, 97.177, 0.071, 480, "00:04:49"),
    "mobilenetv2": (97.379, 0.063, 97.969, 0.050, 480, "00:07:41"),
    "segnet": (95.359, 0.236, 96.773, 0.169, 963, "00:20:23"),
}
"""Training accuracy % and loss, validation accuracy % and loss, iterations, time on an RTX 3080."""

PAPER_TABLE_4: dict[str, tuple[float, float, float, float, float]] = {
    "unet": (0.9667, 0.9551, 0.9202, 0.9359, 0.8578),
    "resnet50": (0.9757, 0.9722, 0.9418, 0.9529, 0.8798),
    "resnet18": (0.9725, 0.9717, 0.9349, 0.9472, 0.8471),
    "mobilenetv2": (0.9802, 0.9743, 0.9521, 0.9614, 0.9149),
    "segnet": (0.9675, 0.9596, 0.9229, 0.9377, 0.8127),
}
"""Global accuracy, mean accuracy, mean IoU, weighted IoU mean BF score of its 734 test crops, 224² px."""

PAPER_FIGURE_10: dict[str, tuple[float, float]] = {
    "unet": (0.929, 0.981),
    "segnet": (0.942, 0.977),
    "resnet18": (0.958, 0.984),
    "resnet50": (0.970, 0.974),
    "mobilenetv2": (0.961, 0.988),
}
"""Share of true ferrite and of true pearlite found.

The panels are given to the models by the mean accuracies of Table 4, which these pairs reproduce; U-Net's
ferrite is printed as 94.9 % beside 7.1 %, so it is 92.9 %.
"""

"""The README's tables from a result."""

from __future__ import annotations

from typing import Any


def markdown(result: dict[str, Any], main: str) -> str:
    """Return a result as a Markdown table, rates beside the bound and the ratio of ``main`` to each."""
    head = (
        f"{result['model']}, {result['threads']} threads, {result['isa']}; matrix product "
        f"{result['matrix_gflops']:.0f} GFLOP/s, so at most {result['bound_mp_per_s']:.2f} MP/s; "
        f"{main} reaches {result['share_of_bound']:.0%} of it "
        f"({result['share_of_bound_in_processor_time']:.0%} in processor time)"
    )
    lines = [
        head,
        "",
        "| what | MP/s (least–most) | of bound | slower by | CPU s/MP | stages, s/MP | memory | equal |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in result["contenders"]:
        rate = row["mp_per_s_median"]
        ratio = result["ratios"].get(row["name"], {}).get("median")
        agreement = row["agreement_least"]
        cells = [
            row["name"],
            f"{rate:.3g} ({row['mp_per_s_least']:.3g}–{row['mp_per_s_most']:.3g})",
            f"{rate / result['bound_mp_per_s']:.0%}",
            "" if ratio is None else f"{ratio:.2f}",
            f"{row['processor_seconds_per_mp_median']:.3g}",
            ", ".join(f"{name} {seconds:.2g}" for name, seconds in row["seconds_per_mp_by_stage"].items()),
            f"{row['peak_mib'] / 1024:.1f} GiB",
            "" if agreement is None else f"{100 * agreement:.3f} %",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)

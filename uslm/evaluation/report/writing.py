"""A report on disk, in its three forms."""

from pathlib import Path

from uslm.evaluation.report.page import to_html
from uslm.evaluation.report.report import Report


def write_report(report: Report, folder: Path) -> None:
    """`report.json`, `report.md` and `report.html`, the page with the sounds of `folder`."""
    (folder / "report.json").write_text(report.to_json(), "utf-8")
    (folder / "report.md").write_text(report.to_markdown(), "utf-8")
    (folder / "report.html").write_text(to_html(report, folder), "utf-8")

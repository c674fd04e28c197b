"""Published systems that speak and convert, behind the same seam as the models of ours.

A module NAME has what `uslm.systems.loading` asks for: `load_NAME(folder, device=, dtype=)`, and,
without reading any weights, `NAME_settings(folder)` and `NAME_text(folder)`, its symbols and how
texts become them.
"""

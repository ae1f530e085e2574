"""Pictures and tables to one self-contained HTML page.

`finetune.write_finetune_report` reads what a run has saved and writes its `report.html`: no script,
nothing fetched from elsewhere, readable in light, in dark and on paper.
"""
